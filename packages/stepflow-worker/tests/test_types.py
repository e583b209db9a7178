"""The inputs and outputs of components, by declared type."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker

FUTURE = "from __future__ import annotations\n"
HEAD = """
import dataclasses, datetime, enum, typing
import msgspec
from stepflow.worker import StepflowServer
server = StepflowServer()

class Struct(msgspec.Struct, rename="camel"):
    first_name: str
    age: int = 1

@dataclasses.dataclass
class Data:
    x: float
    inner: list[Struct] = dataclasses.field(default_factory=list)

class Typed(typing.TypedDict):
    a: int

class Colour(enum.Enum):
    RED = "red"

@server.component
def struct(input: Struct) -> Struct:
    assert type(input) is Struct
    return input

@server.component
def data(input: Data) -> Data:
    assert type(input) is Data
    return input

@server.component
def typed(input: Typed) -> Typed:
    return input

@server.component
def optional(input: typing.Optional[int]) -> typing.Optional[int]:
    return input

@server.component
def colour(input: Colour) -> Colour:
    assert input is Colour.RED
    return input

@server.component
def day(input: datetime.date) -> datetime.date:
    return input + datetime.timedelta(days=1)

@dataclasses.dataclass(frozen=True)
class Defaulted:
    x: int
    inner: "Defaulted | None" = None
    y: int = 2

class Ruled(msgspec.Struct, omit_defaults=True):
    n: typing.Annotated[int, msgspec.Meta(ge=0)] = 0
    held: dict[str, list[Defaulted]] = {}

@server.component
def defaulted(input: Defaulted) -> Defaulted:
    return input

@server.component
def defaulted_untyped(input: Defaulted):
    return {"it": [input]}

@server.component
def defaulted_from_dict(input: dict) -> Defaulted:
    return input

@server.component
def ruled(input: Ruled) -> Ruled:
    return input

@server.component
def ruled_output(input: int) -> Ruled:
    return Ruled(input)

@server.component
def any_object(input: dict[str, object]) -> object:
    return input

@server.component
def as_declared(input: dict) -> Struct:
    return input

@server.component
def as_float(input: int) -> float:
    return input

@server.component
def deep_misfit(input: int) -> Data:
    return Data(1.0, [Struct("a"), Struct(7)])

@server.component
def a_list_for_a_dict(input: int) -> dict:
    return [input]

@server.component
def nothing(input: int) -> None:
    return input

@server.component
def no_json_form(input: int):
    return {"a": [object()]}

@server.component
def no_json_form_declared(input: int) -> dict:
    return {"a": [object()]}

@server.component
def no_coroutine(input: int):
    async def later(): ...
    return later()
"""


@pytest.fixture(scope="module", params=["", FUTURE], ids=["plain", "future annotations"])
def worker(start_once: "Start", request: pytest.FixtureRequest) -> "Worker":
    return start_once("", head=request.param + HEAD)


@pytest.mark.parametrize(
    ("component", "input", "output"),
    [
        ("/struct", {"firstName": "a", "more": 1}, {"firstName": "a", "age": 1}),
        ("/data", {"x": 1, "inner": [{"firstName": "b", "age": 2}]}, None),
        ("/typed", {"a": 1}, None),
        ("/optional", None, None),
        ("/optional", 2, None),
        ("/colour", "red", None),
        ("/day", "2024-02-28", "2024-02-29"),
        ("/as_declared", {"firstName": "c"}, {"firstName": "c", "age": 1}),
        ("/as_float", 1, 1.0),
        ("/defaulted", {"x": 1}, {"x": 1, "inner": None, "y": 2}),
        (
            "/defaulted",
            {"x": 1, "inner": {"x": 2}},
            {"x": 1, "inner": {"x": 2, "inner": None, "y": 2}, "y": 2},
        ),
        ("/defaulted_untyped", {"x": 1, "y": 3}, {"it": [{"x": 1, "inner": None, "y": 3}]}),
        ("/defaulted_from_dict", {"x": 1}, {"x": 1, "inner": None, "y": 2}),
        (
            "/ruled",
            {"n": 0, "held": {"a": [{"x": 1}]}},
            {"held": {"a": [{"x": 1, "inner": None, "y": 2}]}},
        ),
        ("/any_object", {"a": [1, {"b": None}]}, None),
    ],
)
def test_inputs_have_their_types_and_outputs_are_written_as_declared(
    worker: "Worker", component: str, input: object, output: object
) -> None:
    assert worker.output(component, input) == (input if output is None else output)


@pytest.mark.parametrize(
    ("component", "input", "path"),
    [
        ("/struct", {"firstName": 1}, "$.firstName"),
        ("/struct", {}, "$"),
        ("/data", {"x": 1, "inner": [{"firstName": "a", "age": "b"}]}, "$.inner[0].age"),
        ("/optional", "x", "$"),
        ("/typed", [], "$"),
        ("/ruled", {"n": -1}, "$.n"),
        ("/any_object", [], "$"),
    ],
)
def test_input_that_does_not_fit_is_refused_with_its_path(
    worker: "Worker", component: str, input: object, path: str
) -> None:
    error = worker.execute(component, input)["error"]
    assert (error["code"], error["data"]) == (-32002, {"path": path})


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ("/deep_misfit", "does not fit at `$.inner[1].firstName`: Expected `str`, got `int`"),
        ("/a_list_for_a_dict", "does not fit at `$`: Expected `object`, got `array`"),
        ("/nothing", "Expected `null`, got `int`"),
        (
            "/no_json_form",
            "does not fit at `$.a[0]`: it is of type `object`, which has no JSON form; plain values,",
        ),
        ("/no_json_form_declared", "and Structs have one"),
        ("/ruled_output", "does not fit at `$.n`: Expected `int` >= 0"),
        ("/no_coroutine", "`await` it in an `async def`"),
    ],
)
def test_output_that_does_not_fit_is_the_components_failure(
    worker: "Worker", component: str, said: str
) -> None:
    error = worker.execute(component, -1)["error"]
    assert error["code"] == -32003
    assert said in error["message"]


PYDANTIC = """
import pydantic
from stepflow.worker import StepflowServer
server = StepflowServer()

class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    count: int = pydantic.Field(ge=0, alias="theCount")

@server.component
def model(input: Model) -> list[Model]:
    assert type(input) is Model
    return [input, Model(count=input.count + 1)]

@server.component
def misfit(input: Model) -> Model:
    return {"theCount": -1}

@server.component
def assigned(input: Model) -> Model:
    input.count = "many"
    return input
"""


PYDANTIC_ANYWHERE = """
import dataclasses, enum, typing
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, Union
import annotated_types, pydantic, pydantic.dataclasses, typing_extensions
from pydantic import AfterValidator, BaseModel, Field, JsonValue
from stepflow.worker import ComponentError, StepflowContext, StepflowServer
server = StepflowServer()
T = TypeVar("T")

AtLeast0 = Annotated[int, Field(ge=0)]

def at_least_0(n):
    if n < 0:
        raise ValueError("negative")
    return n

class Model(BaseModel):
    n: AtLeast0 = 0
class Strict(BaseModel, extra="forbid", frozen=True, strict=True):
    n: int
class A(BaseModel):
    kind: Literal["a"]
class B(BaseModel):
    kind: Literal["b"]
    n: AtLeast0
class Of(BaseModel, Generic[T]):
    n: T
@pydantic.dataclasses.dataclass
class Dataclass:
    n: AtLeast0 = 0
@dataclasses.dataclass
class Holding:
    held: list[Model]
@dataclasses.dataclass
class WithField:
    n: int = Field(ge=0)
class Typed(typing_extensions.TypedDict):
    n: AtLeast0
class Tuple(typing.NamedTuple):
    n: AtLeast0

TYPES = {
    "annotated": AtLeast0, "validator": Annotated[int, AfterValidator(at_least_0)],
    "annotated_types": Annotated[int, annotated_types.Ge(0)], "new_type": typing.NewType("N", AtLeast0),
    "positive": pydantic.NonNegativeInt, "list": list[AtLeast0], "dict": dict[str, Model],
    "optional": Optional[Model], "union": Union[Model, str], "generic": Of[AtLeast0],
    "discriminated": Annotated[Union[A, B], Field(discriminator="kind")], "strict": Strict,
    "dataclass": Dataclass, "holding": Holding, "with_field": WithField, "typed": Typed, "tuple": Tuple,
}

def serve(name, kind):
    @server.component(name=f"in/{name}")
    def reads(input: kind):
        return "read"
    @server.component(name=f"out/{name}")
    def writes(input) -> kind:
        return input

for name, kind in TYPES.items():
    serve(name, kind)

class Shown(BaseModel):
    n: int = Field(alias="theN")
    @pydantic.computed_field
    def twice(self) -> int:
        return 2 * self.n

@server.component
def json_value(input: JsonValue) -> JsonValue:
    return input

@server.component
def shown(input: Shown) -> Shown:
    return input

@server.component
def anywhere(input):
    return {"a": [Shown(theN=1)], "b": (Shown(theN=2),)}

@server.component
def in_dict(input) -> dict[str, Any]:
    return {"a": [Shown(theN=1)]}

@server.component
def in_blob(input, context: StepflowContext):
    context.sync.put_blob([Shown(theN=1)])

@server.component
def in_error(input):
    raise ComponentError("no", data=Shown(theN=1))
"""


@pytest.fixture(scope="module")
def pydantic_worker(start_once: "Start") -> "Worker":
    pytest.importorskip("pydantic", reason="pydantic is not installed")
    return start_once("", head=PYDANTIC_ANYWHERE)


@pytest.mark.parametrize(
    ("name", "misfit", "path"),
    [
        ("annotated", -1, "$"),
        ("validator", -1, "$"),
        ("annotated_types", -1, "$"),
        ("new_type", -1, "$"),
        ("positive", -1, "$"),
        ("list", [1, -1], "$[1]"),
        ("dict", {"a": {"n": -1}}, "$.a.n"),
        ("optional", {"n": -1}, "$.n"),
        ("union", {"n": -1}, "$.n"),
        ("generic", {"n": -1}, "$.n"),
        ("generic", {}, "$.n"),
        ("discriminated", {"kind": "b", "n": -1}, "$.n"),
        ("discriminated", {"kind": "b"}, "$.n"),
        ("strict", {"n": "1"}, "$.n"),
        ("strict", {"n": 1, "m": 2}, "$.m"),
        ("dataclass", {"n": -1}, "$.n"),
        ("holding", {"held": [{"n": 1}, {"n": -1}]}, "$.held[1].n"),
        ("with_field", {"n": -1}, "$.n"),
        ("typed", {"n": -1}, "$.n"),
        ("tuple", [-1], "$[0]"),
    ],
)
def test_pydantic_parts_anywhere_in_a_type_are_checked(
    pydantic_worker: "Worker", name: str, misfit: object, path: str
) -> None:
    refused = pydantic_worker.execute(f"/in/{name}", misfit)["error"]
    assert (refused["code"], refused["data"]) == (-32002, {"path": path})
    failed = pydantic_worker.execute(f"/out/{name}", misfit)["error"]
    assert failed["code"] == -32003
    assert f"does not fit at `{path}`: " in failed["message"]


def test_models_are_written_with_their_own_names(pydantic_worker: "Worker") -> None:
    one = {"theN": 1, "twice": 2}
    assert pydantic_worker.output("/shown", {"theN": 1}) == one
    assert pydantic_worker.output("/anywhere") == {"a": [one], "b": [{"theN": 2, "twice": 4}]}
    assert pydantic_worker.output("/in_dict") == {"a": [one]}
    assert pydantic_worker.output("/json_value", {"a": [one, None]}) == {"a": [one, None]}
    assert pydantic_worker.execute("/in_error")["error"]["data"]["data"] == one
    id = pydantic_worker.begin_execute("/in_blob")
    put = pydantic_worker.called("blobs/put")
    assert put["params"]["data"] == [one]
    pydantic_worker.send(id=put["id"], result={"blob_id": "b" * 64})
    assert pydantic_worker.answer(id)["result"] == {"output": None}
    info = pydantic_worker.request("components/info", {"component": "/shown"})["result"]["info"]
    assert set(info["input_schema"]["properties"]) == {"theN"}
    assert set(info["output_schema"]["properties"]) == {"theN", "twice"}


def test_pydantic_models_are_read_checked_and_described(start: "Start") -> None:
    pytest.importorskip("pydantic", reason="pydantic is not installed")
    worker = start("", head=PYDANTIC)
    assert worker.output("/model", {"theCount": 1}) == [{"theCount": 1}, {"theCount": 2}]
    info = worker.request("components/info", {"component": "/model"})["result"]["info"]
    assert info["input_schema"]["properties"]["theCount"]["minimum"] == 0
    assert worker.execute("/model", {"theCount": -1})["error"]["data"] == {"path": "$.theCount"}
    assert "`$.theCount`" in worker.execute("/misfit", {"theCount": 1})["error"]["message"]
    assert worker.execute("/assigned", {"theCount": 1})["error"]["code"] == -32003


WHOLE = """
import dataclasses, enum, math, typing
import msgspec
from stepflow.worker import StepflowServer
server = StepflowServer(include_builtins=False)

class S(msgspec.Struct):
    limit: int = 0
    x: float = 1.0
class Tagged(msgspec.Struct, tag="t", rename="camel"):
    the_held: list[S] = []
class Array(msgspec.Struct, array_like=True):
    x: int
class MoreOfS(S):
    y: int = 0
@dataclasses.dataclass
class Base:
    x: int
    made: int = dataclasses.field(init=False, default=5)
    parts: list[int] = dataclasses.field(init=False, default_factory=list)
@dataclasses.dataclass
class Child(Base):
    y: int = 0
class Typed(typing.TypedDict, total=False):
    a: int
    s: S
class Raws(msgspec.Struct):
    raw: msgspec.Raw
def lacking(value, name):
    delattr(value, name)
    return value
def changed():
    base = Base(1)
    base.made = 7
    return base

CASES = {
    "misspelt": (S, {"limt": 3}), "child": (list[Base], [Child(7, 8)]), "struct": (list[S], [S(), MoreOfS()]),
    "typed": (Typed, {"a": 1, "b": 2}), "in_typed": (Typed, {"s": {"limt": 1}}), "set": (set[int], [1, 1]),
    "array": (Array, [1, 2]), "in_tag": (Tagged, {"type": "t", "theHeld": [{"limt": 1}]}),
    "in_dict": (dict[str, S], {"a b": {"limt": 1}}), "optional": (typing.Optional[S], {"limt": 1}),
    "floats": (dict[float, S], {1: {"limit": 2}}), "tagged": (Tagged, Tagged([S(1)])),
    "filled": (S, {"limit": 3}), "constant": (Base, Base(1)), "changed": (Base, changed()),
    "constant_in_dict": (dict, {"a": [Base(1)]}), "constant_in_any": (dict[str, typing.Any], {"a": Base(1)}),
    "lacking": (typing.Any, [lacking(Base(1), "x")]), "lacking_typed": (list[Base], [lacking(Base(1), "parts")]),
    "lacking_struct": (S, lacking(S(), "limit")), "lacking_dict": (dict, {"a": lacking(Base(1), "x")}),
    "raw": (Raws, Raws(msgspec.Raw(b'{"a":\\n1.0}'))), "raw_twice": (Raws, Raws(msgspec.Raw(b'{"a":1,"a":2}'))),
    "raw_any": (typing.Any, [msgspec.Raw(b'[\\r\\n1]\\n')]), "raw_struct": (S, msgspec.Raw(b'{\\n"limit":3}')),
    "raw_broken": (Raws, Raws(msgspec.Raw(b'1,\\n2'))), "raw_list": (list[msgspec.Raw], [msgspec.Raw(b"[[\\n]]")]),
}

def serve(name, kind, value):
    @server.component(name=name)
    def writes(input) -> kind:
        return value

for name, case in CASES.items():
    serve(name, *case)

@server.component
def reads(input: Base):
    return [input.made, input.parts]
"""


@pytest.fixture(scope="module")
def whole_worker(start_once: "Start") -> "Worker":
    return start_once("", head=WHOLE)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("misspelt", "$.limt"),
        ("child", "$[0].y"),
        ("struct", "$[1].y"),
        ("typed", "$.b"),
        ("in_typed", "$.s.limt"),
        ("set", "$[1]"),
        ("in_tag", "$.theHeld[0].limt"),
        ("array", "$[1]"),
        ("in_dict", '$["a b"].limt'),
        ("optional", "$.limt"),
    ],
)
def test_values_that_a_type_would_leave_out_fail_with_their_place(
    whole_worker: "Worker", name: str, place: str
) -> None:
    error = whole_worker.execute(f"/{name}")["error"]
    assert error["code"] == -32003
    assert f"does not fit at `{place}`: it has no place in the declared type" in error["message"]


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("floats", {"1.0": {"limit": 2, "x": 1.0}}),
        ("tagged", {"type": "t", "theHeld": [{"limit": 1, "x": 1.0}]}),
        ("filled", {"limit": 3, "x": 1.0}),
        ("constant", {"x": 1, "made": 5, "parts": []}),
        ("changed", {"x": 1, "made": 7, "parts": []}),
        ("constant_in_dict", {"a": [{"x": 1, "made": 5, "parts": []}]}),
        ("constant_in_any", {"a": {"x": 1, "made": 5, "parts": []}}),
        ("raw", {"raw": {"a": 1.0}}),
        ("raw_any", [[1]]),
        ("raw_struct", {"limit": 3, "x": 1.0}),
        ("raw_list", [[[]]]),
    ],
)
def test_fitting_values_are_written_on_one_line(
    whole_worker: "Worker", name: str, output: object
) -> None:
    assert whole_worker.output(f"/{name}") == output


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("lacking", "$[0].x"),
        ("lacking_typed", "$[0].parts"),
        ("lacking_struct", "$.limit"),
        ("lacking_dict", "$.a.x"),
    ],
)
def test_an_object_without_one_of_its_attributes_fails_with_its_place(
    whole_worker: "Worker", name: str, place: str
) -> None:
    error = whole_worker.execute(f"/{name}")["error"]
    assert error["code"] == -32003
    assert f"does not fit at `{place}`: it is missing: the `" in error["message"]


def test_invalid_raw_json_fails_with_its_place(whole_worker: "Worker") -> None:
    said = whole_worker.execute("/raw_twice")["error"]["message"]
    assert "does not fit at `$.raw`: it has two keys named `a`" in said
    assert (
        "at `$.raw`: it has no JSON form" in whole_worker.execute("/raw_broken")["error"]["message"]
    )


def test_fields_that_are_not_given_have_their_defaults_when_read(whole_worker: "Worker") -> None:
    assert whole_worker.output("/reads", {"x": 1}) == [5, []]


PYDANTIC_WHOLE = """
import enum, math, typing
import typing_extensions
from pydantic import BaseModel, Field, computed_field, field_serializer, model_serializer
from stepflow.worker import StepflowServer
server = StepflowServer(include_builtins=False)

class Model(BaseModel):
    x: int = 0
    secret: str = ""
    @computed_field
    def twice(self) -> int:
        return 2 * self.x
class More(Model):
    z: int = 0
class Open(BaseModel, extra="allow"):
    x: int = 0
class Holding(BaseModel):
    held: list[Model] = []
    open: Open = Open()
class Typed(typing_extensions.TypedDict):
    model: Model
class Floats(BaseModel):
    f: frozenset[float] = frozenset()
class Sets(BaseModel):
    f: set[float] = set()
class Hidden(enum.Enum):
    NAN = math.nan
class Enums(BaseModel):
    e: Hidden = Hidden.NAN
class Long(BaseModel):
    n: int = 0
class Twice(BaseModel):
    x: int = 0
    @model_serializer
    def named_twice(self):
        return {1: 1, "1": 2}
class HoldingTwice(BaseModel):
    held: list[Twice] = [Twice()]
class TwiceInField(BaseModel):
    x: int = 0
    @field_serializer("x")
    def named_twice(self, value):
        return {"a": [{1: 1, "1": 2}]}
class Aliases(BaseModel):
    a: int = Field(1, serialization_alias="x")
    b: int = Field(2, serialization_alias="x")
def assigned(value):
    model = Model(x=1)
    model.secret = value
    return model

CASES = {
    "misspelt": (Model, {"xx": 1}), "more": (Model, More()), "holding": (Holding, {"held": [{"x": 1, "q": 2}]}),
    "in_typed": (Typed, {"model": {"q": 1}}), "typed": (Typed, {"model": Model(), "q": 1}),
    "held": (Holding, Holding(held=[Model(), More()])), "untyped": (typing.Any, Holding(held=[More()])),
    "open": (Open, {"q": 1}), "in_open": (Holding, {"open": {"q": 1}}),
    "computed": (Model, Model(x=2).model_dump()),
    "set": (Sets, Sets(f={math.nan})), "frozen": (Floats, Floats(f={1.0, math.nan})),
    "untyped_enum": (typing.Any, [Enums()]), "long": (Long, Long(n=10**5000)),
    "assigned": (Model, assigned(b"hunter2")), "untyped_assigned": (typing.Any, assigned(b"hunter2")),
    "assigned_int": (Model, assigned(12345678)),
    "twice": (list[Twice], [Twice()]), "holding_twice": (HoldingTwice, HoldingTwice()),
    "twice_in_field": (TwiceInField, TwiceInField()), "aliases": (Aliases, Aliases()),
}

def serve(name, kind, value):
    @server.component(name=name)
    def writes(input) -> kind:
        return value

for name, case in CASES.items():
    serve(name, *case)
"""


@pytest.fixture(scope="module")
def pydantic_whole_worker(start_once: "Start") -> "Worker":
    pytest.importorskip("pydantic", reason="pydantic is not installed")
    return start_once("", head=PYDANTIC_WHOLE)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("misspelt", "`$.xx`: it has no place in the declared type"),
        ("more", "`$.z`: it has no place in the declared type"),
        ("holding", "`$.held[0].q`: it has no place in the declared type"),
        ("in_typed", "`$.model.q`: it has no place in the declared type"),
        ("typed", "`$.q`: it has no place in the declared type"),
        ("held", "`$.held[1].z`: it has no place in the declared type"),
        ("untyped", "`$.held[0].z`: it has no place in the declared type"),
        ("set", "`$.f[0]`: it is NaN, which JSON does not have"),
        ("frozen", "it is NaN, which JSON does not have"),
        ("untyped_enum", "`$[0].e`: it is NaN, which JSON does not have"),
        ("long", "`$.n`: it is an integer of more than 4300 digits"),
        ("assigned", "`$.secret`: it does not fit its type any more"),
        ("untyped_assigned", "`$.secret`: it does not fit its type any more"),
        ("assigned_int", "`$.secret`: it does not fit its type any more"),
        ("twice", "`$[0]`: it has two keys named `1`"),
        ("holding_twice", "`$.held[0]`: it has two keys named `1`"),
        ("twice_in_field", "`$.x.a[0]`: it has two keys named `1`"),
        ("aliases", "`$`: it has two keys named `x`"),
    ],
)
def test_values_that_pydantic_would_change_fail_with_their_place(
    pydantic_whole_worker: "Worker", name: str, said: str
) -> None:
    error = pydantic_whole_worker.execute(f"/{name}")["error"]
    assert error["code"] == -32003
    assert said in error["message"]
    assert "hunter2" not in str(error) + pydantic_whole_worker.stderr
    assert "12345678" not in str(error) + pydantic_whole_worker.stderr


def test_values_that_a_model_declares_are_written(pydantic_whole_worker: "Worker") -> None:
    assert pydantic_whole_worker.output("/open") == {"x": 0, "q": 1}
    assert pydantic_whole_worker.output("/in_open") == {"held": [], "open": {"x": 0, "q": 1}}
    assert pydantic_whole_worker.output("/computed") == {"x": 2, "secret": "", "twice": 4}


KEYS = """
import dataclasses, datetime, math, typing, uuid
from decimal import Decimal
import msgspec
from stepflow.worker import StepflowServer
server = StepflowServer(include_builtins=False)

class Struct(msgspec.Struct, rename="camel"):
    the_rates: dict[float, int]
@dataclasses.dataclass
class Dropping:
    rates: dict[float, int]
    def __post_init__(self):
        self.rates = {rate: count for rate, count in self.rates.items() if count}
class Typed(typing.TypedDict, total=False):
    rates: dict[int, int]

READ = {
    "float": dict[float, int], "int": dict[int, int], "decimal": dict[Decimal, int],
    "uuid": dict[uuid.UUID, int], "time": dict[datetime.datetime, int], "struct": list[Struct],
    "dropping": Dropping, "typed": dict[str, Typed], "optional": typing.Optional[dict[float, int]],
    "nested": dict[int, dict[float, int]],
}
WRITTEN = {
    "nan": (dict[float, int], {math.nan: 1, math.inf: 2}), "nan_text": (dict[float, int], {"nan": 1}),
    "nan_struct": (list[Struct], [Struct({-math.inf: 1})]), "twice": (dict[float, int], {"1.0": 1, "1": 2}),
    "floats": (dict[float, int], {1.5: 1, 2: 2}),
}
"""
SERVE_KEYS = """
def serve(name, kind):
    @server.component(name=f"in/{name}")
    def reads(input: kind):
        return repr(input)

def serve_value(name, kind, value):
    @server.component(name=f"out/{name}")
    def writes(input) -> kind:
        return value

for name, kind in READ.items():
    serve(name, kind)
for name, case in WRITTEN.items():
    serve_value(name, *case)
"""
PYDANTIC_KEYS = """
from pydantic import BaseModel, Field, RootModel
class Model(BaseModel):
    rates: dict[float, int] = Field(alias="theRates")
READ |= {
    "model": list[Model], "root": RootModel[dict[int, int]],
    "field": typing.Annotated[dict[float, int], Field(min_length=1)],
}
WRITTEN |= {
    "model_nan": (Model, {"theRates": {"nan": 1}}), "model_twice": (Model, {"theRates": {1.0: 1, "1": 2}}),
}
"""


@pytest.fixture(scope="module")
def keys_worker(start_once: "Start") -> "Worker":
    return start_once("", head=KEYS + SERVE_KEYS)


@pytest.fixture(scope="module")
def pydantic_keys_worker(start_once: "Start") -> "Worker":
    pytest.importorskip("pydantic", reason="pydantic is not installed")
    return start_once("", head=KEYS + PYDANTIC_KEYS + SERVE_KEYS)


ID = "00000000-0000-0000-0000-00000000000a"


@pytest.mark.parametrize(
    ("name", "input", "path", "said"),
    [
        ("float", {"1.0": 1, "1": 2}, "$", "it has the keys `1.0` and `1`, which are read as one"),
        ("float", {"2": 1, "nan": 1}, "$", "it has the key `nan`, which is not a finite number"),
        ("int", {"-0": 1, "0": 2}, "$", "`-0` and `0`"),
        ("decimal", {"1.0": 1, "1.00": 2}, "$", "`1.0` and `1.00`"),
        ("decimal", {"Infinity": 1}, "$", "`Infinity`"),
        ("uuid", {ID: 1, ID.upper(): 2}, "$", f"`{ID}` and `{ID.upper()}`"),
        ("time", {"2024-01-01T00:00:00Z": 1, "2024-01-01T00:00:00+00:00": 2}, "$", "read as one"),
        ("struct", [{"theRates": {"1": 1, "1.0": 2}}], "$[0].theRates", "`1` and `1.0`"),
        ("dropping", {"rates": {"1": 1, "2": 0, "1.0": 1}}, "$.rates", "`1` and `1.0`"),
        ("typed", {"a": {"rates": {"0": 1, "-0": 2}}}, "$.a.rates", "`0` and `-0`"),
        ("optional", {"-inf": 1}, "$", "`-inf`"),
        ("nested", {"7": {"1": 1, "1.0": 2}}, '$["7"]', "`1` and `1.0`"),
    ],
)
def test_equal_and_infinite_keys_are_refused(
    keys_worker: "Worker", name: str, input: object, path: str, said: str
) -> None:
    error = keys_worker.execute(f"/in/{name}", input)["error"]
    assert (error["code"], error["data"]) == (-32002, {"path": path})
    assert said in error["message"]


def test_keys_that_are_read_as_different_ones_are_accepted(keys_worker: "Worker") -> None:
    assert keys_worker.output("/in/float", {"1.0": 1, "2": 2}) == "{1.0: 1, 2.0: 2}"
    rates = {"rates": {"1": 1, "2": 0}}
    assert keys_worker.output("/in/dropping", rates) == "Dropping(rates={1.0: 1})"
    assert keys_worker.output("/in/typed", {"a": {"other": 1}}) == "{'a': {}}"
    assert keys_worker.output("/out/floats") == {"1.5": 1, "2.0": 2}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nan", "at `$`: it has the key NaN, which JSON does not have"),
        ("nan_text", "at `$`: it has the key `nan`, which is not a finite number"),
        ("nan_struct", "at `$[0].theRates`: it has the key -Infinity, which JSON does not have"),
        ("twice", "at `$`: it has the keys `1.0` and `1`, which are read as one"),
    ],
)
def test_keys_of_an_output_must_be_finite_and_different(
    keys_worker: "Worker", name: str, said: str
) -> None:
    error = keys_worker.execute(f"/out/{name}")["error"]
    assert error["code"] == -32003
    assert said in error["message"]


def test_keys_that_pydantic_reads_are_refused_too(pydantic_keys_worker: "Worker") -> None:
    for name, input, path, said in (
        ("model", [{"theRates": {"1": 1, "1.0": 2}}], "$[0].theRates", "`1` and `1.0`"),
        ("model", [{"theRates": {"nan": 1}}], "$[0].theRates", "`nan`"),
        ("root", {"-0": 1, "0": 2}, "$", "`-0` and `0`"),
        ("field", {"1": 1, "1.0": 2}, "$", "`1` and `1.0`"),
    ):
        error = pydantic_keys_worker.execute(f"/in/{name}", input)["error"]
        assert (error["code"], error["data"]) == (-32002, {"path": path})
        assert said in error["message"]
    for name, said in (("model_nan", "`nan`"), ("model_twice", "`1.0` and `1`")):
        error = pydantic_keys_worker.execute(f"/out/{name}")["error"]
        assert error["code"] == -32003
        assert "at `$.theRates`: it has the key" in error["message"]
        assert said in error["message"]

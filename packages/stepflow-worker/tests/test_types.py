"""What goes in and out of components, by declared type."""

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
    ],
)
def test_values_come_as_their_types_and_leave_as_declared(
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
        ("/no_coroutine", "`await` it in an `async def`"),
    ],
)
def test_output_that_does_not_fit_is_the_components_failure(
    worker: "Worker", component: str, said: str
) -> None:
    error = worker.execute(component, 1)["error"]
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


def test_pydantic_models_are_read_checked_and_described(start: "Start") -> None:
    pytest.importorskip("pydantic", reason="pydantic is not installed")
    worker = start("", head=PYDANTIC)
    assert worker.output("/model", {"theCount": 1}) == [{"theCount": 1}, {"theCount": 2}]
    info = worker.request("components/info", {"component": "/model"})["result"]["info"]
    assert info["input_schema"]["properties"]["theCount"]["minimum"] == 0
    assert worker.execute("/model", {"theCount": -1})["error"]["data"] == {"path": "$.theCount"}
    assert "`$.theCount`" in worker.execute("/misfit", {"theCount": 1})["error"]["message"]
    assert worker.execute("/assigned", {"theCount": 1})["error"]["code"] == -32003

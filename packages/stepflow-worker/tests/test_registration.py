"""The registration of components: parameters, types, names, and the reasons for a refusal."""

import asyncio
import contextlib
import dataclasses
import functools
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol, TypedDict, assert_type, cast

import msgspec
import pytest

from stepflow.worker import DuplicateComponent, RegistrationError, StepflowContext
from stepflow.worker import StepflowServer as Server


class AStruct(msgspec.Struct):
    a: int
    b: str | None = None


@dataclasses.dataclass
class ADataclass:
    a: int


class ATypedDict(TypedDict):
    a: int


@pytest.fixture
def server() -> Server:
    return Server()


def test_the_decorated_function_and_its_type_are_not_changed(server: Server) -> None:
    def double(input: int) -> int:
        return 2 * input

    bare = server.component(double)
    named = server.component(name="twice")(double)
    assert bare is double and named is double
    assert_type(bare(1), int)
    assert_type(named(1), int)
    assert list(server.components) == ["/double", "/twice"]


def test_a_leading_slash_is_added_once(server: Server) -> None:
    server.component(name="/a")(lambda input: input)
    server.component(name="b/c")(lambda input: input)
    assert list(server.components) == ["/a", "/b/c"]


def test_the_same_path_twice_names_the_other_function(server: Server) -> None:
    @server.component
    def first(input: int) -> int:
        return input

    with pytest.raises(DuplicateComponent, match=r"`/first` is already `.*first`"):
        server.component(name="first")(lambda input: input)
    assert server.components["/first"].function is first


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (Any, {}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (None, {"type": "null"}),
        (dict, {"type": "object"}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    ],
)
def test_schemas_come_from_the_types(server: Server, annotation: Any, schema: object) -> None:
    def f(input: Any) -> Any: ...

    f.__annotations__ = {"input": annotation, "return": annotation}
    server.component(f)
    info = server.components["/f"].info()
    assert (info.input_schema, info.output_schema) == (schema, schema)


@pytest.mark.parametrize("kind", [AStruct, ADataclass, ATypedDict])
def test_records_have_schemas_with_their_fields(server: Server, kind: Any) -> None:
    def f(input: Any) -> Any: ...

    f.__annotations__ = {"input": kind, "return": list[kind]}
    server.component(f)
    info = server.components["/f"].info()
    assert info.input_schema["$defs"][kind.__name__]["required"] == ["a"]
    assert info.output_schema["items"] == {"$ref": f"#/$defs/{kind.__name__}"}


def test_string_annotations_find_types_defined_beside_the_function(server: Server) -> None:
    class Local(msgspec.Struct):
        a: int

    @server.component
    def f(input: "Local") -> "list[Local]":
        return [input]

    assert "Local" in server.components["/f"].info().input_schema["$defs"]


def test_a_context_is_recognised_by_its_annotation_at_any_place(server: Server) -> None:
    @server.component
    def second(input: int, ctx: StepflowContext) -> None: ...

    @server.component
    def first(ctx: "StepflowContext | None", input: int) -> None: ...

    @server.component
    def keyword(input: int, *, ctx: StepflowContext | None = None) -> None: ...

    @server.component
    def by_name(input: int, context) -> None: ...  # type: ignore[no-untyped-def]

    @server.component
    def for_type_checkers_only(input: int, c: "elsewhere.StepflowContext") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for component in server.components.values():
        assert component.takes_context, component.path
        assert component.input.schema == {"type": "integer"}


def test_the_input_and_the_context_reach_their_parameters(server: Server) -> None:
    context = object.__new__(StepflowContext)

    @server.component
    def swapped(ctx: StepflowContext, value: int) -> Any:
        return ctx, value

    @server.component
    def keywords(*, value: int, context: StepflowContext) -> Any:
        return context, value

    @server.component
    def keyword_input(*, value: int) -> Any:
        return context, value

    @server.component
    def with_default(value: int, times: int = 1) -> Any:
        return context, value * times

    for component in server.components.values():
        assert component.invoke(7, context) == (context, 7), component.path


def _logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A usual decorator that does not support async functions."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Worker:
    def method(self, input: int) -> int:
        return input + 1

    async def async_method(self, input: int) -> int:
        return input + 1

    @staticmethod
    async def static(input: int) -> int:
        return input + 1

    @classmethod
    def of_class(cls, input: int) -> int:
        return input + 1

    def __call__(self, input: "AStruct") -> int:
        return input.a + 1


class AsyncCall:
    """Adds one."""

    async def __call__(self, input: int) -> int:
        return input + 1


def add(n: int, input: int) -> int:
    """Adds a number."""
    return input + n


async def add_later(n: int, input: int) -> int:
    return input + n


@functools.wraps(add_later)
async def wrapped(*args: Any) -> int:
    return await add_later(*args)


@_logged
def logged(input: int) -> int:
    return input + 1


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (lambda input: input + 1, False),
        (functools.partial(add, 1), False),
        (functools.partial(add, n=1), False),
        (functools.partial(add_later, 1), True),
        (functools.partial(wrapped, 1), True),
        (logged, False),
        (Worker().method, False),
        (Worker().async_method, True),
        (Worker.of_class, False),
        (Worker.static, True),
        (staticmethod(Worker.static), True),
        (staticmethod(Worker().method), False),
        (AsyncCall(), True),
    ],
)
def test_every_callable_with_one_input_can_be_served(
    server: Server, function: Callable[..., Any], is_async: bool
) -> None:
    server.component(name="f")(function)
    component = server.components["/f"]
    assert component.is_async is is_async
    output = component.invoke(1, None)
    assert (asyncio.run(output) if is_async else output) == 2


def test_a_callable_object_has_the_types_and_the_docstring_of_its_call(server: Server) -> None:
    server.component(name="a")(Worker())
    server.component(name="b")(AsyncCall())
    server.component(name="c")(functools.partial(add, 1))
    a, b, c = (each.info() for each in server.components.values())
    assert "AStruct" in a.input_schema["$defs"]
    assert (b.description, c.description) == ("Adds one.", "Adds a number.")


def test_a_context_may_be_annotated_with_a_base_class_or_a_protocol(server: Server) -> None:
    class HasRun(Protocol):
        run_id: str | None

    def f(input: int, context: Any) -> None: ...

    for each in (Any, object, HasRun, StepflowContext, StepflowContext | None, "Elsewhere"):
        f.__annotations__["context"] = each
        server.component(name=f"f{len(server.components)}")(f)
    assert all(each.takes_context for each in server.components.values())


def test_a_wrapper_that_runs_an_async_function_to_its_end_can_be_served(server: Server) -> None:
    @functools.wraps(add_later)
    def blocking(input: int) -> int:
        return asyncio.run(add_later(1, input))

    with pytest.raises(RegistrationError, match=r"served after `del wrapper\.__wrapped__`"):
        server.component(blocking)
    del blocking.__wrapped__
    server.component(blocking)
    assert server.components["/add_later"].invoke(1, None) == 2


def _no_input() -> None: ...
def _two_inputs(a: int, b: int) -> None: ...
def _only_context(context: StepflowContext) -> None: ...
def _varargs(*inputs: int) -> None: ...
def _keywords(input: int, **rest: int) -> None: ...
def _generator(input: int) -> Iterator[int]:
    yield input


async def _async_generator(input: int) -> AsyncIterator[int]:
    yield input


@contextlib.contextmanager
def _context_manager(input: int) -> Iterator[int]:
    yield input


@contextlib.asynccontextmanager
async def _async_context_manager(input: int) -> AsyncIterator[int]:
    yield input


class _Yields:
    def __call__(self, input: int) -> Iterator[int]:
        yield input


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class _Decorator:
    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


@_logged
async def _sync_around_async(input: int) -> int:
    return input


@_Decorator
async def _object_around_async(input: int) -> int:
    return input


def _two_defaults(x: int = 1, y: int = 2) -> None: ...
def _context_of_another_type(input: int, context: AStruct) -> None: ...
def _context_as_input(context: dict[str, Any]) -> None: ...
def _by_position(x: int, y: int = 1, ctx: StepflowContext | None = None, /) -> None: ...
def _two_contexts(input: int, a: StepflowContext, b: StepflowContext) -> None: ...
def _iterator(input: int) -> Iterator[int]:
    return iter([input])


class NotANumber(msgspec.Struct):
    x: list[float] = msgspec.field(default_factory=list)
    y: float = float("nan")


class HalfAPair(msgspec.Struct):
    x: Annotated[str, msgspec.Meta(title="\ud800")] = ""


class NoJson(msgspec.Struct):
    x: Any = msgspec.Raw(b"1")


def _not_a_number(input: NotANumber) -> None: ...
def _half_a_pair(input: int) -> HalfAPair:
    return HalfAPair()


def _no_json(input: NoJson) -> None: ...
def _escaping(input: int) -> None:
    """Looks \x1b[31mred."""


def _half_described(input: int) -> None: ...


_half_described.__doc__ = "Half a pair: \ud800."  # as a literal, Python 3.13 does not compile it


def _without_schema(input: complex) -> None: ...
def _without_schema_output(input: int) -> list[complex]:
    return [input]


def _unresolvable(input: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def _two_records(input: AStruct | ADataclass) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_no_input, "it takes none"),
        (_two_inputs, "it takes `a`, `b`"),
        (_only_context, "it takes none"),
        (_varargs, r"`\*inputs: int` takes more than one input"),
        (_keywords, "takes more than one input"),
        (_generator, "return a list instead"),
        (_without_schema, "input type has no JSON Schema.*complex"),
        (_without_schema_output, "output type has no JSON Schema.*complex"),
        (_unresolvable, "`Missing` cannot be resolved"),
        (_two_records, "more than one dict-like type"),
        (functools.partial(_two_inputs, 1), "give it one with `name=`"),
        (lambda input: input, "give it one with `name=`"),
        (_Yields(), "return a list instead"),
        (_context_manager, "it is a context manager, .*\nhint: register a function that enters it"),
        (_async_context_manager, "it is a context manager"),
        (functools.partial(_context_manager), "it is a context manager"),
        (_async_generator, "return a list instead"),
        (_logged(_two_inputs), "fields of one dataclass or Struct"),
        (_unwrapped(_no_input), r"shows its function's with `functools\.wraps`"),
        (_sync_around_async, r"make the wrapper an `async def`"),
        (_object_around_async, r"make the wrapper an `async def`"),
        (_two_defaults, r"it takes `x`, `y`\nhint: the input is the one without a default"),
        (_context_of_another_type, r"as `AStruct`\nhint: annotate it as `StepflowContext`"),
        (_context_as_input, r"as `dict\[str, typing.Any\]`\nhint: .* give the input another name"),
        (_two_contexts, "it takes `input`, `b`"),
        (_by_position, "`x` is given by position only"),
        (_iterator, "output type has no JSON Schema"),
        (AStruct, "it is a class"),
        ("a/path", "it is a `str`, no function; a path is given by `name=`"),
        (Worker.method, r"it takes `self`, `input`\nhint: register the method of an instance"),
        (_not_a_number, r"JSON Schema of its input .*NotANumber\.properties\.y\.default` is NaN"),
        (_half_a_pair, r"JSON Schema of its output .*x\.title` holds half of a surrogate pair"),
        (_no_json, "input type has no JSON Schema"),
        (_escaping, r"its description holds '\\x1b'"),
        (_half_described, r"its description holds '\\ud800'"),
    ],
)
def test_a_function_that_cannot_be_served_is_refused_with_the_reason(
    server: Server, function: Callable[..., Any], reason: str
) -> None:
    with pytest.raises(RegistrationError, match=f"(?s)cannot be a component: .*{reason}"):
        server.component(function)
    assert not server.components


def _add(input: int) -> int:
    return input


@pytest.mark.parametrize(
    ("register", "said"),
    [
        (
            lambda server: server.component(name=3)(_add),
            "`_add` .* its name is a `int`, not a text",
        ),
        (lambda server: server.component(name=b"a")(_add), "its name is a `bytes`, not a text"),
        (lambda server: server.component(name=False)(_add), "its name is a `bool`, not a text"),
        (lambda server: server.include(3), "`include` .* a `int` is not a `StepflowServer`"),
        (lambda server: server.include(Server), "`include` .* a `type` is not a `StepflowServer`"),
        (lambda server: server.include(Server(), prefix=3), "its prefix is a `int`, not a text"),
        (lambda server: server.include(Server(), prefix=None), "its prefix is a `NoneType`"),
        (lambda server: server.langchain_component(3), "it is a `int`, no function"),
        (lambda server: server.add_builtins(3), r"`builtins` .*a `int` .*list of names"),
        (lambda server: Server(builtins=cast(Any, True)), r"`builtins` .*a `bool` .*list of names"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_with_its_name(
    server: Server, register: Callable[[Any], object], said: str
) -> None:
    with pytest.raises(RegistrationError, match=f"(?s){said}"):
        register(server)
    assert not server.components


PYDANTIC_REFUSED = """
import enum, typing
import msgspec
ANNOTATED_TYPES
from stepflow.worker import StepflowServer
server = StepflowServer()

class Struct(msgspec.Struct):
    n: AtLeast0

class NoSchema(Base):
    n: enum.auto

@server.component
def refused(input: INPUT) -> OUTPUT:
    return input
"""
WITH_PYDANTIC = """
import dataclasses, pydantic, typing_extensions
AtLeast0 = typing.Annotated[int, pydantic.Field(ge=0)]
Both = typing.Annotated[int, msgspec.Meta(le=9), pydantic.Field(ge=0)]
class Base(pydantic.BaseModel, arbitrary_types_allowed=True):
    pass
Short = typing.Annotated[str, msgspec.Meta(max_length=1)]
class WithMeta(pydantic.BaseModel):
    later: "Later | None" = None
class Later(pydantic.BaseModel):
    x: Short
@dataclasses.dataclass
class Inner:
    n: typing.Annotated[int, msgspec.Meta(ge=0)]
class WithInner(pydantic.BaseModel):
    inner: list[Inner]
@dataclasses.dataclass
class Configured:
    __pydantic_config__ = pydantic.ConfigDict(str_max_length=1)
    x: Short
@pydantic.with_config(pydantic.ConfigDict(str_max_length=1))
class Typed(typing_extensions.TypedDict):
    x: Short
class Silent:
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        raise ValueError
class Plain:
    pass
class Misfit(pydantic.BaseModel):
    n: int = pydantic.Field(max_length=3)
def constrained(kind, **constraint):
    return typing.Annotated[kind, pydantic.Field(**constraint)]
"""
WITHOUT_PYDANTIC = """
import annotated_types
AtLeast0 = typing.Annotated[int, annotated_types.Ge(0)]
Base = object
"""


@pytest.mark.parametrize(
    ("imports", "kind", "reason"),
    [
        (
            WITH_PYDANTIC,
            "Struct",
            "it has pydantic's `FieldInfo.*` and the Struct `Struct`, which nothing reads both\n.*Meta",
        ),
        (
            WITH_PYDANTIC,
            "Base | Plain",
            "Unable to generate pydantic-core schema for <class .*Plain'>\n",
        ),
        (WITH_PYDANTIC, "Silent", r"ValueError\(\)\n"),
        (WITH_PYDANTIC, "WithMeta", "it has msgspec's `Meta` and pydantic's"),
        (WITH_PYDANTIC, "WithInner", "it has msgspec's `Meta` and pydantic's"),
        (WITH_PYDANTIC, "Configured", "it has msgspec's `Meta` and pydantic's"),
        (WITH_PYDANTIC, "Typed", "it has msgspec's `Meta` and pydantic's"),
        (WITH_PYDANTIC, "NoSchema", "Cannot generate a JsonSchema"),
        (WITH_PYDANTIC, "dict[str, Both]", "it has msgspec's `Meta` and pydantic's `Field"),
        (
            WITH_PYDANTIC,
            "constrained(int, max_length=3)",
            "the constraint `max_length` does not fit `int`\nhint: leave it out, or",
        ),
        (WITH_PYDANTIC, "list[Misfit]", "the constraint `max_length` does not fit `int`"),
        (
            WITH_PYDANTIC,
            "constrained(str, ge=3, min_length=2)",
            "the constraint `ge` does not fit `str`",
        ),
        (
            WITH_PYDANTIC,
            "constrained(int, pattern='a')",
            "the constraint `pattern` does not fit `int`",
        ),
        (WITH_PYDANTIC, "constrained(int | str, ge=0)", "the constraint `ge` does not fit `str`"),
        (WITH_PYDANTIC, "constrained(list[int], gt=0)", "the constraint `gt` does not fit `list`"),
        (
            WITH_PYDANTIC,
            "constrained(typing.Optional[int], max_length=3)",
            "the constraint `max_length` does not fit `int`",
        ),
        (
            WITH_PYDANTIC,
            "constrained(str, pattern='(')",
            'Error building "str" validator: unclosed group\nhint: correct what its `Field`s say',
        ),
        (WITH_PYDANTIC, "constrained(str, pattern='(?=a)')", ".*look-around, .* is not supported"),
        (WITHOUT_PYDANTIC, "AtLeast0", r"only pydantic reads `Ge\(ge=0\)`, and it is not imported"),
    ],
)
@pytest.mark.parametrize("role", ["input", "output"])
def test_a_type_that_no_library_reads_is_refused_with_the_reason(
    imports: str, kind: str, reason: str, role: str, tmp_path: Path
) -> None:
    pytest.importorskip("pydantic", reason="pydantic is not installed")
    source = PYDANTIC_REFUSED.replace("ANNOTATED_TYPES", imports)
    source = source.replace("INPUT", kind if role == "input" else "int")
    source = source.replace("OUTPUT", kind if role == "output" else "int")
    (tmp_path / "components.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "stepflow.worker", "components.py", "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode != 0
    expected = f"`refused` cannot be a component: its {role} type has no JSON Schema: {reason}"
    assert re.search(expected, done.stderr), done.stderr


def test_constraints_on_the_result_of_a_validator_are_served(server: Server) -> None:
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed")
    length = Annotated[str, pydantic.AfterValidator(len), pydantic.Field(ge=3)]
    multiple = Annotated[bool, pydantic.Field(multiple_of=1)]
    for index, kind in enumerate((length, multiple, Annotated[int | float, pydantic.Field(ge=0)])):

        def reads(input: kind) -> None: ...  # type: ignore[valid-type]

        server.component(name=f"{index}")(reads)
    assert len(server.components) == 3


@pytest.mark.parametrize("version", [1.4, "\ud800", "1\n2", "\x1b[2J"])
def test_an_invalid_version_is_refused(version: Any) -> None:
    with pytest.raises(ValueError, match=r"version=.*write a text"):
        Server(version=version)


def test_a_worker_without_extras_loads_none_of_them() -> None:
    code = "import sys, stepflow.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "fastapi", "uvicorn", "stepflow.worker._http"} & set(
        done.stdout.split()
    )

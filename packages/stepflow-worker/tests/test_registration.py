"""What becomes a component: parameters, types, names, and the reasons for a refusal."""

import dataclasses
import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict, assert_type

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


def test_the_decorated_function_stays_itself_with_its_type(server: Server) -> None:
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


def test_a_context_is_known_by_annotation_wherever_it_stands(server: Server) -> None:
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


def _no_input() -> None: ...
def _two_inputs(a: int, b: int) -> None: ...
def _only_context(context: StepflowContext) -> None: ...
def _varargs(*inputs: int) -> None: ...
def _keywords(input: int, **rest: int) -> None: ...
def _generator(input: int) -> Iterator[int]:
    yield input


def _undescribable(input: complex) -> None: ...
def _undescribable_output(input: int) -> list[complex]:
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
        (_undescribable, "input type has no JSON Schema.*complex"),
        (_undescribable_output, "output type has no JSON Schema.*complex"),
        (_unresolvable, "`Missing` cannot be resolved"),
        (_two_records, "more than one dict-like type"),
        (functools.partial(_two_inputs, 1), "give it one with `name=`"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_reason(
    server: Server, function: Callable[..., Any], reason: str
) -> None:
    with pytest.raises(RegistrationError, match=f"(?s)cannot be a component: .*{reason}"):
        server.component(function)
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
import pydantic
AtLeast0 = typing.Annotated[int, pydantic.Field(ge=0)]
Both = typing.Annotated[int, msgspec.Meta(le=9), pydantic.Field(ge=0)]
class Base(pydantic.BaseModel, arbitrary_types_allowed=True):
    pass
"""
WITHOUT_PYDANTIC = """
import annotated_types
AtLeast0 = typing.Annotated[int, annotated_types.Ge(0)]
Base = object
"""


@pytest.mark.parametrize(
    ("imports", "kind", "reason"),
    [
        (WITH_PYDANTIC, "Struct", "Unable to generate pydantic-core schema for .*Struct"),
        (WITH_PYDANTIC, "NoSchema", "Cannot generate a JsonSchema"),
        (WITH_PYDANTIC, "dict[str, Both]", "it has msgspec's `Meta` and pydantic's `Field"),
        (WITHOUT_PYDANTIC, "AtLeast0", r"only pydantic reads `Ge\(ge=0\)`, and it is not imported"),
    ],
)
@pytest.mark.parametrize("role", ["input", "output"])
def test_a_type_that_nobody_can_read_whole_is_refused_with_the_reason(
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


def test_a_worker_without_extras_loads_none_of_them() -> None:
    code = "import sys, stepflow.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "fastapi", "uvicorn", "stepflow.worker._http"} & set(
        done.stdout.split()
    )

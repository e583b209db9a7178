"""Makes flow documents in Python."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar, cast

import msgspec

from stepflow.protocol._canonical import Json, canonical, constant, expression
from stepflow.protocol._checks import check_id, check_references, known_step, written_span
from stepflow.protocol._paths import Path, format_path
from stepflow.protocol._texts import checked_text
from stepflow.protocol._values import Constant, Data, StepHandle
from stepflow.protocol.errors import InvalidFlow
from stepflow.protocol.flow import Flow, OnError

T = TypeVar("T")

_SCHEMAS: Path = ("schemas", "properties")


class FlowBuilder:
    """Collects the parts of a flow; `build` makes the flow.

        builder = FlowBuilder(name="greeting")
        greet = builder.add_step(
            id="greet", component="/python/greet", input_data={"name": Value.input()["name"]}
        )
        builder.set_output(greet["text"])
        flow = builder.build()

    Every method raises `InvalidFlow` at once when an argument cannot be a part of a flow. The arguments are
    copied: if you change them later, the flow does not change.

    timeout: how long a whole run may take: a text such as `"1h30m"`, a number of seconds or a `timedelta`.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        description: str | None = None,
        version: str | None = None,
        timeout: str | float | timedelta | None = None,
    ) -> None:
        self._head: dict[str, Json] = {
            "name": _text(name, ("name",)),
            "description": _text(description, ("description",)),
            "version": _text(version, ("version",)),
            "timeout": written_span(timeout, ("timeout",)),
        }
        self._steps: dict[str, dict[str, Json]] = {}
        self._output: Json = None
        self._definitions: dict[str, Json] = {}
        self._schemas: dict[str, Json] = {}
        self._step_schemas: dict[str, Json] = {}
        self._variables: dict[str, Json] = {}
        self._required: list[Json] = []
        self._examples: dict[str, Json] = {}
        self._metadata: dict[str, Json] = {}

    def add_step(
        self,
        *,
        id: str,
        component: str,
        input_data: Data = None,
        on_error: OnError | None = None,
        must_execute: bool | None = None,
        timeout: str | float | timedelta | None = None,
        metadata: Mapping[str, Constant] | None = None,
    ) -> StepHandle:
        """Add a step that calls a component, and return a handle that stands for its result.

        component: a path such as `/python/greet`.
        input_data: JSON values and `Value`s. A `Flow` in it is passed on as a flow. An object with a key of the
        language, such as `$step`, may have only the other keys that belong to it.
        timeout: how long one attempt may take: a text such as `"30s"`, a number of seconds or a `timedelta`.
        """
        at: Path = ("steps", len(self._steps))
        id = checked_text(id, (*at, "id"))
        component = checked_text(component, (*at, "component"))
        check_id(id, (*at, "id"))
        if id in self._steps:
            raise InvalidFlow(format_path((*at, "id")), f"there is another step `{id}` already")
        if not component.startswith("/"):
            name = component.strip().lstrip("/")
            raise InvalidFlow(
                format_path((*at, "component")),
                f"the component `{component}` is not a path: it must start with `/`",
                f"write `/{name}`" if name else "write a path such as `/python/greet`",
            )
        step: dict[str, Json] = {
            "id": id,
            "component": component,
            "onError": _on_error(on_error, (*at, "onError")),
            "input": expression(input_data, (*at, "input"), self),
            "mustExecute": _given(must_execute, bool, "a truth value", (*at, "mustExecute")),
            "metadata": constant(
                _given(metadata, Mapping, "an object", (*at, "metadata")), (*at, "metadata")
            ),
            "timeout": written_span(timeout, (*at, "timeout")),
        }
        self._steps[id] = step
        return StepHandle(id, owner=self)

    def set_output(self, output: Data) -> None:
        """Set the flow's result. The last call counts."""
        self._output = expression(output, ("output",), self)

    def add_input_schema(self, schema: Mapping[str, Constant]) -> None:
        """Add the JSON Schema of the run's input. The server checks the input before any step runs."""
        self._add_schema("schema", self._schemas, "input", schema, _SCHEMAS)

    def add_output_schema(self, schema: Mapping[str, Constant]) -> None:
        """Add the JSON Schema of the flow's result."""
        self._add_schema("schema", self._schemas, "output", schema, _SCHEMAS)

    def add_step_schema(self, step: str | StepHandle, schema: Mapping[str, Constant]) -> None:
        """Add the JSON Schema of a step's result."""
        id = step.id if isinstance(step, StepHandle) else step
        at = (*_SCHEMAS, "steps", "properties")
        self._add_schema("schema", self._step_schemas, id, schema, at)

    def add_definition(self, name: str, schema: Mapping[str, Constant]) -> None:
        """Add a JSON Schema that other schemas can use as `{"$ref": "#/schemas/$defs/<name>"}`."""
        self._add_schema("definition", self._definitions, name, schema, ("schemas", "$defs"))

    def add_variable(
        self, name: str, schema: Mapping[str, Constant], *, required: bool = False
    ) -> None:
        """Add a variable. `default`, `env_var` and `is_secret` are members of its schema."""
        at = (*_SCHEMAS, "variables", "properties")
        self._add_schema("variable", self._variables, name, schema, at)
        if required:
            self._required.append(name)

    def add_example(self, name: str, input: Constant, *, description: str | None = None) -> None:
        """Add an input that shows how the flow is used."""
        at = ("examples", len(self._examples), "description")
        described = _text(description, at)
        example: dict[str, Constant] = {"name": name, "description": described, "input": input}
        self._add("example", self._examples, name, example, ("examples",))

    def add_metadata(self, key: str, value: Constant) -> None:
        """Add any JSON value. The engine does not read it."""
        self._add("member", self._metadata, key, value, ("metadata",))

    def build(self) -> Flow:
        """Return the flow.

        Raises `InvalidFlow` when a reference names a step that does not exist, or steps need each other.
        """
        for id in self._step_schemas:
            known_step(("schemas", "properties", "steps", "properties", id), id, self._steps)
        document = canonical(
            {
                **self._head,
                "schemas": self._schemas_section(),
                "steps": [*self._steps.values()],
                "output": self._output,
                "examples": [*self._examples.values()],
                "metadata": self._metadata,
            }
        )
        check_references(document)
        return msgspec.convert(document, Flow)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the flow's document in canonical form, as JSON on one line, or indented by `indent` spaces.

        Raises `InvalidFlow` as `build` does.
        """
        text = msgspec.json.encode(canonical(self.build()))
        return (msgspec.json.format(text, indent=indent) if indent else text).decode()

    def _add_schema(
        self, what: str, parts: dict[str, Json], name: str, schema: Constant, where: Path
    ) -> None:
        if not isinstance(schema, Mapping | bool):
            kind = type(schema).__name__
            problem = f"a JSON Schema belongs here, an object, not a `{kind}`"
            raise InvalidFlow(format_path((*where, str(name))), problem)
        self._add(what, parts, name, schema, where)

    def _add(
        self, what: str, parts: dict[str, Json], name: str, part: Constant, where: Path
    ) -> None:
        name = checked_text(name, where)
        if name in parts:
            at = format_path((*where, name))
            raise InvalidFlow(at, f"there is another {what} `{name}` already")
        parts[name] = constant(part, (*where, name))

    def _schemas_section(self) -> dict[str, Json]:
        parts = dict(self._schemas)
        if self._variables:
            variables: dict[str, Json] = {"type": "object", "properties": self._variables}
            if self._required:
                variables["required"] = self._required
            parts["variables"] = variables
        if self._step_schemas:
            parts["steps"] = {"type": "object", "properties": self._step_schemas}
        section: dict[str, Json] = {"type": "object"}
        if self._definitions:
            section["$defs"] = self._definitions
        if parts:
            section["properties"] = parts
        return section


def _text(text: str | None, at: Path) -> str | None:
    return None if text is None else checked_text(text, at)


def _given(value: T, kind: type, named: str, at: Path) -> T:
    """Return a member's value, which may be None. Raises `InvalidFlow` when it is of another type."""
    if value is None or isinstance(value, kind):
        return value
    problem = f"{named} belongs here, not a `{type(value).__name__}`"
    raise InvalidFlow(format_path(at), problem)


def _on_error(on_error: OnError | None, at: Path) -> Json:
    if on_error is None:
        return None
    document = constant(cast(Constant, msgspec.to_builtins(on_error)), at)
    try:
        msgspec.convert(document, OnError)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        raise InvalidFlow(format_path(at) + place.rstrip("`"), problem) from None
    match document:
        case {"backoff": dict(backoff)}:
            _check_backoff(backoff, (*at, "backoff"))
    return document


def _check_backoff(backoff: Mapping[str, Json], at: Path) -> None:
    for key in ("delay", "initial", "max"):
        written_span(cast("str | float | None", backoff.get(key)), (*at, key))
    match backoff.get("factor"):
        case int() | float() as factor if not 1 <= factor < math.inf:
            problem = f"the factor {factor} is less than 1"
            raise InvalidFlow(format_path((*at, "factor")), problem)

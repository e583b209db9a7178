"""`stepflow-worker --list`: the components as a table for people, or as JSON for programs."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from stepflow.protocol import ComponentInfo, ComponentsListResult

DEPTH = 2
"""How many levels of nested objects are written out; deeper ones are `{…}`."""


def as_json(components: Iterable[ComponentInfo]) -> str:
    """Return the answer to `components/list`, indented."""
    text = msgspec.json.encode(ComponentsListResult(list(components)))
    return msgspec.json.format(text, indent=2).decode()


def as_table(components: Iterable[ComponentInfo]) -> str:
    """Return the components with their types and the first lines of their descriptions, in columns."""
    rows = [("COMPONENT", "INPUT", "OUTPUT", "DESCRIPTION")]
    for each in components:
        first_line = (each.description or "").strip().partition("\n")[0]
        types = (short_type(each.input_schema), short_type(each.output_schema))
        rows.append((each.component, *types, first_line))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def short_type(schema: object) -> str:
    """Return a JSON Schema as a short type: `{rows: [{…}], limit?: integer}`."""
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    return _Writer(definitions).type(schema, DEPTH)


class _Writer:
    """Writes one schema. A definition that contains itself is written as its name there."""

    def __init__(self, definitions: dict[str, object]) -> None:
        self._definitions = definitions
        self._open: list[str] = []

    def type(self, schema: object, depth: int) -> str:
        if not isinstance(schema, dict):
            return "never" if schema is False else "any"
        match schema:
            case {"$ref": str(reference)}:
                return self._definition(reference.rpartition("/")[2], depth)
            case {"const": value}:
                return _literal(value)
            case {"enum": [*values]}:
                return _either(map(_literal, values))
            case {"anyOf": [*choices]} | {"oneOf": [*choices]}:
                return _either(self.type(each, depth) for each in choices)
            case {"type": [*kinds]}:
                return _either(self._of_kind(each, schema, depth) for each in kinds)
            case {"type": kind}:
                return self._of_kind(kind, schema, depth)
            case {"properties": _}:
                return self._object(schema, depth)
        return "any"

    def _definition(self, name: str, depth: int) -> str:
        if name in self._open:
            return name
        self._open.append(name)
        written = self.type(self._definitions.get(name), depth)
        self._open.pop()
        return written

    def _of_kind(self, kind: object, schema: dict[str, Any], depth: int) -> str:
        match kind, schema:
            case "array", {"prefixItems": [*places]}:
                return f"[{', '.join(self.type(each, depth) for each in places)}]"
            case "array", _:
                return f"[{self.type(schema.get('items'), depth)}]"
            case "object", _:
                return self._object(schema, depth)
        return str(kind)

    def _object(self, schema: dict[str, Any], depth: int) -> str:
        match schema:
            case {"properties": dict(fields)} if fields:
                return self._fields(fields, schema.get("required", ()), depth)
            case {"additionalProperties": dict(values)} if values:
                return f"{{*: {self.type(values, depth)}}}"
        return "object"

    def _fields(self, fields: dict[str, Any], required: Iterable[str], depth: int) -> str:
        if depth == 0:
            return "{…}"
        written = (
            f"{name}{'' if name in required else '?'}: {self.type(field, depth - 1)}"
            for name, field in fields.items()
        )
        return f"{{{', '.join(written)}}}"


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _either(types: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(types))

"""`stepflow-worker --list`: a table for people, JSON for programs, and nothing else on stdout."""

import json
from typing import TYPE_CHECKING

import pytest

from stepflow.worker._command.listing import short_type

if TYPE_CHECKING:
    from conftest import Run

COMPONENTS = '''
import msgspec
from stepflow.worker import StepflowServer
print("a print while it is imported")

class Query(msgspec.Struct):
    rows: list[dict[str, str]]
    limit: int | None = None

server = StepflowServer()

@server.component
def search(input: Query) -> list[str]:
    """Finds rows.

    More about it."""

@server.component(name="count", description="Counts.")
def counted(input) -> int: ...
'''


def test_components_are_a_table(run: "Run") -> None:
    done = run("components.py", "--list", components=COMPONENTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "COMPONENT  INPUT                                          OUTPUT    DESCRIPTION",
        "/search    {rows: [{*: string}], limit?: integer | null}  [string]  Finds rows.",
        "/count     any                                            integer   Counts.",
    ]


def test_components_are_json_as_the_server_gets_them(run: "Run") -> None:
    done = run("components.py", "--list", "--format", "json", components=COMPONENTS)
    listed = json.loads(done.stdout)["components"]
    assert [each["component"] for each in listed] == ["/search", "/count"]
    assert listed[1]["output_schema"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (None, "any"),
        ({}, "any"),
        (False, "never"),
        ({"type": "object"}, "object"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "array"}, "[any]"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {}]}, "[string, any]"),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"const": "a"}, '"a"'),
        ({"properties": {"a": {}}, "required": ["a"]}, "{a: any}"),
        (
            {"properties": {"a": {"properties": {"b": {"properties": {"c": {}}}}}}},
            "{a?: {b?: {…}}}",
        ),
        (
            {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"t": {"$ref": "#/$defs/T"}}}}},
            "{t?: T}",
        ),
    ],
)
def test_a_schema_is_written_as_a_type(schema: object, text: str) -> None:
    assert short_type(schema) == text

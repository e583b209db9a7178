"""Writes what follows from the Rust types: the golden schemas, and from them the Python types.

    uv run python generate.py            write all files
    uv run python generate.py --check    exit 1 and name each file that is stale or was edited by hand

Rust types -> `stepflow-server schema NAME` -> schemas/NAME.json -> datamodel-code-generator -> _generated/NAME.py
"""

import argparse
import ast
import inspect
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepflow.orchestrator import BinaryNotFound, find_server_binary

ROOT = Path(__file__).resolve().parent
PYTHON_TYPES = ROOT / "packages/stepflow-protocol/src/stepflow/protocol/_generated"

SCHEMAS = {
    "protocol": "The messages between a server and its workers.",
    "flow": "The flow document.",
}

# Schemas that only editors use: no Python types are made from them.
GOLDEN_ONLY = ("config",)

BANNER = '''\
"""{what}

Generated from `schemas/{name}.json` by `uv run python generate.py`. Do not edit: see the README in this folder.
"""

'''

CODEGEN = [
    "--input-file-type=jsonschema",
    "--output-model-type=msgspec.Struct",
    "--base-class=stepflow.protocol._message.Message",
    "--target-python-version=3.11",
    "--set-default-enum-member",
    "--snake-case-field",
    "--use-annotated",
    "--use-field-description",
    "--use-msgspec-tagged-unions",
    "--use-schema-description",
    "--use-standard-collections",
    "--use-tag-as-union-variant-name",
    "--use-title-as-name",
    "--use-union-operator",
    "--disable-timestamp",
    "--disable-warnings",
    "--no-formatters",  # ruff runs last, over the finished text
]

# Members whose name in JSON makes no good name in Python.
ALIASES = {"$defs": "defs"}


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the golden schemas and the Python types.")
    parser.add_argument("--check", action="store_true", help="only say which files are stale")
    check = parser.parse_args().check
    try:
        generated = dict(outputs(find_server_binary()))
    except BinaryNotFound as error:
        print(f"{error}\nhint: build it with `uv sync`", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"`{error.cmd[0]}` failed:\n{error.stderr}", file=sys.stderr)
        return 1

    changed = [path for path, text in generated.items() if text_of(path) != text]
    for path in changed:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(generated[path], encoding="utf-8", newline="\n")
        print(f"{'stale' if check else 'wrote'}: {path.relative_to(ROOT)}", file=sys.stderr)
    if check and changed:
        print("hint: run `uv run python generate.py`", file=sys.stderr)
    return 1 if check and changed else 0


def outputs(server: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file with the text that it should have."""
    for name, what in SCHEMAS.items():
        schema = run([str(server), "schema", name])
        yield ROOT / "schemas" / f"{name}.json", schema
        types = python_types(json.loads(schema))
        yield PYTHON_TYPES / f"{name}.py", formatted(BANNER.format(what=what, name=name) + types)
    for name in GOLDEN_ONLY:
        yield ROOT / "schemas" / f"{name}.json", run([str(server), "schema", name])


def text_of(path: Path) -> str | None:
    return path.read_bytes().decode() if path.is_file() else None


def run(command: list[str], text: str = "") -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, check=True, encoding="utf-8", cwd=ROOT
    )
    return done.stdout


# From schema to Python


def python_types(schema: dict[str, Any]) -> str:
    """The msgspec types of every definition, as unformatted Python."""
    with tempfile.TemporaryDirectory() as folder:
        source, aliases = Path(folder, "schema.json"), Path(folder, "aliases.json")
        readable = integers_kept(absent_for_null(schema))
        source.write_text(json.dumps(readable), encoding="utf-8")
        aliases.write_text(json.dumps(ALIASES), encoding="utf-8")
        target = Path(folder, "types.py")
        options = [f"--input={source}", f"--output={target}", f"--aliases={aliases}", *CODEGEN]
        if "type" not in schema:  # a bag of definitions: the document as a whole is not a type
            options.append("--skip-root-model")
        run([str(Path(sys.executable).with_name("datamodel-codegen")), *options])
        tree = ast.parse(target.read_text(encoding="utf-8"))
    return ast.unparse(ast.fix_missing_locations(Readable().visit(tree)))


def absent_for_null(schema: Any) -> Any:
    """The schema with every optional member's `null` taken out: null means absent."""
    if isinstance(schema, list):
        return [absent_for_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: absent_for_null(value) for key, value in schema.items()}
    properties = schema.get("properties")
    if isinstance(properties, dict):
        optional = properties.keys() - set(schema.get("required", []))
        schema["properties"] = {
            name: without_null(member) if name in optional else member
            for name, member in properties.items()
        }
    return schema


def without_null(member: dict[str, Any]) -> dict[str, Any]:
    match member:
        case {"type": list(types)}:
            rest = [each for each in types if each != "null"]
            return {**member, "type": rest[0] if len(rest) == 1 else rest}
        case {"anyOf": [*choices]} if {"type": "null"} in choices and len(choices) == 2:
            others = {key: value for key, value in member.items() if key != "anyOf"}
            return {**next(each for each in choices if each != {"type": "null"}), **others}
        case {"default": None}:
            return {key: value for key, value in member.items() if key != "default"}
    return member


def integers_kept(schema: Any) -> Any:
    """The schema with `integer` named together with each `number`: read as a float, `30` would become `30.0`."""
    if isinstance(schema, list):
        return [integers_kept(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: integers_kept(value) for key, value in schema.items()}
    types = schema.get("type")
    types = [types] if isinstance(types, str) else types
    if isinstance(types, list) and "number" in types and "integer" not in types:
        place = types.index("number")
        schema["type"] = [*types[:place], "integer", *types[place:]]
    return schema


class Readable(ast.NodeTransformer):
    """Rewrites generated types as a person would have written them.

    An optional member is `T | None = None` instead of `T | UnsetType = UNSET`: null means absent.
    Descriptions stay in docstrings alone, and those on one line.
    """

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        match node.value:
            case ast.Constant(value=str(text)) if '"""' not in text and "\\" not in text:
                if "\n" not in (line := inspect.cleandoc(text)):
                    # As a name, because `unparse` would write a plain string.
                    node.value = ast.Name(id=f'"""{line}"""', ctx=ast.Load())
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.BinOp(left=ast.Name(id="Any") as anything, right=ast.Name(id="UnsetType")):
                return anything  # which includes `None`
            case ast.BinOp(right=ast.Name(id="UnsetType") as unset):
                unset.id = "None"
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "UNSET":
            node.id = "None"
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Subscript(
                value=ast.Name(id="Annotated"),
                slice=ast.Tuple(elts=[annotated, ast.Call(func=ast.Name(id="Meta")) as meta]),
            ):
                meta.keywords = [
                    each for each in meta.keywords if each.arg not in ("description", "title")
                ]
                return node if meta.keywords else annotated
        return node


def formatted(source: str) -> str:
    ruff = str(Path(sys.executable).with_name("ruff"))
    # Outside the project's settings: they leave generated code alone.
    options = ["--isolated", "--line-length=100", "--target-version=py311"]
    rules = ["--select=I,F401,UP", "--fix-only", "--quiet"]
    source = run([ruff, "check", *options, *rules, "-"], source)
    return run([ruff, "format", *options, "-"], source)


if __name__ == "__main__":
    sys.exit(main())

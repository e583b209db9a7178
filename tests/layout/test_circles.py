"""No module imports itself through other modules, in Python and in Rust; in Python no folder does, either."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

Arrows = dict[str, set[str]]
"""The modules that each module uses."""

_USE = re.compile(r"(pub(?:\([a-z ]+\))?\s+)?\buse\s+([^;]+);")
_INLINE = re.compile(r"(?<![\w:])(?:crate|super|self)(?:::\w+)+")


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of two or more modules that reach each other, each sorted (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for used in sorted(arrows.get(module, ())):
            if used not in index:
                visit(used)
                low[module] = min(low[module], low[used])
            elif used in stack:
                low[module] = min(low[module], index[used])
        if low[module] == index[module]:
            at = stack.index(module)
            group, stack[at:] = stack[at:], []
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(arrows):
        if module not in index:
            visit(module)
    return found


class RustCrate:
    """The modules of a crate by their paths, `worker::pool`; the root is the empty one."""

    def __init__(self, source: Path) -> None:
        self.texts = {_rust_module(source, file): _rust_code(file) for file in source.rglob("*.rs")}
        self.exports: dict[str, dict[str, str]] = {
            module: dict(self._named(module, text)) for module, text in self.texts.items()
        }

    def arrows(self) -> Arrows:
        """Return what each module uses: with `use`, and with paths in its code.

        A module and the modules inside it belong together: what these use of the outer one does not
        count.
        """
        return {
            module: {used for used in self._used(module, text) if not _is_around(used, module)}
            for module, text in self.texts.items()
        }

    def _used(self, module: str, text: str) -> Iterator[str]:
        for visibility, tree in _USE.findall(text):
            # If a module only re-exports something, the modules that import it there use it.
            if not visibility:
                yield from (self._home(self._absolute(module, path)) for path in _paths(tree))
        body = _USE.sub("", text)
        yield from (self._home(self._absolute(module, path)) for path in _INLINE.findall(body))
        for child in re.findall(r"^\s*(?:pub(?:\([a-z ]+\))?\s+)?mod (\w+);", text, re.MULTILINE):
            for path in re.findall(rf"(?<![\w:]){child}::\w+", body):
                yield self._home(self._absolute(module, path))

    def _named(self, module: str, text: str) -> Iterator[tuple[str, str]]:
        """Return the names that a module imports, and what they mean."""
        for _, tree in _USE.findall(text):
            for path in _paths(tree):
                yield path.rpartition("::")[2], self._absolute(module, path)

    def _absolute(self, module: str, path: str) -> str:
        first, *rest = path.split("::")
        here = module.split("::") if module else []
        if first == "crate":
            here = []
        elif first == "super":
            here = here[:-1]
            while rest and rest[0] == "super":
                here, rest = here[:-1], rest[1:]
        elif first != "self":
            rest = [first, *rest]
        return "::".join([*here, *rest])

    def _home(self, path: str, seen: frozenset[str] = frozenset()) -> str:
        """Return the module that defines the item at this path; the root for an item of another crate."""
        module, _, name = path.rpartition("::")
        if path in self.texts:
            return path
        while module and module not in self.texts:
            module, _, name = module.rpartition("::")
        target = self.exports.get(module, {}).get(name)
        if target is not None and target not in seen and target != path:
            return self._home(target, seen | {path})
        return module


def _is_around(module: str, inner: str) -> bool:
    return module in ("", inner) or inner.startswith(f"{module}::")


def _rust_module(source: Path, file: Path) -> str:
    parts = list(file.relative_to(source).with_suffix("").parts)
    if parts[-1] in ("mod", "lib", "main"):
        parts.pop()
    return "::".join(parts)


def _rust_code(file: Path) -> str:
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"#\[cfg\(test\)\]\s*mod \w+ \{.*", "", text, flags=re.DOTALL)


def _paths(tree: str) -> Iterator[str]:
    """Return the paths that a `use` names: `a::{b, c::D as E}` names `a::b` and `a::c::D`."""
    tree = re.sub(r"\s+as\s+\w+", "", re.sub(r"\s+", " ", tree)).strip()
    brace = tree.find("{")
    if brace < 0:
        yield tree.replace("::self", "")
        return
    before, inner = tree[:brace], tree[brace + 1 : tree.rindex("}")]
    depth, start = 0, 0
    for at, character in enumerate([*inner, ","]):
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            if part := "".join(inner[start:at]).strip():
                yield from _paths(before + part)
            start = at + 1


def python_arrows(source: Path) -> Arrows:
    """Return what each module imports, anywhere in it, also for type checkers only."""
    files = {_python_module(source, file): file for file in source.rglob("*.py")}
    return {module: set(_imported(file, module, files)) for module, file in files.items()}


def between_folders(arrows: Arrows) -> Arrows:
    """Return what the folders directly in a package use of each other; a module outside them stands for itself."""
    found: Arrows = {}
    for module, used in arrows.items():
        found.setdefault(_folder(module), set()).update(map(_folder, used))
    return {folder: used - {folder} for folder, used in found.items()}


def _folder(module: str) -> str:
    return ".".join(module.split(".")[:3])


def _python_module(source: Path, file: Path) -> str:
    parts = file.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(file: Path, own: str, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in files else node.module for name in inside]
        yield from (name for name in names if name in files and name != own)


def test_no_rust_module_needs_itself(root: Path) -> None:
    found = {
        crate.name: circles(RustCrate(crate / "src").arrows())
        for crate in sorted(root.glob("packages/stepflow-orchestrator/crates/*"))
    }
    assert {crate: groups for crate, groups in found.items() if groups} == {}


def test_no_python_module_needs_itself(distributions: dict[str, Path]) -> None:
    found = {name: circles(python_arrows(folder / "src")) for name, folder in distributions.items()}
    assert {name: groups for name, groups in found.items() if groups} == {}


def test_no_python_folder_needs_itself(distributions: dict[str, Path]) -> None:
    found = {
        name: circles(between_folders(python_arrows(folder / "src")))
        for name, folder in distributions.items()
    }
    assert {name: groups for name, groups in found.items() if groups} == {}


@pytest.mark.parametrize("first", ["use crate::b::c::Two;", "fn f() { crate::b::c::two() }"])
def test_a_circle_in_rust_is_found(tmp_path: Path, first: str) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "lib.rs").write_text("mod a;\nmod b;\npub use a::One;\n")
    (tmp_path / "a.rs").write_text(f"{first}\npub struct One;")
    (tmp_path / "b.rs").write_text("pub mod c;\npub use c::Two;")
    (tmp_path / "b/c.rs").write_text("use crate::{/* a comment */ One as First};\npub struct Two;")
    assert circles(RustCrate(tmp_path).arrows()) == [["a", "b::c"]]


def test_a_circle_in_python_is_found(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/__init__.py").write_text("from p.a import one\n")
    (tmp_path / "p/a.py").write_text("def one():\n    from p import b\n")
    (tmp_path / "p/b.py").write_text("import p.a\n")
    assert circles(python_arrows(tmp_path)) == [["p.a", "p.b"]]


def test_a_circle_of_folders_is_found() -> None:
    arrows = {"s.w.a.one": {"s.w.b.one"}, "s.w.b.two": {"s.w.a.two", "s.w.c"}, "s.w.c": set[str]()}
    assert circles(arrows) == []
    assert circles(between_folders(arrows)) == [["s.w.a", "s.w.b"]]

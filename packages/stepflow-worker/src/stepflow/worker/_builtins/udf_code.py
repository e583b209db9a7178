"""Turns the source text of a user-defined function into something to call."""

import ast
import builtins
import inspect
import json
import linecache
import math
import re
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, TypeGuard

from stepflow.worker.errors import InvalidCode

Namespace = dict[str, Any]
Functions = dict[str, Callable[..., Any]]


class UdfFunction:
    """A compiled function of an input and, if it wants, a context."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises `_NoFunction` when it cannot be called with one input."""
        input, self._takes_context = _parameters(function)
        self._function = function
        # Fields of the input can be read as attributes too, unless the annotation is another type.
        plain = (inspect.Parameter.empty, dict, "dict")
        self._with_attributes = input is None or input.annotation in plain
        self.is_async = inspect.iscoroutinefunction(function)

    def value_of(self, input: Any) -> Any:
        """Return what the function is called with for an input."""
        return with_attributes(input) if self._with_attributes else input

    def __call__(self, value: Any, context: object) -> Any:
        return self._function(value, context) if self._takes_context else self._function(value)


def compile_udf(blob_id: str, code: str, name: str | None) -> UdfFunction:
    """Compile the code of a blob. Raises `InvalidCode`, and what the code's top level raises.

    The code is one of these:

    - definitions: the function `name`, by default the only public one
    - the body of a function: statements, one of them a `return`, that use `input` and `context`
    - an expression that is a function: `lambda order: …`, `json.dumps`
    - any other expression, of `input` and `context`
    """
    file = file_of(blob_id)
    text = textwrap.dedent(code)
    # Tracebacks show the lines of the code, as if it were a file.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    try:
        return UdfFunction(_function_in(_parsed(text, file), file, name))
    except SyntaxError as error:
        if error.filename != file:
            raise  # it is in a module that the code imports
        raise InvalidCode(blob_id, f"line {error.lineno}: {error.msg}") from None
    except _NoFunction as problem:
        raise InvalidCode(blob_id, str(problem)) from None


def file_of(blob_id: str) -> str:
    """Return the file name that tracebacks show for the code of a blob."""
    return f"<udf {blob_id}>"


def forget(blob_id: str) -> None:
    """Drop the lines of a blob's code, which were kept for tracebacks."""
    linecache.cache.pop(file_of(blob_id), None)


class Attributes(dict[str, Any]):
    """An object of the input. Its fields can be read as attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            listed = ", ".join(f"`{each}`" for each in self) or "nothing"
            raise AttributeError(f"there is no `{name}` in the input; there is {listed}") from None


def with_attributes(value: Any) -> Any:
    """Return a JSON value in which each object is an `Attributes`."""
    if isinstance(value, dict):
        return Attributes({key: with_attributes(each) for key, each in value.items()})
    if isinstance(value, list):
        return [with_attributes(each) for each in value]
    return value


class _NoFunction(Exception):
    """Raised when code is valid Python but gives no function; the text is the reason."""


def _parsed(text: str, file: str) -> ast.Module:
    if "\0" in text:  # on Python 3.11 not a `SyntaxError`
        raise _NoFunction("there is a NUL character in it")
    return ast.parse(text, file)


def _function_in(tree: ast.Module, file: str, name: str | None) -> Callable[..., Any]:
    outside = list(_outside_of_functions(tree))
    namespace = _namespace(tree)
    if any(isinstance(node, ast.Return) for node in outside):
        return _with_body(tree.body, outside, file, namespace)
    if len(tree.body) == 1 and isinstance(expression := tree.body[0], ast.Expr):
        found = _callable_in(expression.value, file, namespace)
        returned = ast.copy_location(ast.Return(expression.value), expression)
        return found or _with_body([returned], outside, file, namespace)
    _execute(tree, file, namespace)
    return _defined(tree, namespace, name)


def _callable_in(
    expression: ast.expr, file: str, namespace: Namespace
) -> Callable[..., Any] | None:
    """Return the function that an expression is, if it needs no input to be evaluated."""
    if not isinstance(expression, ast.Lambda | ast.Name | ast.Attribute | ast.Call):
        return None
    code = compile(ast.Expression(expression), file, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    needs_input = _names_in(code) & {"input", "context"} or code.co_flags & inspect.CO_COROUTINE
    if needs_input and not isinstance(expression, ast.Lambda):
        return None
    found = eval(code, namespace)
    return found if callable(found) else None


def _with_body(
    body: list[ast.stmt], outside: list[ast.AST], file: str, namespace: Namespace
) -> Callable[..., Any]:
    is_async = any(isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in outside)
    tree = ast.parse(f"{'async ' if is_async else ''}def udf(input, context): pass", file)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    function.body = body
    _execute(tree, file, namespace)
    made: Callable[..., Any] = namespace["udf"]
    return made


def _execute(tree: ast.Module, file: str, namespace: Namespace) -> None:
    exec(compile(tree, file, "exec"), namespace)  # noqa: S102, it is what `/udf` is for


def _defined(tree: ast.Module, namespace: Namespace, name: str | None) -> Callable[..., Any]:
    """Return the named, or the only public, function that the code defines; imports do not count."""
    bound = {target.id for target in _outside_of_functions(tree) if _is_assigned(target)}
    bound |= {each.name for each in tree.body if isinstance(each, _DEFINITIONS)}
    found = {each: namespace.get(each) for each in sorted(bound)}
    functions: Functions = {each: value for each, value in found.items() if callable(value)}
    if name is not None:
        if name not in functions:
            raise _NoFunction(f"it defines no function `{name}`; it defines {_listed(functions)}")
        return functions[name]
    public = {each: value for each, value in functions.items() if not each.startswith("_")}
    plain = {each: value for each, value in public.items() if not isinstance(value, type)}
    if len(plain or public) != 1:
        raise _NoFunction(
            f"it must return something or define one public function; it defines {_listed(public)}\n"
            "hint: name the one to call in `function_name`, or begin the others with `_`"
        )
    return next(iter((plain or public).values()))


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _is_assigned(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _outside_of_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (*_DEFINITIONS, ast.Lambda)):
            yield from _outside_of_functions(child)


def _names_in(code: CodeType) -> set[str]:
    """Return the global names that code uses, also in nested functions."""
    nested = (each for each in code.co_consts if isinstance(each, CodeType))
    return {*code.co_names}.union(*map(_names_in, nested))


def _namespace(tree: ast.Module) -> Namespace:
    namespace: Namespace = {
        "__builtins__": builtins,
        "__name__": "udf",
        "json": json,
        "math": math,
        "re": re,
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if used & {"RunnableLambda", "RunnableParallel"}:
        from langchain_core.runnables import RunnableLambda, RunnableParallel

        namespace |= {"RunnableLambda": RunnableLambda, "RunnableParallel": RunnableParallel}
    return namespace


def _parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter | None, bool]:
    """Return the parameter for the input, if it is known, and whether there is one for a context."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None, False  # some functions written in C have no signature
    fixed = [each for each in parameters if each.kind in _FIXED]
    needed = [each for each in parameters if each.kind in _NEEDED and each.default is each.empty]
    rest = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    if len(needed) > 2 or not (fixed or rest) or any(each not in fixed for each in needed):
        listed = ", ".join(f"`{each.name}`" for each in needed) or "nothing"
        raise _NoFunction(
            f"its function must take an input and, if it wants, a context; it takes {listed}"
        )
    takes_context = len(needed) == 2 or any(each.name == "context" for each in fixed[1:2])
    return (fixed[0] if fixed else None), takes_context


_FIXED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NEEDED = (*_FIXED, inspect.Parameter.KEYWORD_ONLY)


def _listed(functions: Functions) -> str:
    return ", ".join(f"`{each}`" for each in functions) or "none"

"""Values for flows that are built in Python: they are known only when the flow runs."""

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, TypeAlias

from msgspec import UNSET, UnsetType

from stepflow.protocol._paths import Path, PathError, Segment, format_path, parse_path
from stepflow.protocol._texts import checked_text
from stepflow.protocol.errors import InvalidFlow
from stepflow.protocol.flow import Flow

Constant: TypeAlias = (
    "Flow | bool | int | float | str | Mapping[str, Constant] | Sequence[Constant] | None"
)
"""A JSON value. A flow in it stands for its document."""

Data: TypeAlias = (
    "Value | Flow | bool | int | float | str | Mapping[str, Data] | Sequence[Data] | None"
)
"""A JSON value with `Value`s in it. A flow in it is a constant: its references belong to that flow."""


_COMPARE = (
    "is known only when the flow runs: compare in a component and use its result, as in "
    '`Value.if_(check["is_one"], …)`'
)
_EQUAL = f"what a `Value` equals {_COMPARE}"
_ORDERED = f"what a `Value` is less or greater than {_COMPARE}"
_WRITTEN = (
    "a `Value` has no text before the flow runs: have `/builtin/template` write it, with the value "
    "in `values`; to look at it now, use `repr`"
)
_COMPUTED = "a `Value` is computed with only when the flow runs: do it in a component"
_HELD = (
    "what a `Value` holds is known only when the flow runs: use `/builtin/map` for each of its "
    "elements, or look into it in a component"
)


class Value:
    """A value that is known only when the flow runs. Make one with the functions below.

    A `Reference` has parts, which `[...]` takes: `Value.input()["rows"][0]`.
    """

    __slots__ = ("_form",)

    def __init__(self, form: Mapping[str, Data]) -> None:
        self._form: Final = form

    @staticmethod
    def literal(value: Constant) -> "Value":
        """Return a constant. Nothing in it is computed, also if it looks like an expression."""
        return Value({"$literal": value})

    @staticmethod
    def step(step: "str | StepReference", path: str | None = None) -> "StepReference":
        """Return a step's result, or the part of it at `path`. The step may be added later.

        Raises `InvalidFlow` when `path` begins with `$` and is not a path.
        """
        if isinstance(step, StepReference):
            return step._at((*step._path, *_parsed(path)))
        return StepReference(checked_text(step, "$step"), _parsed(path))

    @staticmethod
    def input(path: str | None = None) -> "Reference":
        """Return the run's input, or the part of it at `path`.

        Raises `InvalidFlow` when `path` begins with `$` and is not a path.
        """
        return _Input(_parsed(path))

    @staticmethod
    def variable(name: str, default: "Data | UnsetType" = UNSET) -> "Reference":
        """Return a variable, or with a path (`$.name.member`) a part of it.

        default: used if the variable has no value; without a default, the step that needs it fails.

        Raises `InvalidFlow` when `name` begins with `$` and is not a path that begins with a name.
        """
        path = _parsed(checked_text(name, "$variable"))
        if not path or not isinstance(path[0], str):
            raise InvalidFlow(
                "$variable",
                f"`{name}` does not begin with the name of a variable",
                "write `name`, or `$.name.member` for a part of it",
            )
        return _Variable(path, default)

    @staticmethod
    def if_(condition: Data, then: Data, else_: "Data | UnsetType" = UNSET) -> "Value":
        """Return `then` when `condition` is true, otherwise `else_`, which is null by default.

        All conditions are true except null, false and a value that cannot be computed.
        """
        form: dict[str, Data] = {"$if": condition, "then": then}
        if else_ is not UNSET:
            form["else"] = else_
        return Value(form)

    @staticmethod
    def coalesce(*values: Data) -> "Value":
        """Return the first of the values that is not null; null if all are null."""
        return Value({"$coalesce": values})

    # Python would compute with the object now, and the result would be a constant in the flow.

    def __bool__(self) -> NoReturn:
        raise TypeError("a `Value` is true or false only when the flow runs: use `Value.if_`")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError(_EQUAL)

    __hash__ = object.__hash__

    def __str__(self) -> NoReturn:
        raise TypeError(_WRITTEN)

    def __format__(self, how: str) -> NoReturn:
        raise TypeError(_WRITTEN)

    def __getattr__(self, name: str) -> NoReturn:
        hint = f"; a part is taken by `[{name!r}]`" if isinstance(self, Reference) else ""
        raise AttributeError(f"a `{type(self).__name__}` has no attribute `{name}`{hint}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {dict(self._form)}>"


def _refuse(names: str, problem: str) -> None:
    """Make these operators raise. They are not defined in the class: type checkers would then allow them."""

    def refuse(*_: object) -> NoReturn:
        raise TypeError(problem)

    for name in names.split():
        setattr(Value, f"__{name}__", refuse)


_refuse("lt le gt ge", _ORDERED)
_refuse("iter len contains reversed", _HELD)
_refuse("neg pos abs invert int float complex index round trunc floor ceil", _COMPUTED)
for _operator in [
    "add",
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "lshift",
    "rshift",
    "and",
    "or",
    "xor",
]:
    _refuse(f"{_operator} r{_operator} i{_operator}", _COMPUTED)


class Reference(Value):
    """A value whose parts can be taken: `[name]` is a member, `[number]` an element counted from 0."""

    __slots__ = ("_path",)

    def __init__(self, form: Mapping[str, Data], path: Path) -> None:
        super().__init__(form)
        self._path: Final = path

    def __getitem__(self, key: Segment) -> "Reference":
        return self._at((*self._path, _segment(key)))

    def _at(self, path: Path) -> "Reference":
        raise NotImplementedError


class StepReference(Reference):
    """A part of a step's result."""

    __slots__ = ("_owner", "_step")

    def __init__(self, step: str, path: Path = (), owner: object = None) -> None:
        super().__init__({"$step": step, "path": format_path(path)}, path)
        self._step: Final = step
        self._owner: Final = owner

    def __getitem__(self, key: Segment) -> "StepReference":
        return self._at((*self._path, _segment(key)))

    def _at(self, path: Path) -> "StepReference":
        return StepReference(self._step, path, self._owner)


class StepHandle(StepReference):
    """A step that was added to a builder; stands for its whole result."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The step's id."""
        return self._step


class _Input(Reference):
    __slots__ = ()

    def __init__(self, path: Path) -> None:
        super().__init__({"$input": format_path(path)}, path)

    def _at(self, path: Path) -> Reference:
        return _Input(path)


class _Variable(Reference):
    __slots__ = ("_default",)

    def __init__(self, path: Path, default: "Data | UnsetType") -> None:
        form: dict[str, Data] = {"$variable": format_path(path)}
        if default is not UNSET:
            form["default"] = default
        super().__init__(form, path)
        self._default: Final = default

    def _at(self, path: Path) -> Reference:
        return _Variable(path, self._default)


def _parsed(path: str | None) -> Path:
    try:
        return parse_path(None if path is None else checked_text(path, "path"))
    except PathError as error:
        raise InvalidFlow("path", str(error), error.hint) from None


def _segment(key: Segment) -> Segment:
    if isinstance(key, str):
        return checked_text(key, "path")
    if isinstance(key, int) and not isinstance(key, bool) and key >= 0:
        return key
    raise TypeError(f"`[{key!r}]`: a part is the name of a member, or an element counted from 0")

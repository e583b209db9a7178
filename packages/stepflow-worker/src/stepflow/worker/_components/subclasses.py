"""Classes that users derive from text and numbers: msgspec knows only the bases."""

_BASES = (str, int, float)


def base_form(value: object) -> object:
    """Return what an object of such a class is of its base. Raises `TypeError` for every other."""
    for base in _BASES:
        if isinstance(value, base):
            return base(value)
    raise TypeError(f"a `{type(value).__qualname__}`")

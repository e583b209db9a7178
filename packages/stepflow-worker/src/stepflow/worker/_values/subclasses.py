"""The JSON form of users' subclasses of `str`, `int` and `float`: msgspec writes only the bases."""

_BASES = (str, int, float)


def base_form(value: object) -> object:
    """Return an object of such a class as its base class. Raises `TypeError` for any other object."""
    for base in _BASES:
        if isinstance(value, base):
            return base(value)
    raise TypeError(f"a `{type(value).__qualname__}`")

"""The limit and the hook that all modules which write JSON share."""

from collections.abc import Callable
from typing import Any, TypeAlias

MAX_DEPTH = 128
"""How deep arrays and objects may be nested."""

Other: TypeAlias = Callable[[Any], object] | None
"""Returns what to write for an object that msgspec cannot write, or raises `TypeError`; `None` for no such hook."""

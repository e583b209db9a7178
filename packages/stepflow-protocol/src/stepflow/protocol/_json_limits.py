"""What everything that makes JSON keeps to."""

from collections.abc import Callable
from typing import Any, TypeAlias

MAX_DEPTH = 128
"""How deep arrays and objects may be nested."""

Other: TypeAlias = Callable[[Any], object] | None
"""What writes an object that msgspec does not know; `None` where nothing does."""

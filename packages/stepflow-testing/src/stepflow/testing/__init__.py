"""Test components and flows in memory, without a server.

The contents are loaded at their first use. pytest imports this package in every test run where it is
installed, because the plugin is in it.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepflow.testing._context import MockContext

__all__ = ["MockContext"]

_MODULE_OF = {"MockContext": "_context"}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    found = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found

"""The components that a worker brings along, where their extras are installed."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from stepflow.worker._components.component import Component
from stepflow.worker._executing.executor import usable_threads


def with_builtins(components: Mapping[str, Component]) -> dict[str, Component]:
    """Return components by path, and those of our own whose paths they leave free."""
    return dict(components) | {
        each.path: each for each in _installed() if each.path not in components
    }


def _installed() -> Iterator[Component]:
    # What they need is imported when they are first called: that takes its time.
    if find_spec("jsonschema") is not None and find_spec("referencing") is not None:
        from stepflow.worker._builtins.udf import udf

        # It is async, and runs most code in threads of its own.
        yield Component(udf, "/udf", None, {}, max_concurrency=usable_threads())
    if find_spec("langchain_core") is not None:
        from stepflow.worker.langchain import invoke_loaded

        yield Component(invoke_loaded, "/langchain/invoke", None, {})

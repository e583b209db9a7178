"""`__all__` of each public package lists exactly the names that can be imported from it."""

import importlib
from types import ModuleType

import pytest


@pytest.mark.parametrize(
    "name", ["client", "orchestrator", "protocol", "testing", "testing.conformance", "worker"]
)
def test_all_lists_exactly_the_public_names(name: str) -> None:
    try:
        module = importlib.import_module(f"stepflow.{name}")
    except ModuleNotFoundError as missing:
        # If another module is missing, this is a mistake: only the distribution itself may be missing.
        if missing.name != f"stepflow.{name}":
            raise
        pytest.skip(f"stepflow-{name} is not installed")
    exported: list[str] = list(module.__all__)
    assert len(exported) == len(set(exported))
    for each in exported:
        getattr(module, each)  # loads the names that a distribution loads at their first use
    public = {
        each
        for each, value in vars(module).items()
        if not each.startswith("_") and not isinstance(value, ModuleType)
    }
    assert set(exported) == public - {"TYPE_CHECKING"}

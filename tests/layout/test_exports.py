"""`__all__` of each public package says exactly what can be imported from it."""

import importlib
from types import ModuleType

import pytest


@pytest.mark.parametrize(
    "name", ["client", "orchestrator", "protocol", "testing", "testing.conformance", "worker"]
)
def test_all_names_what_is_really_public(name: str) -> None:
    try:
        module = importlib.import_module(f"stepflow.{name}")
    except ModuleNotFoundError as missing:
        # Anything but the distribution itself is a defect, not an absence.
        if missing.name != f"stepflow.{name}":
            raise
        pytest.skip(f"stepflow-{name} is not installed")
    exported: list[str] = list(module.__all__)
    assert len(exported) == len(set(exported))
    for each in exported:
        getattr(module, each)  # loads what a distribution loads late
    public = {
        each
        for each, value in vars(module).items()
        if not each.startswith("_") and not isinstance(value, ModuleType)
    }
    assert set(exported) == public - {"TYPE_CHECKING"}

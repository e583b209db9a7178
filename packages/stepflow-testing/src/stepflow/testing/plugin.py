"""The pytest plugin: fixtures for tests of components. It loads Stepflow only when one is used."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stepflow.testing import MockContext


@pytest.fixture
def stepflow_context() -> "MockContext":
    """A new `MockContext`: the first attempt, without blobs."""
    from stepflow.testing import MockContext

    return MockContext()

"""The pytest plugin: fixtures for tests of components. Imports nothing of ours until one is used."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stepflow.testing import MockContext


@pytest.fixture
def stepflow_context() -> "MockContext":
    """A fresh `MockContext`: first attempt, no blobs."""
    from stepflow.testing import MockContext

    return MockContext()

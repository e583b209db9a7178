"""Runs published workers with our server, and our worker with the published server.

This needs PyPI, so nothing here is collected unless the folder is named; `uv run poe interop` names it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import published
from tests.interop.pairs import Pair, pairs

HERE = Path(__file__).parent


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    named = any(HERE.name in Path(each.partition("::")[0]).parts for each in config.args)
    return None if named else True


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make the environments before the first test, or exit with 3."""
    if session.config.option.collectonly:
        return
    try:
        for name in published.PACKAGES:
            published.environment(name)
    except published.Unavailable as problem:
        pytest.exit(f"PyPI cannot be reached, so nothing was tested:\n{problem}", returncode=3)


@pytest.fixture(scope="module", params=pairs(), ids=lambda make: make.__name__)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """A server and a worker of different versions.

    The tests of a file share them: each test starts its own runs, and reads only these.
    """
    with request.param(tmp_path_factory.mktemp("pair")) as pair:
        yield pair

"""The pytest plugin in the test run of another project."""

import subprocess
import sys

from stepflow.testing import MockContext


def test_each_test_gets_a_context_of_its_own(stepflow_context: MockContext) -> None:
    assert stepflow_context.attempt == 1
    assert stepflow_context.blobs == {}


def test_loading_the_plugin_loads_neither_worker_nor_server() -> None:
    code = (
        "import sys; import stepflow.testing.plugin\n"
        "print([m for m in ('stepflow.worker', 'stepflow.orchestrator') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"

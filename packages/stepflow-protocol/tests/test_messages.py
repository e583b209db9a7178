"""The generated types: they read what peers write, and write what peers read."""

import subprocess
import sys

import msgspec
import pytest

from stepflow.protocol import (
    BlobsPutParams,
    BlobType,
    ComponentInfo,
    ComponentsExecuteParams,
    FailureDetails,
    InitializeResult,
    ObservabilityContext,
    WorkerCapabilities,
)
from stepflow.protocol import flow as flows


def test_absent_members_are_none_and_are_not_written() -> None:
    info = ComponentInfo(component="/a")
    assert info.description is None and info.input_schema is None
    assert msgspec.json.encode(info) == b'{"component":"/a"}'
    assert msgspec.json.decode(b'{"component":"/a","description":null}', type=ComponentInfo) == info


def test_params_of_an_older_server_are_read() -> None:
    text = b"""{"component":"/echo","input":{"v":42},"attempt":1,"unknown":true,
        "observability":{"trace_id":"01a2","run_id":null}}"""
    params = msgspec.json.decode(text, type=ComponentsExecuteParams)
    assert params.input == {"v": 42}
    assert params.observability == ObservabilityContext(trace_id="01a2")
    assert (params.task_id, params.deadline_ms) == (None, None)


@pytest.mark.parametrize(
    "text", ["{}", '{"component":"/a","input":1,"attempt":-1,"observability":{}}']
)
def test_params_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=ComponentsExecuteParams)


def test_what_the_worker_writes() -> None:
    result = InitializeResult(
        server_protocol_version=1, capabilities=WorkerCapabilities(max_concurrency=6)
    )
    assert msgspec.to_builtins(result) == {
        "server_protocol_version": 1,
        "capabilities": {"max_concurrency": 6},
    }
    assert msgspec.to_builtins(FailureDetails(type="ValueError")) == {"type": "ValueError"}
    put = BlobsPutParams(data=None, blob_type=BlobType.flow)
    assert msgspec.json.encode(put) == b'{"data":null,"blob_type":"flow"}'


def test_a_flow_document_is_read_into_types_and_written_in_its_own_spelling() -> None:
    document = {
        "name": "demo",
        "steps": [
            {
                "id": "a",
                "component": "/python/a",
                "onError": {
                    "action": "retry",
                    "maxRetries": 2,
                    "backoff": {"type": "constant", "delay": "1s"},
                    "exhausted": {"action": "useDefault", "defaultValue": 1},
                },
                "input": {"$input": "$.x"},
                "mustExecute": True,
            }
        ],
        "output": {"$step": "a"},
    }
    flow = msgspec.convert(document, flows.Flow)
    assert flow.steps is not None
    assert isinstance(flow.steps[0].on_error, flows.OnErrorRetry)
    assert isinstance(flow.steps[0].on_error.backoff, flows.BackoffConstant)
    assert msgspec.to_builtins(flow) == document


def test_it_imports_msgspec_and_nothing_else() -> None:
    code = "import sys, msgspec; before = set(sys.modules); import stepflow.protocol; "
    code += "print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    added = {name.partition(".")[0] for name in done.stdout.split()}
    assert added - sys.stdlib_module_names == {"stepflow"}
    assert "stepflow.protocol.flow" not in done.stdout.split()

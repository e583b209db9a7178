"""The types of the flow document, which describe every member of a flow file.

They are not in `stepflow.protocol` itself, because a worker does not need them.
"""

import msgspec

from stepflow.protocol._generated.flow import (
    Backoff,
    BackoffConstant,
    BackoffExponential,
    BackoffFibonacci,
    ErrorKind,
    ExampleInput,
    Exhausted,
    ExhaustedFail,
    ExhaustedUseDefault,
    Flow,
    OnError,
    OnErrorFail,
    OnErrorRetry,
    OnErrorUseDefault,
    Step,
    TestCase,
    TestConfig,
)

__all__ = [
    # the document
    "Flow",
    "Step",
    "ExampleInput",
    "to_json",
    # what happens when a step fails
    "ErrorKind",
    "OnError",
    "OnErrorFail",
    "OnErrorUseDefault",
    "OnErrorRetry",
    "Backoff",
    "BackoffConstant",
    "BackoffExponential",
    "BackoffFibonacci",
    "Exhausted",
    "ExhaustedFail",
    "ExhaustedUseDefault",
    # its tests
    "TestConfig",
    "TestCase",
]


def to_json(flow: Flow) -> str:
    """Return the flow as the text of a JSON document.

    Raises `TypeError` or `ValueError` when something in it has no JSON form.
    """
    return msgspec.json.encode(flow).decode()

"""The flow document as types: what a flow file holds, member for member.

Apart from `stepflow.protocol` itself, because a worker needs none of it.
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

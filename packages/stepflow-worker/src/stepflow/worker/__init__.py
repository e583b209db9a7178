"""Serve Python functions as components of Stepflow flows.

    from stepflow.worker import StepflowServer

    server = StepflowServer()

    @server.component
    def greet(input: dict[str, str]) -> str:
        return f"Hello, {input['name']}!"

`stepflow-worker components.py` serves it; write this as the `command` of a plugin.
"""

from typing import TYPE_CHECKING

from stepflow import protocol as _protocol
from stepflow.protocol import (
    BlobType,
    NoJsonForm,
    RequestRefused,
    ResultOrder,
    RunStatusProtocol,
    StepflowError,
)
from stepflow.worker._context.context import StepflowContext, StepflowStreamingContext
from stepflow.worker._context.sync_context import SyncContext
from stepflow.worker._server import StepflowServer
from stepflow.worker.errors import (
    Cancelled,
    CannotListen,
    CannotServe,
    ComponentError,
    DuplicateComponent,
    ExecuteEnded,
    ExtraMissing,
    FlowFailed,
    InvalidCode,
    InvalidInput,
    InvalidLifespan,
    InvalidOutput,
    NoCapacity,
    NoServerInTarget,
    OpenToOthers,
    RegistrationError,
    ServedDuringImport,
    ServerCallError,
    ServerGone,
    ServerNotReading,
    ServerTimeout,
    SeveralProcesses,
    UnusableAnswer,
)

if TYPE_CHECKING:
    from stepflow.protocol import FlowBuilder, Value

__all__ = [
    # serving
    "StepflowServer",
    # inside a component
    "StepflowContext",
    "StepflowStreamingContext",
    "SyncContext",
    "BlobType",
    "RunStatusProtocol",
    "ResultOrder",
    # what a component raises
    "ComponentError",
    "InvalidInput",
    "InvalidOutput",
    "InvalidCode",
    # what ends a component
    "Cancelled",
    "NoCapacity",
    # what a component's requests raise
    "NoJsonForm",
    "FlowFailed",
    "RequestRefused",
    "ServerCallError",
    "ServerTimeout",
    "ServerGone",
    "ServerNotReading",
    "ExecuteEnded",
    "UnusableAnswer",
    # other errors
    "StepflowError",
    "RegistrationError",
    "DuplicateComponent",
    "InvalidLifespan",
    "NoServerInTarget",
    "ServedDuringImport",
    "CannotServe",
    "CannotListen",
    "OpenToOthers",
    "SeveralProcesses",
    "ExtraMissing",
    # building flows
    "FlowBuilder",
    "Value",
]


def __getattr__(name: str) -> object:
    # Not imported above: a worker that only serves components should not wait for it.
    if name not in ("FlowBuilder", "Value"):
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    found: object = getattr(_protocol, name)
    globals()[name] = found
    return found

"""Serve Python functions as components of Stepflow flows.

    from stepflow.worker import StepflowServer

    server = StepflowServer()

    @server.component
    def greet(input: dict[str, str]) -> str:
        return f"Hello, {input['name']}!"

Then `stepflow-worker components.py`, as the `command` of a plugin, serves it.
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
    # what it is ended by
    "Cancelled",
    "NoCapacity",
    # what its requests may end with
    "NoJsonForm",
    "FlowFailed",
    "RequestRefused",
    "ServerCallError",
    "ServerTimeout",
    "ServerGone",
    "ServerNotReading",
    "ExecuteEnded",
    "UnusableAnswer",
    # what else can go wrong
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
    # Not imported above: who only serves components should not wait for it.
    if name not in ("FlowBuilder", "Value"):
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    found: object = getattr(_protocol, name)
    globals()[name] = found
    return found

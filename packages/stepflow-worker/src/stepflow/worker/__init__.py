"""Serve Python functions as components of Stepflow flows.

    from stepflow.worker import StepflowServer

    server = StepflowServer()

    @server.component
    def greet(input: dict[str, str]) -> str:
        return f"Hello, {input['name']}!"

Then `stepflow-worker components.py`, as the `command` of a plugin, serves it.
"""

from stepflow.protocol import BlobType, RequestRefused, StepflowError
from stepflow.worker._context import ServerCalls, StepflowContext, SyncContext
from stepflow.worker._server import StepflowServer
from stepflow.worker.errors import (
    ComponentError,
    DuplicateComponent,
    InvalidInput,
    InvalidOutput,
    NoServerInTarget,
    NotBuiltYet,
    RegistrationError,
    ServedDuringImport,
    ServerCallError,
    ServerGone,
    ServerTimeout,
    UnusableAnswer,
)

__all__ = [
    # serving
    "StepflowServer",
    # inside a component
    "StepflowContext",
    "SyncContext",
    "ServerCalls",
    "BlobType",
    # what a component raises
    "ComponentError",
    "InvalidInput",
    "InvalidOutput",
    # what its requests may end with
    "RequestRefused",
    "ServerCallError",
    "ServerTimeout",
    "ServerGone",
    "UnusableAnswer",
    # what else can go wrong
    "StepflowError",
    "RegistrationError",
    "DuplicateComponent",
    "NoServerInTarget",
    "ServedDuringImport",
    "NotBuiltYet",
]

"""The errors of a worker.

StepflowError
├── RegistrationError        a function cannot be served as a component
│   └── DuplicateComponent
├── ComponentError           user code failed; the flow gets it as COMPONENT_FAILED
│   ├── InvalidInput         the flow gets it as INVALID_INPUT
│   ├── InvalidOutput
│   ├── InvalidCode          a blob holds no user-defined function that can run
│   └── NoCapacity           the worker cannot run more executes now
├── ServerCallError          a request of a component got no usable answer
│   ├── ServerTimeout
│   ├── ServerGone
│   ├── ServerNotReading
│   ├── ExecuteEnded
│   └── UnusableAnswer
├── NoJsonForm               a value cannot be sent (defined in `stepflow.protocol`)
├── FlowFailed               a flow that a component evaluated has failed
├── RequestRefused           the server answered a request with an error (defined in `stepflow.protocol`)
├── InvalidLifespan          the lifespan is not an async context manager
├── ServedDuringImport       `server.run()` was called by a file that is only being imported
├── NoServerInTarget         the command line's TARGET leads to no `StepflowServer`
└── CannotServe              the HTTP transport cannot start
    ├── CannotListen
    ├── OpenToOthers
    ├── SeveralProcesses
    └── ExtraMissing

asyncio.CancelledError
└── Cancelled                the execute was asked to end; `except Exception` does not catch it
"""

import asyncio
import errno
import math
import socket
from collections.abc import Sequence
from typing import cast

from stepflow.protocol import ErrorCode, ErrorKind, FlowError, StepflowError


class RegistrationError(StepflowError):
    """Raised when a function cannot be served as a component."""

    def __init__(self, function: str, problem: str) -> None:
        super().__init__(f"`{function}` cannot be a component: {problem}")


class DuplicateComponent(RegistrationError):
    """Raised when two functions are registered under one path."""

    def __init__(self, function: str, path: str, other: str) -> None:
        super().__init__(
            function, f"`{path}` is already `{other}`; give one of them another name with `name=`"
        )


class ComponentError(StepflowError):
    """Raised by components to report a failure.

    message: what went wrong, for people; it becomes the step's error message.
    code: a number of your own, which the flow sees instead of 500.
    data: any value with a JSON form, for the code that handles the error.
    retryable: `False` forbids another attempt, even if the flow allows it.
    retry_after: the shortest time to wait before another attempt, in seconds.

    Raises `TypeError` when one of them has another type: the server could not read the failure.
    """

    # For subclasses whose `__init__` does not call this one.
    message: str = ""
    code: int | None = None
    data: object = None
    retryable: bool | None = None
    retry_after: float | None = None

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        data: object = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        if not isinstance(message, str):
            raise TypeError(f"ComponentError({message!r}): the message is a text")
        if not (code is None or (type(code) is not bool and isinstance(code, int))):
            raise TypeError(f"ComponentError(code={code!r}): the code is a whole number")
        if not (retryable is None or isinstance(retryable, bool)):
            raise TypeError(f"ComponentError(retryable={retryable!r}): write True or False")
        if not (retry_after is None or _is_time(retry_after)):
            raise TypeError(
                f"ComponentError(retry_after={retry_after!r}): write a number of seconds from 0"
            )
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data
        self.retryable = retryable
        self.retry_after = retry_after


def _is_time(seconds: object) -> bool:
    return type(seconds) in (int, float) and 0 <= cast(float, seconds) < math.inf


class InvalidInput(ComponentError):
    """Raised when a step's input does not fit a component's declared input type."""

    def __init__(self, component: str, path: str, problem: str) -> None:
        super().__init__(
            f"`{component}` cannot take `{path}`: {problem}",
            code=ErrorCode.INVALID_INPUT,
            data={"path": path},
        )
        self.path = path


class InvalidOutput(ComponentError):
    """Raised when the output of a component does not fit its declared type, or has no JSON form."""

    def __init__(self, component: str, path: str, problem: str) -> None:
        super().__init__(
            f"what `{component}` returned does not fit at `{path}`: {problem}", data={"path": path}
        )
        self.path = path


class InvalidCode(ComponentError):
    """Raised by `/udf` when a blob holds no function that can run."""

    def __init__(self, blob_id: str, problem: str) -> None:
        super().__init__(f"the code in blob `{blob_id}` cannot run: {problem}", retryable=False)


class NoCapacity(ComponentError):
    """Raised when a component was not called, because the worker cannot run more executes now.

    Its `code` is the code of RESOURCE_UNAVAILABLE; `retry_after` is one second.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the worker has no capacity now: {problem}",
            code=503,
            retry_after=1,
        )


class ServerCallError(StepflowError):
    """Raised when a component's request to the server got no usable answer."""


class ServerTimeout(ServerCallError):
    """Raised when the server does not answer a component's request in time."""

    def __init__(self, method: str, seconds: float) -> None:
        super().__init__(
            f"the server did not answer `{method}` within {seconds:g} s: it is overloaded, its "
            "store is stuck, or it is too old to know this request"
        )


class ServerGone(ServerCallError):
    """Raised when the connection ends while a component waits for the server."""

    def __init__(self, method: str) -> None:
        super().__init__(f"the server closed the connection before it answered `{method}`")


class ServerNotReading(ServerCallError):
    """Raised when the server does not read, and too many bytes wait to be sent to it."""

    def __init__(self, unsent: int) -> None:
        super().__init__(
            f"the server does not read: {unsent >> 20} MiB wait to be sent to it; make fewer "
            "requests at once"
        )


class ExecuteEnded(ServerCallError):
    """Raised in a thread or task that a component started and that goes on after its execute has ended."""

    def __init__(self, method: str) -> None:
        super().__init__(
            f"`{method}` was asked by what a component had left behind: its execute has ended\n"
            "hint: wait for the threads and tasks that a component starts before it returns"
        )


class UnusableAnswer(ServerCallError):
    """Raised when the server's answer does not fit the request."""

    def __init__(self, method: str, problem: str) -> None:
        super().__init__(f"the server's answer to `{method}` makes no sense: {problem}")


class FlowFailed(StepflowError):
    """Raised when a flow that a component evaluated has failed.

    run_id, item: the run, and the item that failed, counted from 0.
    kind: the stable name of the failure, such as `"COMPONENT_FAILED"`.
    code: the number of the failure, or the component's own code.
    message: what went wrong; for a failed component its own message.
    data: details for debugging: step, component, attempt, exception type, traceback.
    """

    def __init__(self, run_id: str, item: int, error: FlowError | None) -> None:
        # An item without a result and without an error was cancelled.
        error = error or FlowError(499, "the run was cancelled", ErrorKind.cancelled)
        # Published servers send no kind: they treat every failure as the component's.
        kind = error.kind or ErrorKind.component_failed
        super().__init__(f"the run {run_id} failed in item {item}: {error.message} ({kind})")
        self.run_id = run_id
        self.item = item
        self.kind = kind
        self.code = error.code
        self.message = error.message
        self.data = error.data


class Cancelled(asyncio.CancelledError):
    """Raised in a component that was cancelled, or whose time is over.

    Like every `asyncio.CancelledError` it is not an `Exception`: a component that catches every
    `Exception` does not catch this one by mistake.
    """

    def __init__(self, reason: str = "the execute was cancelled") -> None:
        super().__init__(reason)


class InvalidLifespan(StepflowError):
    """Raised when what a server's lifespan returns cannot be entered."""

    def __init__(self, returned: object) -> None:
        super().__init__(
            f"the lifespan returned a `{type(returned).__name__}`, no async context manager\n"
            "hint: it is an `async def` with one `yield`, below `@asynccontextmanager`"
        )


class ServedDuringImport(StepflowError):
    """Raised when a file that is being imported for its components calls `server.run()`."""

    def __init__(self, target: str) -> None:
        super().__init__(
            f"`server.run()` was called while `{target}` was being imported\n"
            'hint: guard it with `if __name__ == "__main__":`'
        )


class NoServerInTarget(StepflowError):
    """Raised when a command-line TARGET does not lead to one `StepflowServer`."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem}\nhint: {hint}")

    @classmethod
    def among(cls, target: str, found: Sequence[str]) -> "NoServerInTarget":
        """Return the error for a module without a `server`, and with no other one or several."""
        if not found:
            return cls(
                f"`{target}` has no `StepflowServer`", "add `server = StepflowServer()` to it"
            )
        several = ", ".join(f"`{name}`" for name in found)
        return cls(
            f"`{target}` has {len(found)} servers ({several}) and none is called `server`",
            f"name one: `{target}:{found[0]}`",
        )


class CannotServe(StepflowError):
    """Raised when the HTTP transport cannot start."""


class CannotListen(CannotServe):
    """Raised when the worker cannot listen on an address."""

    def __init__(self, host: str, port: int | str, problem: Exception) -> None:
        not_here = isinstance(problem, socket.gaierror) or (
            isinstance(problem, OSError) and problem.errno == errno.EADDRNOTAVAIL
        )
        super().__init__(
            f"cannot listen on {host} port {port}: {problem}\nhint: "
            + (
                "`--host` is an address of this machine; 0.0.0.0 is all of them"
                if not_here
                else "choose another with `--port`; 0 finds a free one"
            )
        )


class OpenToOthers(CannotServe):
    """Raised when other machines could run components, because no token is needed."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"`{host}` may be reached from other machines, and there is no token\n"
            "hint: set STEPFLOW_WORKER_TOKEN or `--token`, or say `--insecure` on a network that "
            "you trust"
        )


class SeveralProcesses(CannotServe):
    """Raised when uvicorn is asked for several processes on one port."""

    def __init__(self, asked: str) -> None:
        super().__init__(
            f"WEB_CONCURRENCY={asked} asks for several processes on one port, but a session and "
            "its executes live in one\nhint: unset it; for more processes use `instances` in the "
            "server's config"
        )


class ExtraMissing(CannotServe):
    """Raised when the HTTP transport is not installed."""

    def __init__(self, module: str | None) -> None:
        super().__init__(
            f"serving over HTTP needs `{module}`, which is not installed\n"
            "hint: pip install 'stepflow-worker[http]'"
        )

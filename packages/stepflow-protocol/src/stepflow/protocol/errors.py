"""What can go wrong with messages, whatever carries them, and with flows that are built.

StepflowError
├── ProtocolError            a message that is not the protocol
│   ├── NotJson
│   ├── InvalidEnvelope      JSON, but no JSON-RPC message
│   │   ├── MessageTooLong
│   │   └── UnsayableInput   the input of an execute holds half of a character
│   ├── UnknownMethod
│   └── InvalidParams
├── RequestRefused           the peer answered our request with an error
├── NoJsonForm               a Python value that JSON cannot say
└── InvalidFlow              a flow that no server would take
"""

from typing import ClassVar

from stepflow.protocol._error_codes import ErrorCode


class StepflowError(Exception):
    """The root of everything that Stepflow raises."""


class ProtocolError(StepflowError):
    """Raised when a message is not the protocol. `code` and `data` are what to answer it with."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_REQUEST
    data: object = None


class NotJson(ProtocolError):
    """Raised when a text that should be a message is not JSON."""

    code = ErrorCode.PARSE_ERROR

    def __init__(self, problem: str) -> None:
        super().__init__(f"the message is not JSON: {problem}")


class InvalidEnvelope(ProtocolError):
    """Raised when JSON is not a JSON-RPC message. `id` is the message's own, where it can be told."""

    def __init__(self, problem: str, id: str | int | None = None) -> None:
        super().__init__(f"not a JSON-RPC 2.0 message: {problem}")
        self.id = id


class MessageTooLong(InvalidEnvelope):
    """Raised when a message is longer than `limit` bytes; it was skipped up to its end."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"longer than {limit:,} bytes; pass large values as blobs")
        self.limit = limit


class UnsayableInput(InvalidEnvelope):
    """Raised when an execute's input holds half of a surrogate pair, at `path`, so that msgspec reads nothing."""

    code = ErrorCode.INVALID_INPUT

    def __init__(self, component: str, path: str, problem: str, id: str | int) -> None:
        super().__init__("", id)
        self.args = (f"`{component}` cannot take `{path}`: it {problem}",)
        self.data = {"path": path}


class UnknownMethod(ProtocolError):
    """Raised when nobody serves a method."""

    code = ErrorCode.METHOD_NOT_FOUND

    def __init__(self, method: str) -> None:
        super().__init__(f"there is no method `{method}` here")
        self.method = method


class InvalidParams(ProtocolError):
    """Raised when params do not fit their method."""

    code = ErrorCode.INVALID_PARAMS

    def __init__(self, method: str, problem: str) -> None:
        super().__init__(f"the params do not fit `{method}`: {problem}")
        self.method = method


class RequestRefused(StepflowError):
    """Raised when the peer answers a request of ours with an error.

    `code` is a number of `ErrorCode` or of the peer's own, `message` its words, `data` its details.
    """

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"`{method}` was refused: {message} (error {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class NoJsonForm(StepflowError, ValueError):
    """Raised when a value cannot become JSON without being changed.

    `path` is the place in the value, such as `$.rows[0].x`; `problem` is what it is or has there.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"`{path}` {problem}")
        self.path = path
        self.problem = problem


class InvalidFlow(StepflowError):
    """Raised when something cannot be a flow, or a part of one.

    `at` is the place in the flow's document, such as `$.steps[0].input`; `problem` what is wrong there.
    """

    def __init__(self, at: str, problem: str, hint: str | None = None) -> None:
        super().__init__(f"{at}: {problem}" + (f"\nhint: {hint}" if hint else ""))
        self.at = at
        self.problem = problem

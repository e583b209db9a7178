"""The errors of messages, on every transport, and of flows that are built.

StepflowError
├── ProtocolError            a message does not follow the protocol
│   ├── NotJson
│   ├── InvalidEnvelope      JSON, but no JSON-RPC message
│   │   ├── MessageTooLong
│   │   └── UnencodableInput the input of an execute has half of a surrogate pair
│   ├── UnknownMethod
│   └── InvalidParams
├── RequestRefused           the peer answered a request with an error
├── NoJsonForm               a Python value has no JSON form
└── InvalidFlow              a flow that every server refuses
"""

from typing import ClassVar

from stepflow.protocol._error_codes import ErrorCode


class StepflowError(Exception):
    """The base class of all errors of Stepflow."""


class ProtocolError(StepflowError):
    """Raised when a message does not follow the protocol. `code` and `data` are for the error answer."""

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_REQUEST
    data: object = None


class NotJson(ProtocolError):
    """Raised when a text that should be a message is not JSON."""

    code = ErrorCode.PARSE_ERROR

    def __init__(self, problem: str) -> None:
        super().__init__(f"the message is not JSON: {problem}")


class InvalidEnvelope(ProtocolError):
    """Raised when JSON is not a JSON-RPC message. `id` is the id of the message, if it could be read."""

    def __init__(self, problem: str, id: str | int | None = None) -> None:
        super().__init__(f"not a JSON-RPC 2.0 message: {problem}")
        self.id = id


class MessageTooLong(InvalidEnvelope):
    """Raised when a message is longer than `limit` bytes; it was skipped up to its end."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"longer than {limit:,} bytes; pass large values as blobs")
        self.limit = limit


class UnencodableInput(InvalidEnvelope):
    """Raised when the input of an execute has half of a surrogate pair, which no UTF-8 text can contain.

    `data` holds the `path` of the place in the input.
    """

    code = ErrorCode.INVALID_INPUT

    def __init__(self, component: str, path: str, problem: str, id: str | int) -> None:
        super().__init__("", id)
        self.args = (f"`{component}` cannot take `{path}`: it {problem}",)
        self.data = {"path": path}


class UnknownMethod(ProtocolError):
    """Raised when a method does not exist."""

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
    """Raised when the peer answers a request with an error.

    code: a number of `ErrorCode`, or one that the peer has defined.
    message: the peer's message. data: the peer's details.
    """

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"`{method}` was refused: {message} (error {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class NoJsonForm(StepflowError, ValueError):
    """Raised when a value cannot become JSON without being changed.

    `path` is the place in the value, such as `$.rows[0].x`; `problem` says what is wrong there.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"`{path}` {problem}")
        self.path = path
        self.problem = problem


class InvalidFlow(StepflowError):
    """Raised when something cannot be a flow, or a part of one.

    `at` is the place in the flow's document, such as `$.steps[0].input`; `problem` says what is wrong.
    """

    def __init__(self, at: str, problem: str, hint: str | None = None) -> None:
        super().__init__(f"{at}: {problem}" + (f"\nhint: {hint}" if hint else ""))
        self.at = at
        self.problem = problem

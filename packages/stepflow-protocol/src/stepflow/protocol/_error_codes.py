"""The codes of JSON-RPC errors: the standard ones, and the ones of this protocol."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """The `code` of an error between server and worker."""

    PARSE_ERROR = -32700
    """The text was not JSON."""
    INVALID_REQUEST = -32600
    """The JSON was not a message."""
    METHOD_NOT_FOUND = -32601
    """The receiver does not have this method."""
    INVALID_PARAMS = -32602
    """The params do not fit the method."""
    INTERNAL_ERROR = -32603
    """The receiver itself failed."""

    SERVER_ERROR = -32000
    """A request of a worker could not be carried out, for example because a blob does not exist."""
    COMPONENT_NOT_FOUND = -32001
    """The worker has no such component."""
    INVALID_INPUT = -32002
    """The input of a step does not fit the component's type, or the input of a sub-run does not fit its flow.
    `data.path` is the place."""
    COMPONENT_FAILED = -32003
    """The component raised; `data` is a `FailureDetails`."""
    TIMEOUT = -32004
    """The component took longer than it is allowed to."""
    CANCELLED = -32005
    """The execute was cancelled."""
    NOT_ACCEPTED = -32006
    """The worker is draining; the component was not called."""
    AT_CAPACITY = -32007
    """The worker runs as many executes as it can, also for other servers; the component was not called."""
    NOT_FOUND = -32011
    """The flow, run or step that a worker's request names does not exist."""
    INVALID_ID = -32012
    """An id in the request is not a valid id."""

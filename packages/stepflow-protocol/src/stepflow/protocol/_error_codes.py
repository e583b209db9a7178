"""The numbers of JSON-RPC errors, the standard's and the protocol's own."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """The `code` of an error between server and worker."""

    PARSE_ERROR = -32700
    """The text was not JSON."""
    INVALID_REQUEST = -32600
    """The JSON was not a message."""
    METHOD_NOT_FOUND = -32601
    """Nobody here serves this method."""
    INVALID_PARAMS = -32602
    """The params do not fit the method."""
    INTERNAL_ERROR = -32603
    """The receiver failed in a way of its own."""

    SERVER_ERROR = -32000
    """A request of a worker could not be carried out, such as a blob that is not there."""
    COMPONENT_NOT_FOUND = -32001
    """The worker has no such component."""
    INVALID_INPUT = -32002
    """The step's input does not fit the component's type, or a sub-run's the flow's; `data.path` names the place."""
    COMPONENT_FAILED = -32003
    """The component raised; `data` is a `FailureDetails`."""
    TIMEOUT = -32004
    """The component took longer than it may."""
    CANCELLED = -32005
    """The execute was cancelled."""
    NOT_ACCEPTED = -32006
    """The worker is draining; the component was not called."""
    AT_CAPACITY = -32007
    """The worker has as much to do as it can, for other servers too; the component was not called."""
    NOT_FOUND = -32011
    """The flow, run or step that a worker's request names is not there."""
    INVALID_ID = -32012
    """What stands in the place of an id is none."""

"""The errors of the client.

    StepflowError                        defined in `stepflow.protocol`
    └── StepflowClientError
        ├── ConnectionFailed             there was no answer, or not in time
        ├── UnexpectedAnswer             the answer is not an answer of this API
        └── ApiError                     the server refused the request
            ├── BadRequest               400: something in the request is wrong; `details` says where
            ├── NotFound                 404: no such flow, run or route
            ├── ServerConflict           409: not in this state
            └── Unavailable              429, 503: not now

A flow that fails is none of these: it is a result, `Run.result.outcome == "failed"`.
"""

from stepflow.client.models import ErrorBody, ErrorDetail
from stepflow.protocol import StepflowError


class StepflowClientError(StepflowError):
    """The base class of all errors that this client raises."""


class ConnectionFailed(StepflowClientError):
    """Raised when no answer came from the server."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"no answer from the Stepflow server at {url}: {reason}\n"
            "hint: is it running? `stepflow serve` starts one"
        )
        self.url = url


class UnexpectedAnswer(StepflowClientError):
    """Raised when an answer does not have the shape that this API promises."""

    def __init__(self, url: str, status: int, problem: str) -> None:
        super().__init__(
            f"the answer of {url} (HTTP {status}) is not the Stepflow API's: {problem}\n"
            "hint: is this the address of a Stepflow server, and not of something before it?"
        )
        self.url = url
        self.status = status


class ApiError(StepflowClientError):
    """Raised when the server refuses a request, for a reason that no subclass names."""

    def __init__(self, body: ErrorBody) -> None:
        places = "".join(f"\n  {detail.path}: {detail.message}" for detail in body.details)
        super().__init__(f"{body.kind}: {body.message}{places}\n(request {body.request_id})")
        self.code: int = body.code
        """The HTTP status."""
        self.kind: str = body.kind
        """The stable name, for example `INVALID_INPUT`."""
        self.message: str = body.message
        self.details: tuple[ErrorDetail, ...] = body.details
        self.request_id: str = body.request_id
        """The id of this request in the server's log."""


class BadRequest(ApiError):
    """Raised when something in the request is wrong; nothing was created."""


class NotFound(ApiError):
    """Raised when the flow, run or route does not exist."""


class ServerConflict(ApiError):
    """Raised when the request does not fit the state of the flow or run."""


class Unavailable(ApiError):
    """Raised when the server cannot serve the request now, but may later."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    404: NotFound,
    409: ServerConflict,
    429: Unavailable,
    503: Unavailable,
}


def api_error(body: ErrorBody) -> ApiError:
    """Return the error for a refused request. Its class depends on the HTTP status."""
    return _BY_STATUS.get(body.code, ApiError)(body)

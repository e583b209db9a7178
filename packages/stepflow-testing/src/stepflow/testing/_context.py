"""A `StepflowContext` whose server is in memory, for calling a component as a plain function."""

import uuid

import msgspec

from stepflow.protocol import RunsSubmitParams
from stepflow.testing._mock_server import MockServer, RunFlow
from stepflow.worker import StepflowContext


class MockContext(StepflowContext):
    """Stands in for the context that the server gives to a running component.

    It is the real one, with a server in memory behind it: blobs are stored under their real ids,
    come back as plain JSON values, and an unknown one raises `RequestRefused`. Flows are run by
    `run_flow`, a function that takes a flow's document and an input and returns the output; what
    it raises fails the flow. Without it they are refused.

    Refused with a server's codes are also: ids that are none, arguments of a wrong type or beyond 32
    bits, blobs that are not of their type, `key` with `detached` or of another flow's run, what
    `check_flow` of `stepflow.protocol` refuses of a flow, and overrides that do not have their shape
    or are of steps that the flow does not have. There is no engine behind it: whether inputs fit the flow's schema,
    what a patch makes of a step, and all else of the language only a server checks
    (`stepflow validate` says it of a file).

    What a component reads of its run may be set, here or between two calls:

    - `attempt`: from 1
    - `task_id`: the same for all attempts of one step of one item; a fresh UUID by default
    - `run_id` (a fresh UUID by default), `flow_id`, `step_id`, `session_id`
    - `state`: what the worker's `lifespan` yields
    """

    # Declared as attributes because those of the real context can only be read.
    run_id: str | None = None
    flow_id: str | None = None
    step_id: str | None = None
    attempt: int = 1
    task_id: str | None = None
    session_id: str | None = None
    state: object = None

    def __init__(
        self,
        *,
        attempt: int = 1,
        task_id: str | None = None,
        run_id: str | None = None,
        flow_id: str | None = "0" * 64,
        step_id: str | None = "step",
        session_id: str | None = None,
        state: object = None,
        run_flow: RunFlow | None = None,
    ) -> None:
        if type(attempt) is not int or attempt < 1:
            raise ValueError(f"attempt={attempt!r}: attempts are counted from 1")
        if run_flow is not None and not callable(run_flow):
            raise TypeError("run_flow is a function of a flow's document and an input")
        self._server = MockServer(run_flow)
        super().__init__(self._server)
        self.attempt = attempt
        self.task_id = str(uuid.uuid4()) if task_id is None else task_id
        self.run_id = str(uuid.uuid4()) if run_id is None else run_id
        self.flow_id = flow_id
        self.step_id = step_id
        self.session_id = session_id
        self.state = state

    def cancel(self, reason: str = "the execute was cancelled") -> None:
        """Ask the component to end, as the server does; it is then told so, and not ended."""
        self._server.end(reason)

    @property
    def blobs(self) -> dict[str, object]:
        """A copy of every blob, by its id."""
        return {id: msgspec.json.decode(text) for id, (_, text) in self._server.stored.items()}

    @property
    def submitted(self) -> list[RunsSubmitParams]:
        """Every request to run a flow, in order, whether it was granted or not."""
        return list(self._server.submitted)

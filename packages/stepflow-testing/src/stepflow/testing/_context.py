"""A `StepflowContext` with a server in memory, to call a component as a plain function."""

import uuid

import msgspec

from stepflow.protocol import RunsSubmitParams
from stepflow.testing._mock_server import MockServer, RunFlow
from stepflow.worker import StepflowContext


class MockContext(StepflowContext):
    """Replaces the context of a running component in tests.

    It is a real `StepflowContext` with a server in memory. Blobs are stored under their real ids and
    are returned as plain JSON values; an unknown id raises `RequestRefused`. `run_flow` runs flows: a
    function that takes a flow's document and an input, and returns the output. If it raises, the flow
    fails. Without it, runs are refused.

    As on a real server, these are refused too, with the same codes:

    - invalid ids
    - arguments of a wrong type, or numbers of more than 32 bits
    - blobs whose content does not fit their type
    - a `key` together with `detached`, or a `key` that a run of another flow has
    - flows that `check_flow` of `stepflow.protocol` refuses
    - overrides of a wrong shape, or of steps that the flow does not have

    There is no engine. Only a real server checks everything else, such as whether inputs fit the flow's
    schema, and what a patch makes of a step. `stepflow validate` checks a flow's file.

    These attributes describe the run; they may be set here, or between two calls:

    - `attempt`: from 1
    - `task_id`: the same for all attempts of one step of one item; a fresh UUID by default
    - `run_id` (a fresh UUID by default), `flow_id`, `step_id`, `session_id`
    - `state`: what the worker's `lifespan` yields
    """

    # Declared as attributes, because the properties of the real context are read-only.
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
        """Ask the component to end, as the server does. The component can see this; it is not interrupted."""
        self._server.end(reason)

    @property
    def blobs(self) -> dict[str, object]:
        """Copies of all blobs by id."""
        return {id: msgspec.json.decode(text) for id, (_, text) in self._server.stored.items()}

    @property
    def submitted(self) -> list[RunsSubmitParams]:
        """All requests to run a flow, in order, including those that were refused."""
        return list(self._server.submitted)

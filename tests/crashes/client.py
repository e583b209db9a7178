"""A client that asks for its runs, whatever happens to the server, and for what became of them."""

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.serving import Answer, Server
from tests.crashes import flows, journal

GONE = (OSError, http.client.HTTPException, json.JSONDecodeError)
"""What a client sees when the server ends during a request."""

TIMEOUT = 60.0

_ENDED = ("completed", "failed", "cancelled")


class Client:
    """Knows what the servers have said so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.database = folder / ".stepflow" / "state.db"
        self.runs: dict[str, str] = {}
        """The ids that a server has answered."""
        self.cancelled = False
        """Whether a server has said that the run is cancelled."""

    def look(self, said: journal.Database) -> list[str]:
        """Learn from the database of a server that has crashed; return what it should have and has not."""
        lost = [
            f"run `{name}` was answered and is lost"
            for name, run in self.runs.items()
            if run not in said.runs
        ]
        # A request may have been carried out although no answer came: then it is not sent again.
        self.runs = {**said.roots, **self.runs}
        return lost

    def drive(self, server: Server, held: Callable[[], bool]) -> list[str]:
        """Ask for what is still missing and wait until all has ended; return what is wrong.

        held: whether the step of the run that is to be cancelled is at work.

        Raises one of `GONE` when the server ends.
        """
        for name, (flow, inputs) in flows.RUNS.items():
            if name not in self.runs:
                answer = server("POST", "/runs", {"flow": flow, "input": inputs})
                assert answer.status == 202, answer
                self.runs[name] = answer.body["runId"]
        found = self._cancel(server, self.runs["cancelled"], held)
        for run in self.runs.values():
            self._wait(server, run)
        return found

    def _cancel(self, server: Server, run: str, held: Callable[[], bool]) -> list[str]:
        deadline = time.monotonic() + TIMEOUT
        while True:
            status = server("GET", f"/runs/{run}").body["status"]
            if self.cancelled and status != "cancelled":
                return [f"run `cancelled` was cancelled, and is {status}"]
            if status in _ENDED:
                return []
            if held():
                answer = server("POST", f"/runs/{run}/cancel")
                self.cancelled = answer.status == 200
                return [] if self.cancelled else [f"the cancellation was answered with {answer}"]
            assert time.monotonic() < deadline, f"run `cancelled` is {status}"
            time.sleep(0.005)

    def _wait(self, server: Server, run: str) -> None:
        status = server("GET", f"/runs/{run}?wait=true&timeoutSecs=30").body["status"]
        assert status in _ENDED, f"run {run} is {status} after 30 s"

    def results(self, server: Server) -> list[str]:
        """Return all that the API says of all runs, also of sub-runs, without what differs from time to time."""
        said = journal.read(self.database)
        return sorted(self._result(server, run, name, said) for run, name in said.runs.items())

    def _result(self, server: Server, run: str, name: str, said: journal.Database) -> str:
        def get(path: str) -> Any:
            answer: Answer = server("GET", f"/runs/{run}{path}")
            assert answer.status == 200, answer
            return answer.body

        shown = get("")
        items = get("/items")["items"]
        steps = [
            get(f"/steps?includeOutputs=true&itemIndex={item}")["steps"]
            for item in range(shown["itemCount"])
        ]
        result = json.dumps({"flow": name, "run": shown, "items": items, "steps": steps})
        for other in said.runs:
            result = result.replace(other, "RUN")
        # Tracebacks name the file.
        result = result.replace(str(self._folder), "FOLDER")
        return json.dumps(without_what_varies(json.loads(result)), indent=1, sort_keys=True)


_VARY = {"createdAt", "completedAt", "scheduledAt", "attempts", "attempt"}


def without_what_varies(value: Any) -> Any:
    """Return an answer of the API without times and numbers of attempts."""
    if isinstance(value, dict):
        return {
            name: without_what_varies(member) for name, member in value.items() if name not in _VARY
        }
    if isinstance(value, list):
        return [without_what_varies(element) for element in value]
    return value

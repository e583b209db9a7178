"""One open `components/execute`, from its params to the answer that it sends itself."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextvars import Context, copy_context
from types import CoroutineType
from typing import Any, Protocol, TypeVar

import msgspec

from stepflow.protocol import (
    Answer,
    ComponentsExecuteParams,
    MessageId,
    Method,
    NoJsonForm,
    frame,
)
from stepflow.worker._calls import PendingCalls
from stepflow.worker._components.routing import Found
from stepflow.worker._context.context import StepflowContext
from stepflow.worker._context.requests import RequestParams
from stepflow.worker._executing.failures import Ending, ended_line, failure_line
from stepflow.worker._executing.forked import end_child
from stepflow.worker._executing.interruption import Interruption
from stepflow.worker._executing.timers import Timer
from stepflow.worker._values.mismatch import TypeMismatch
from stepflow.worker.errors import Cancelled, ExecuteEnded, InvalidInput, InvalidOutput, NoCapacity

T = TypeVar("T")


class ExecuteParams(ComponentsExecuteParams):
    """The params of an execute. The input stays bytes: the component's own type decodes it."""

    input: msgspec.Raw


class Origin(Protocol):
    """The session that an execute comes from, and that the component's requests go to."""

    id: str | None
    calls: PendingCalls
    context: type[StepflowContext]

    def closed(self, execution: "Execution") -> None:
        """Note that an execution answers now."""

    def paused(self, execution: "Execution") -> None:
        """Note that an execution waits for a run that it submitted."""

    def resumed(self, execution: "Execution") -> None:
        """Note that it no longer waits for that run; called once for each `paused`."""


class Execution:
    """A component with its input. Runs once, and always sends exactly one answer."""

    __slots__ = ("_ask", "_calls", "_captures", "_has_ended", "_interruption", "_origin", "_pid", "_reply", "_task", "_watchers",
                 "abandoned", "component", "ending", "id", "params", "state", "timers", "variables", "waits")  # fmt: skip

    def __init__(
        self,
        id: MessageId,
        found: Found,
        params: ExecuteParams,
        origin: Origin,
        reply: Callable[[bytes], None],
        ask: Callable[[bytes], None],
        state: object = None,
        variables: Context | None = None,
    ) -> None:
        """reply: sends the answer, one framed message, from any thread.
        ask: sends a request of the component, one framed message, from any thread.
        """
        self.id = id
        self.component, self._captures = found
        self.params = params
        self.state = state
        self.variables = variables or copy_context()
        """Its own context variables: other executes do not see what it sets."""
        self.ending: Ending | None = None
        """Why it was asked to end; None until then. Set once, by the executor."""
        self.abandoned = False
        """Whether the worker ends without waiting for it. It sends no answer then: the server counts it as lost."""
        self.timers: tuple[Timer, ...] = ()
        self.waits = 0
        self._origin = origin
        self._reply = reply
        self._ask = ask
        self._pid = os.getpid()
        self._has_ended = False
        self._interruption: Interruption | None = None
        self._task: asyncio.Task[None] | None = None
        self._calls: dict[Future[Any], Method] = {}
        self._watchers: set[Future[None]] = set()

    @property
    def session_id(self) -> str | None:
        """The id of its HTTP session; None over stdio and without a session."""
        return self._origin.id

    @property
    def reason_to_end(self) -> str | None:
        """Why it was asked to end, as text; None until then."""
        return None if self.ending is None else self.ending.reason

    def begin(self) -> None:
        """Run a sync component on this thread, with its own context variables. Never raises."""
        try:
            self.variables.run(self.run)
        except BaseException as error:  # noqa: BLE001, as in `run`
            self.ended_by(error)

    def run(self) -> None:
        """Call a sync component, and answer."""
        self._interruption = interruption = Interruption()
        if self.ending is not None:  # checked only now, when `interrupt` can reach this thread
            return self.give_up(self.ending)
        try:
            line = self._answer(interruption.call(self._invoke))
        except BaseException as error:  # noqa: BLE001, `sys.exit()` in a component is its failure
            line = self._failed(error)
        self._finish(line)

    async def run_async(self) -> None:
        """Await an async component, and answer; unless the worker ends it first."""
        if self.ending is not None:
            return self.give_up(self.ending)
        self._task = asyncio.current_task()
        try:
            line = self._answer(await self._invoke())
        except BaseException as error:
            # Checked by its type: `isinstance` would run user code.
            if self.abandoned and issubclass(type(error), asyncio.CancelledError | GeneratorExit):
                raise
            line = self._failed(error)
        self._finish(line)

    def ended_by(self, error: BaseException) -> None:
        """Answer with `error` unless it has answered: a task may be cancelled before it begins."""
        if not (self._has_ended or self.abandoned):
            self._finish(self._failed(error))

    def give_up(self, ending: Ending) -> None:
        """Answer without having called the component."""
        self._finish(ended_line(self.id, ending))

    def refuse(self, problem: NoCapacity) -> None:
        """Answer that the component could not be called."""
        if self.ending is not None:
            return self.give_up(self.ending)
        self._finish(failure_line(self.id, problem))

    def told_to_end(self) -> None:
        """Wake what waits for `ending`, which is set now; a sync component's requests fail."""
        if not self.component.is_async:
            self._end_calls()
        for watcher in tuple(self._watchers):
            _complete(watcher)

    def interrupt(self) -> None:
        """End a sync component by an exception in its thread."""
        if self._interruption is not None:
            self._interruption.interrupt()

    def cancel(self) -> None:
        """Cancel an async component, if it has begun; on its loop."""
        if self._task is not None:
            self._task.cancel()
            self._end_calls()  # tasks that it has started may wait for them

    def send(
        self, method: Method, params: RequestParams, result: type[T], *, waits: bool = False
    ) -> "Future[T]":
        """Send a component's request to the server.

        waits: whether it waits for a run. Meanwhile the execution leaves its place to others.
        """
        if (error := self._why_not_send(method)) is not None:
            raise error
        call = self._origin.calls.send(self._ask, method, params, result)
        self._calls[call] = method
        if waits:
            self._origin.paused(self)
            call.add_done_callback(lambda _: self._origin.resumed(self))
        call.add_done_callback(self._forget)
        # The end may have come before this call was in `_calls`. A call with an answer keeps it.
        if (error := self._why_not_send(method)) is not None and call.cancel():
            raise error
        return call

    def _why_not_send(self, method: Method) -> BaseException | None:
        if self.ending is not None:
            return Cancelled(self.ending.reason)
        # The server would not accept a request for an execute that it has an answer to.
        return ExecuteEnded(method) if self._has_ended else None

    def unanswered(self) -> list[Method]:
        """Return the methods of the component's requests that have no answer yet."""
        return list(self._calls.values())

    def asked_to_end(self) -> "Future[None]":
        """Return a future that is done once `ending` is set."""
        watcher: Future[None] = Future()
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        if self.ending is not None:
            _complete(watcher)
        return watcher

    def _invoke(self) -> Any:
        component, params = self.component, self.params
        try:
            value = component.input.read(params.input)
        except TypeMismatch as mismatch:
            raise InvalidInput(component.path, mismatch.path, mismatch.problem) from None
        context = self._origin.context(self) if component.takes_context else None
        return component.invoke(value, context, **self._captures)

    def _answer(self, output: Any) -> bytes:
        if os.getpid() != self._pid:
            end_child()
        path = self.component.path
        if type(output) is CoroutineType:
            output.close()
            raise InvalidOutput(
                path, "$", "a coroutine: `await` it in an `async def`, or use `context.sync`"
            )
        try:
            written = self.component.output.write(output)
        except TypeMismatch as mismatch:
            raise InvalidOutput(path, mismatch.path, mismatch.problem) from None
        except NoJsonForm as error:
            raise InvalidOutput(path, error.path, f"it {error.problem}") from None
        return frame(Answer(self.id, {"output": written}))

    def _failed(self, error: BaseException) -> bytes:
        if os.getpid() != self._pid:
            end_child(error)
        if self.ending is not None:
            return ended_line(self.id, self.ending, error)
        return failure_line(self.id, error)

    def _finish(self, line: bytes) -> None:
        for timer in self.timers:
            timer.cancel()
        self._has_ended = True
        if self._calls:
            self._end_calls()  # nothing waits for them any more
        self._origin.closed(self)
        self._reply(line)

    def _forget(self, call: Future[Any]) -> None:
        self._calls.pop(call, None)

    def _end_calls(self) -> None:
        for call in tuple(self._calls):
            call.cancel()


def _complete(future: "Future[None]") -> None:
    try:
        future.set_result(None)
    except InvalidStateError:
        pass  # it is done or cancelled already

"""One open `components/execute`: from its params to the answer that it writes itself."""

import asyncio
from collections.abc import Callable
from types import CoroutineType
from typing import Any

import msgspec

from stepflow.protocol import Answer, ComponentsExecuteParams, MessageId, frame
from stepflow.worker._component import Component
from stepflow.worker._context import ServerCalls, StepflowContext
from stepflow.worker._failures import failure_line
from stepflow.worker._types import Misfit
from stepflow.worker.errors import InvalidInput, InvalidOutput


class ExecuteParams(ComponentsExecuteParams):
    """The params of an execute, with the input left as bytes for the component's own type."""

    input: msgspec.Raw


# What user code may raise without ending the worker: `sys.exit()` in a component is its failure.
_FAILURES = (Exception, SystemExit, KeyboardInterrupt)


class Execution:
    """A component with its input. Runs once, and always writes exactly one answer."""

    __slots__ = ("_calls", "_id", "_params", "_write", "component")

    def __init__(
        self,
        id: MessageId,
        component: Component,
        params: ExecuteParams,
        calls: ServerCalls,
        write: Callable[[bytes], None],
    ) -> None:
        self.component = component
        self._id = id
        self._params = params
        self._calls = calls
        self._write = write

    def run(self) -> None:
        """Call a sync component on this thread, and answer."""
        try:
            line = self._answer(self._invoke())
        except _FAILURES as error:
            line = failure_line(self._id, error)
        self._write(line)

    async def run_async(self) -> None:
        """Await an async component, and answer; unless the worker ends it first."""
        try:
            line = self._answer(await self._invoke())
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the worker ends: the server counts what was not answered as lost
            line = failure_line(self._id, error)
        except _FAILURES as error:
            line = failure_line(self._id, error)
        self._write(line)

    def _invoke(self) -> Any:
        component, params = self.component, self._params
        try:
            value = component.input.read(params.input)
        except Misfit as misfit:
            raise InvalidInput(component.path, misfit.path, misfit.problem) from None
        context = StepflowContext(params, self._calls) if component.takes_context else None
        return component.invoke(value, context)

    def _answer(self, output: Any) -> bytes:
        path = self.component.path
        if type(output) is CoroutineType:
            output.close()
            raise InvalidOutput(path, "$", "a coroutine; make the component `async def`")
        try:
            converted = self.component.output.convert(output)
        except Misfit as misfit:
            raise InvalidOutput(path, misfit.path, misfit.problem) from None
        try:
            return frame(Answer(self._id, {"output": converted}))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidOutput(path, "$", str(error)) from None

"""The protocol on one connection: reads messages, answers them, and gives executes to the executor.

It does not depend on the transport: each message is given to `receive` with a function that replies.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET

from stepflow.protocol import (
    Answer,
    ComponentCapabilities,
    ComponentsCancelParams,
    ComponentsInferSchemaParams,
    ComponentsInferSchemaResult,
    ComponentsInfoParams,
    ComponentsInfoResult,
    ComponentsListParams,
    ComponentsListResult,
    Envelope,
    ErrorAnswer,
    ErrorCode,
    ErrorObject,
    InitializedParams,
    InitializeParams,
    InitializeResult,
    InvalidEnvelope,
    InvalidParams,
    MessageId,
    MessageTooLong,
    Method,
    NotJson,
    ProtocolError,
    RuntimeCapabilities,
    UnknownMethod,
    WorkerCapabilities,
    decode,
    frame,
)
from stepflow.worker._calls import PendingCalls
from stepflow.worker._components.component import Component
from stepflow.worker._components.routing import Found, Paths
from stepflow.worker._context.context import StepflowContext
from stepflow.worker._executing.execution import ExecuteParams, Execution
from stepflow.worker._executing.executor import Executor
from stepflow.worker._executing.failures import Ending

log = logging.getLogger("stepflow.worker")

PROTOCOL_VERSION = 1

EARLY_CANCELS = 64
"""How many cancels a session remembers whose execute has not arrived."""

Params = TypeVar("Params")
Reply: TypeAlias = Callable[[bytes], None]


class Served:
    """What a worker offers."""

    def __init__(
        self,
        components: Mapping[str, Component],
        *,
        version: str | None = None,
        state: object = None,
        execution: type[Execution] = Execution,
    ) -> None:
        """components: the components by path or pattern.
        version: the version of the components' code.
        state: what the lifespan yields; components see it as `context.state`.
        execution: the class of the executions; another class puts spans around them.
        """
        self.components = components
        self.version = version
        self.state = state
        self.variables = copy_context()
        """The context variables that each execute begins with: as they are after the lifespan's entry."""
        self.execution = execution
        self.find = Paths(components.values()).find
        self.current = self
        """Where the next execute is looked up. Read once per execute, so that all parts belong together."""

    def replace_with(self, other: "Served") -> None:
        """Offer what another one offers from now on."""
        vars(self).update(vars(other))


class Serves(Protocol):
    """What transports need of a `StepflowServer`."""

    def served(self) -> Served:
        """Return what it offers, without the lifespan's state."""

    def started(self) -> AbstractAsyncContextManager[Served]:
        """Enter the lifespan, and return what it offers with the lifespan's state."""


class _NotServed(Exception):
    """Raised to answer a request with an error object that is not about the protocol."""

    def __init__(self, code: ErrorCode, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error = ErrorObject(code, message, data)


class Session:
    """The worker's side of one connection. `receive` never raises and never blocks."""

    def __init__(
        self,
        served: Served,
        executor: Executor,
        *,
        id: str | None = None,
        calls: PendingCalls | None = None,
        context: type[StepflowContext] = StepflowContext,
        resumable: bool = False,
    ) -> None:
        """id: what components see as `context.session_id`.
        calls: the components' requests that wait for an answer; by default this session has its own.
        context: the class of the context that components get.
        resumable: whether the transport can resume a session after its connection is lost.
        """
        self.id = id
        self.server: RuntimeCapabilities | None = None
        """What the server can do; None before `initialize`, and for servers that do not say it."""
        self.calls = calls or PendingCalls()
        self.context = context
        self.served = served
        self._executor = executor
        self._resumable = resumable
        self._open: dict[MessageId, Execution] = {}
        self._early_cancels: dict[tuple[str | None, int], Ending] = {}
        """Cancels without an open execute, by task and attempt: over HTTP, one may overtake its execute."""

    def close(self, *, cancel: bool = False) -> None:
        """Note that the peer sends nothing more: components' open requests fail.

        cancel: the peer does not read either, so the open executes are asked to end.
        """
        if cancel:
            ending = Ending(ErrorCode.CANCELLED, "the server closed the connection")
            for execution in self.executions():
                self._executor.end(execution, ending)
        self.calls.close()

    def executions(self) -> list[Execution]:
        """Return the executions that are not answered yet."""
        return list(self._open.values())

    def receive(self, text: bytes | MessageTooLong, reply: Reply) -> Execution | None:
        """Handle one message. Returns an execute that has begun; anything else is answered already.

        reply: sends one framed message, from any thread. It gets the answer to this message, and
        before that the requests of the component that this message executes.
        """
        try:
            if isinstance(text, MessageTooLong):
                raise text
            if not text.strip():
                return None
            message = decode(text)
        except ProtocolError as error:
            if isinstance(error, NotJson):
                log.warning("skipped a line: %s: %.200r", error, text)
            id = error.id if isinstance(error, InvalidEnvelope) else None
            reply(frame(ErrorAnswer(id, ErrorObject(error.code, str(error), error.data))))
            return None
        return self.handle(message, reply, reply)

    def handle(self, message: Envelope, reply: Reply, ask: Reply) -> Execution | None:
        """Do what `receive` does with a decoded message; `ask` sends its component's requests."""
        try:
            return self._dispatch(message, reply, ask)
        except ProtocolError as error:
            refusal = ErrorObject(error.code, str(error))
        except _NotServed as answer:
            refusal = answer.error
        except Exception as error:
            log.exception("a message could not be handled")
            refusal = ErrorObject(ErrorCode.INTERNAL_ERROR, f"the worker failed: {error!r}")
        reply(frame(ErrorAnswer(message.id, refusal)))
        return None

    def closed(self, execution: Execution) -> None:
        """Note that an execution answers now."""
        self._open.pop(execution.id, None)
        self._executor.capacity.end(execution)

    def paused(self, execution: Execution) -> None:
        """Note that an execution waits for a run that it submitted."""
        self._executor.pause(execution)
        self._executor.capacity.pause(execution)

    def resumed(self, execution: Execution) -> None:
        """Note that an execution no longer waits for that run."""
        self._executor.capacity.resume(execution)
        self._executor.resume(execution)

    def _dispatch(self, message: Envelope, reply: Reply, ask: Reply) -> Execution | None:
        id = message.id
        if message.method is None:
            self.calls.take_answer(message)
        elif id is None:
            self._notify(message)
        elif message.method == Method.components_execute:
            return self._execute(id, message, reply, ask)
        else:
            reply(frame(Answer(id, self._result_of(message))))
        return None

    def _notify(self, message: Envelope) -> None:
        if message.method != Method.components_cancel:
            if message.method != Method.initialized:
                log.debug("ignored the notification %r", message.method)
            return
        try:
            self._cancel(_params(message, _cancel_params))
        except InvalidParams as error:
            log.warning("%s", error)  # a notification gets no answer, not even an error

    def _cancel(self, params: ComponentsCancelParams) -> object:
        reason = f"the execute was cancelled{f': {params.reason}' if params.reason else ''}"
        ending, task = Ending(ErrorCode.CANCELLED, reason), (params.task_id, params.attempt)
        meant = [
            each for each in self.executions() if (each.params.task_id, each.params.attempt) == task
        ]
        for execution in meant:
            self._executor.end(execution, ending)
        if not meant:
            self._early_cancels[task] = ending
            if len(self._early_cancels) > EARLY_CANCELS:
                del self._early_cancels[next(iter(self._early_cancels))]
        return {}

    def _execute(self, id: MessageId, message: Envelope, reply: Reply, ask: Reply) -> Execution:
        params = _params(message, _execute_params)
        served = self.served.current
        found = _found(served, params.component)
        if self._early_cancels and (
            ending := self._early_cancels.get((params.task_id, params.attempt))
        ):
            raise _NotServed(*ending)
        if self._executor.draining and not self._is_awaited(params):
            # A server that negotiates then tries another worker; older ones do not know the code.
            code = ErrorCode.SERVER_ERROR if self.server is None else ErrorCode.NOT_ACCEPTED
            raise _NotServed(code, "the worker is shutting down and takes no new work")
        variables = served.variables.copy()
        execution = served.execution(id, found, params, self, reply, ask, served.state, variables)
        if self._open.setdefault(id, execution) is not execution:
            raise _NotServed(
                ErrorCode.INVALID_REQUEST, f"the id {id!r} names an execute that is open already"
            )
        refusable = self.server is not None and self.server.at_capacity is True
        if not self._executor.capacity.admit(execution, self, refusable=refusable):
            del self._open[id]
            raise _NotServed(ErrorCode.AT_CAPACITY, "the worker has no room now; ask again later")
        self._executor.submit(execution)
        return execution

    def _is_awaited(self, params: ExecuteParams) -> bool:
        """Whether an open execute may wait for this one, as both belong to the same tree of runs."""
        root = params.observability.root_run_id
        return root is not None and any(
            each.params.observability.root_run_id == root for each in self.executions()
        )

    def _result_of(self, message: Envelope) -> object:
        assert message.method is not None
        handler = _HANDLERS.get(message.method)
        if handler is None:
            raise UnknownMethod(message.method)
        return handler.answer(self, _params(message, handler.params))

    def _initialize(self, params: InitializeParams) -> InitializeResult:
        # All peers send version 1; the capabilities tell what they can do.
        self.server = params.capabilities
        limits = {
            path: ComponentCapabilities(max_concurrency=each.max_concurrency)
            for path, each in self.served.components.items()
            if each.max_concurrency is not None
        }
        capabilities = WorkerCapabilities(
            max_concurrency=self._executor.limit,
            cancel=True,
            resume=self._resumable or None,
            version=self.served.version,
            components=limits or None,
        )
        return InitializeResult(PROTOCOL_VERSION, capabilities)

    def _list(self, params: ComponentsListParams) -> ComponentsListResult:
        return ComponentsListResult([each.info() for each in self.served.components.values()])

    def _info(self, params: ComponentsInfoParams) -> ComponentsInfoResult:
        component = _found(self.served, params.component).component
        return ComponentsInfoResult(component.info(params.component))

    def _infer_schema(self, params: ComponentsInferSchemaParams) -> ComponentsInferSchemaResult:
        _found(self.served, params.component)
        return ComponentsInferSchemaResult()


def _found(served: Served, path: str) -> Found:
    found = served.find(path)
    if found is None:
        known = ", ".join(f"`{each}`" for each in served.components) or "none"
        raise _NotServed(
            ErrorCode.COMPONENT_NOT_FOUND,
            f"this worker has no component `{path}`; it has {known}",
            {"component": path},
        )
    return found


class _Handler(NamedTuple):
    params: msgspec.json.Decoder[Any]
    answer: Callable[[Session, Any], object]


_execute_params = msgspec.json.Decoder(ExecuteParams)
_cancel_params = msgspec.json.Decoder(ComponentsCancelParams)

_HANDLERS: dict[str, _Handler] = {
    Method.initialize: _Handler(msgspec.json.Decoder(InitializeParams), Session._initialize),
    Method.components_list: _Handler(msgspec.json.Decoder(ComponentsListParams), Session._list),
    Method.components_info: _Handler(msgspec.json.Decoder(ComponentsInfoParams), Session._info),
    Method.components_infer_schema: _Handler(
        msgspec.json.Decoder(ComponentsInferSchemaParams), Session._infer_schema
    ),
    # These are notifications; a peer that sends them as requests gets an answer.
    Method.components_cancel: _Handler(_cancel_params, Session._cancel),
    Method.initialized: _Handler(msgspec.json.Decoder(InitializedParams), lambda *_: {}),
}


def _params(message: Envelope, decoder: msgspec.json.Decoder[Params]) -> Params:
    text = b"{}" if message.params is UNSET else message.params
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParams(message.method or "", str(error)) from None

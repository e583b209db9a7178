"""One connection's protocol: reads messages, answers them, and hands executes to the executor.

Knows nothing of pipes or HTTP: text comes in by `receive`, lines go out by `write`.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from stepflow.protocol import (
    Answer,
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
    UnknownMethod,
    WorkerCapabilities,
    decode,
    frame,
)
from stepflow.worker._calls import PendingCalls
from stepflow.worker._component import Component
from stepflow.worker._execution import ExecuteParams, Execution
from stepflow.worker._executor import Executor

log = logging.getLogger("stepflow.worker")

PROTOCOL_VERSION = 1

Params = TypeVar("Params")


class _NotServed(Exception):
    """An error answer that is not about the protocol: it carries its own object."""

    def __init__(self, code: ErrorCode, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error = ErrorObject(code, message, data)


class Session:
    """The worker's side of one connection. `receive` never raises and never waits."""

    def __init__(
        self,
        components: Mapping[str, Component],
        executor: Executor,
        write: Callable[[bytes], None],
    ) -> None:
        """`write` sends one framed message whole; it is called from many threads."""
        self.calls = PendingCalls(write)
        self._components = components
        self._executor = executor
        self._write = write
        self._draining = False
        self._server_negotiates = False

    def close(self) -> None:
        """The peer says nothing more: whoever waits for an answer of its gets none."""
        self.calls.close()

    def drain(self) -> None:
        """Take no new executes; those that are open go on."""
        self._draining = True

    def receive(self, text: bytes | MessageTooLong) -> None:
        """Take one message. A request is answered now, or by its execution later."""
        if isinstance(text, MessageTooLong):
            return self.refuse(None, text)
        if not text.strip():
            return None
        id: MessageId | None = None
        try:
            message = decode(text)
            id = message.id
            if message.method is None:
                self.calls.answered(message)
            elif id is None:
                self._notified(message)
            elif message.method == Method.components_execute:
                self._execute(id, message)
            else:
                self._write(frame(Answer(id, self._result_of(message))))
        except NotJson as error:
            log.warning("skipped a line: %s: %.200r", error, text)
            self.refuse(None, error)
        except InvalidEnvelope as error:
            self.refuse(error.id, error)
        except ProtocolError as error:
            self.refuse(id, error)
        except _NotServed as answer:
            self._write(frame(ErrorAnswer(id, answer.error)))
        except Exception as error:
            log.exception("a message could not be handled")
            problem = f"the worker failed: {error!r}"
            self._write(frame(ErrorAnswer(id, ErrorObject(ErrorCode.INTERNAL_ERROR, problem))))

    def refuse(self, id: MessageId | None, error: ProtocolError) -> None:
        """Answer what is not the protocol."""
        self._write(frame(ErrorAnswer(id, ErrorObject(error.code, str(error)))))

    def _notified(self, message: Envelope) -> None:
        if message.method != Method.initialized:
            log.debug("ignored the notification %r", message.method)

    def _execute(self, id: MessageId, message: Envelope) -> None:
        params = _params(message, _execute_params)
        component = self._component(params.component)
        if self._draining:
            # A server that negotiates reads this as "give it to another"; an older one cannot.
            code = ErrorCode.NOT_ACCEPTED if self._server_negotiates else ErrorCode.SERVER_ERROR
            raise _NotServed(code, "the worker is shutting down and takes no new work")
        self._executor.submit(Execution(id, component, params, self.calls, self._write))

    def _result_of(self, message: Envelope) -> object:
        assert message.method is not None
        handler = _HANDLERS.get(message.method)
        if handler is None:
            raise UnknownMethod(message.method)
        return handler.answer(self, _params(message, handler.params))

    def _initialize(self, params: InitializeParams) -> InitializeResult:
        # Every peer says version 1, whatever it speaks; only capabilities tell.
        self._server_negotiates = params.capabilities is not None
        capabilities = WorkerCapabilities(max_concurrency=self._executor.limit)
        return InitializeResult(PROTOCOL_VERSION, capabilities)

    def _list(self, params: ComponentsListParams) -> ComponentsListResult:
        return ComponentsListResult([each.info() for each in self._components.values()])

    def _info(self, params: ComponentsInfoParams) -> ComponentsInfoResult:
        return ComponentsInfoResult(self._component(params.component).info())

    def _infer_schema(self, params: ComponentsInferSchemaParams) -> ComponentsInferSchemaResult:
        self._component(params.component)
        return ComponentsInferSchemaResult()

    def _component(self, path: str) -> Component:
        component = self._components.get(path)
        if component is None:
            known = ", ".join(f"`{each}`" for each in self._components) or "none"
            raise _NotServed(
                ErrorCode.COMPONENT_NOT_FOUND,
                f"this worker has no component `{path}`; it has {known}",
                {"component": path},
            )
        return component


class _Handler(NamedTuple):
    params: msgspec.json.Decoder[Any]
    answer: Callable[[Session, Any], object]


_execute_params = msgspec.json.Decoder(ExecuteParams)

_HANDLERS: dict[str, _Handler] = {
    Method.initialize: _Handler(msgspec.json.Decoder(InitializeParams), Session._initialize),
    Method.components_list: _Handler(msgspec.json.Decoder(ComponentsListParams), Session._list),
    Method.components_info: _Handler(msgspec.json.Decoder(ComponentsInfoParams), Session._info),
    Method.components_infer_schema: _Handler(
        msgspec.json.Decoder(ComponentsInferSchemaParams), Session._infer_schema
    ),
    # A notification by nature; a peer that wants it acknowledged gets its answer too.
    Method.initialized: _Handler(msgspec.json.Decoder(InitializedParams), lambda *_: {}),
}


def _params(message: Envelope, decoder: msgspec.json.Decoder[Params]) -> Params:
    text = b"{}" if message.params is UNSET else message.params
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParams(message.method or "", str(error)) from None

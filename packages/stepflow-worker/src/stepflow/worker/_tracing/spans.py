"""Spans around executes. Imported only if OpenTelemetry is used."""

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TypeVar

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode

from stepflow.protocol import Method, ObservabilityContext
from stepflow.worker._context.requests import RequestParams
from stepflow.worker._executing.execution import Execution
from stepflow.worker._executing.failures import text_of

T = TypeVar("T")

_tracer = trace.get_tracer("stepflow.worker")


def set_up(*, by_environment: bool) -> bool:
    """Set up an exporter of spans unless there is one; return whether there is one now.

    by_environment: whether the environment names a collector; without one nothing is set up.
    """
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return True
    if not by_environment or os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "stepflow-worker")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


class TracedExecution(Execution):
    """An execution inside a span. The parent of the span is the one that the server names."""

    __slots__ = ("_span",)

    _span: trace.Span

    def run(self) -> None:
        with self._in_span():
            super().run()

    async def run_async(self) -> None:
        with self._in_span():
            await super().run_async()

    def send(
        self, method: Method, params: RequestParams, result: type[T], *, waits: bool = False
    ) -> "Future[T]":
        # The parent of the server's spans is the current span: this one, or one of the user's.
        params.observability = _with_current_span(params.observability)
        return super().send(method, params, result, waits=waits)

    @contextmanager
    def _in_span(self) -> Iterator[None]:
        asked = self.params.observability
        attributes: dict[str, str | int | None] = {
            "stepflow.component": self.params.component,
            "stepflow.attempt": self.params.attempt,
            "stepflow.task_id": self.params.task_id,
            "stepflow.run_id": asked.run_id,
            "stepflow.flow_id": asked.flow_id,
            "stepflow.step_id": asked.step_id,
        }
        self._span = _tracer.start_span(
            self.component.path,
            context=_parent(asked),
            kind=SpanKind.SERVER,
            attributes={name: value for name, value in attributes.items() if value is not None},
        )
        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def _failed(self, error: BaseException) -> bytes:
        if (span := getattr(self, "_span", None)) is not None:
            span.set_status(Status(StatusCode.ERROR, text_of(error)))
            with suppress(BaseException):  # the text of an exception may come from user code
                span.record_exception(error)
        return super()._failed(error)

    def _finish(self, line: bytes) -> None:
        # Before the answer: a client that has the answer may look for the span.
        if (span := getattr(self, "_span", None)) is not None:
            span.end()
        super()._finish(line)


def _parent(asked: ObservabilityContext) -> Context | None:
    try:
        ids = int(asked.trace_id or "", 16), int(asked.span_id or "", 16)
    except ValueError:
        return None
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    parent = SpanContext(*ids, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(parent)) if parent.is_valid else None


def _with_current_span(asked: ObservabilityContext | None) -> ObservabilityContext | None:
    current = trace.get_current_span().get_span_context()
    if asked is None or not current.is_valid:
        return asked
    return msgspec.structs.replace(
        asked,
        trace_id=trace.format_trace_id(current.trace_id),
        span_id=trace.format_span_id(current.span_id),
    )

"""Decides whether executes are traced. OpenTelemetry is imported only if they are."""

import logging
import os
import sys

from stepflow.worker._executing.execution import Execution

log = logging.getLogger("stepflow.worker")

TURNED_ON_BY = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
)
"""OpenTelemetry's own variables that turn tracing on. OTEL_SERVICE_NAME names the service."""


def execution_kind() -> type[Execution]:
    """Return the class of executions: `TracedExecution` if spans are exported, else `Execution`.

    Spans are exported if the components' code has set up OpenTelemetry. They are also exported if a
    variable of the environment names a collector: then the worker sets it up.
    """
    asked = next((name for name in TURNED_ON_BY if os.environ.get(name)), None)
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Execution
    if asked is None and "opentelemetry.sdk.trace" not in sys.modules:
        return Execution
    try:
        from stepflow.worker._tracing.spans import TracedExecution, set_up
    except ModuleNotFoundError as error:
        log.warning(
            "%s is set, and there are no traces: %s\nhint: pip install 'stepflow-worker[otel]'",
            asked,
            error,
        )
        return Execution
    return TracedExecution if set_up(by_environment=asked is not None) else Execution

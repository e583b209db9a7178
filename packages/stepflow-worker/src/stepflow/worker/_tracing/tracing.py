"""Whether executes are traced: where OpenTelemetry is set up, which is not even imported elsewhere."""

import logging
import os
import sys

from stepflow.worker._executing.execution import Execution

log = logging.getLogger("stepflow.worker")

ASKED_FOR_BY = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_TRACES_EXPORTER",
)
"""The standard's own variables. The name of the service comes from OTEL_SERVICE_NAME."""


def execution_kind() -> type[Execution]:
    """Return the class of executions: with a span each, where somebody wants to see them.

    That is where the components have set up OpenTelemetry themselves, or where a variable of the
    environment names a collector; then the worker sets it up.
    """
    asked = next((name for name in ASKED_FOR_BY if os.environ.get(name)), None)
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Execution
    if asked is None and "opentelemetry.sdk.trace" not in sys.modules:
        return Execution
    try:
        from stepflow.worker._tracing.spans import TracedExecution, is_set_up
    except ModuleNotFoundError as error:
        log.warning(
            "%s is set, and there are no traces: %s\nhint: pip install 'stepflow-worker[otel]'",
            asked,
            error,
        )
        return Execution
    return TracedExecution if is_set_up(by_environment=asked is not None) else Execution

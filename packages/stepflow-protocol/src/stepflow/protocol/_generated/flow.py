"""The flow document.

Generated from `schemas/flow.json` by `uv run python generate.py`. Do not edit: see the README in this folder.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, field
from stepflow.protocol._message import Message


class OnErrorFail(Message, tag_field="action", tag="fail"):
    """The step fails."""


class OnErrorUseDefault(Message, tag_field="action", tag="useDefault"):
    """The step ends with a value instead."""

    default_value: Any = field(name="defaultValue", default=None)
    """A constant, never an expression; `null` when absent."""


class BackoffConstant(Message, tag_field="type", tag="constant"):
    """Always the same time."""

    delay: str | int | float | None = None
    """The time; 1 s when absent."""
    delay_ms: Annotated[int, Meta(ge=0)] | None = field(name="delayMs", default=None)
    """The published spelling, in milliseconds."""


class BackoffExponential(Message, tag_field="type", tag="exponential"):
    """Each time longer by a factor."""

    initial: str | int | float | None = None
    """Before the first retry; 1 s when absent."""
    max: str | int | float | None = None
    """The longest; 10 s when absent."""
    factor: int | float | None = None
    """At least 1; 2 when absent."""
    jitter: bool | None = None
    """Whether the wait is drawn between half of it and all of it; true when absent."""
    min_delay_ms: Annotated[int, Meta(ge=0)] | None = field(name="minDelayMs", default=None)
    """The published spelling of `initial`, in milliseconds."""
    max_delay_ms: Annotated[int, Meta(ge=0)] | None = field(name="maxDelayMs", default=None)
    """The published spelling of `max`, in milliseconds."""


class BackoffFibonacci(Message, tag_field="type", tag="fibonacci"):
    """1, 1, 2, 3, 5, 8, … times the first."""

    initial: str | int | float | None = None
    """Before the first retry; 1 s when absent."""
    max: str | int | float | None = None
    """The longest; 10 s when absent."""
    min_delay_ms: Annotated[int, Meta(ge=0)] | None = field(name="minDelayMs", default=None)
    """The published spelling of `initial`, in milliseconds."""
    max_delay_ms: Annotated[int, Meta(ge=0)] | None = field(name="maxDelayMs", default=None)
    """The published spelling of `max`, in milliseconds."""


Backoff: TypeAlias = BackoffConstant | BackoffExponential | BackoffFibonacci
"""How long to wait before a retry."""


class ErrorKind(StrEnum):
    """The stable name of a failure. `code` exists beside it for clients of older servers."""

    invalid_input = "INVALID_INPUT"
    """The input does not fit the flow's or the component's schema."""
    expression_failure = "EXPRESSION_FAILURE"
    """A path, a reference or a variable has no value."""
    component_not_found = "COMPONENT_NOT_FOUND"
    """No route or no worker serves the component."""
    component_failed = "COMPONENT_FAILED"
    """The component ran and failed."""
    worker_error = "WORKER_ERROR"
    """The worker answered with something that is not the protocol."""
    timeout = "TIMEOUT"
    """The attempt or the run took longer than allowed."""
    cancelled = "CANCELLED"
    """Somebody cancelled the run."""
    unreachable = "UNREACHABLE"
    """The worker was lost, or could not be reached."""
    resource_unavailable = "RESOURCE_UNAVAILABLE"
    """The component or its worker has no capacity now."""
    orchestrator_error = "ORCHESTRATOR_ERROR"
    """The server itself could not go on."""


class ExhaustedFail(Message, tag_field="action", tag="fail"):
    """The step fails with the last failure."""


class ExhaustedUseDefault(Message, tag_field="action", tag="useDefault"):
    """The step ends with a value instead."""

    default_value: Any = field(name="defaultValue", default=None)
    """A constant; `null` when absent."""


Exhausted: TypeAlias = ExhaustedFail | ExhaustedUseDefault
"""What a step does when its retries are used up."""


class TestCase(Message):
    """An input and what should come of it."""

    name: str
    """The case's name."""
    input: Any
    """The run's input."""
    description: str | None = None
    """What it shows."""
    output: Any = None
    """The expected result (`{outcome, result | error}`), of which parts may be left out."""
    mocks: Any = None
    """Answers of components that are not called, by component path."""
    expect_steps: Any = field(name="expectSteps", default=None)
    """Expected status and attempts, by step id."""


class ExampleInput(Message):
    """An input that shows how a flow is used."""

    name: str
    """The example's name."""
    input: Any
    """The run's input."""
    description: str | None = None
    """What it shows."""


class OnErrorRetry(Message, tag_field="action", tag="retry"):
    """The step tries again."""

    max_retries: Annotated[int, Meta(ge=0)] | None = field(name="maxRetries", default=None)
    """Retries after the first attempt; 3 when absent."""
    backoff: Backoff | None = None
    """How long to wait before each; the server's own setting when absent."""
    retry_on: list[ErrorKind] | None = field(name="retryOn", default=None)
    """The kinds of failure that are worth another attempt."""
    exhausted: Exhausted | None = None
    """What happens when no retry is left; by default the step fails."""


OnError: TypeAlias = OnErrorFail | OnErrorUseDefault | OnErrorRetry
"""What a step does when its component fails."""


class TestConfig(Message):
    """The flow's `test` section."""

    config_file: str | None = field(name="configFile", default=None)
    """The configuration file to test with, relative to the flow's file."""
    config: Any = None
    """The configuration itself, instead of a file."""
    cases: list[TestCase] | None = None
    """The cases."""


class Step(Message):
    """One call of a component."""

    id: str
    """The step's name, unique in the flow."""
    component: str
    """The path of the component, such as `/python/clean`."""
    on_error: OnError | None = field(name="onError", default=None)
    """What to do when the component fails; by default the step fails."""
    input: Any = None
    """The component's input: an expression."""
    must_execute: bool | None = field(name="mustExecute", default=None)
    """Whether the step runs even when nothing needs its result."""
    metadata: dict[str, Any] | None = None
    """Anything; never read by the engine."""
    timeout: str | int | float | None = None
    """How long one attempt may take."""


class Flow(Message):
    """A flow: steps that call components, and an output made from their results."""

    name: str | None = None
    """What people call it."""
    description: str | None = None
    """What it is for."""
    version: str | None = None
    """Its version, in any form."""
    schemas: dict[str, Any] | None = None
    "\n    A JSON Schema of an object: its `properties` `input`, `output`, `variables` and `steps` are the schemas of the\n    flow's parts, its `$defs` are shared by them (`#/schemas/$defs/…`).\n    "
    steps: list[Step] | None = None
    """The steps. Their order says nothing about when they run."""
    output: Any = None
    """The flow's result: an expression."""
    test: TestConfig | None = None
    """Cases to try the flow with."""
    examples: list[ExampleInput] | None = None
    """Inputs to show how it is used."""
    metadata: dict[str, Any] | None = None
    """Anything; never read by the engine."""
    timeout: str | int | float | None = None
    """How long the whole run may take."""

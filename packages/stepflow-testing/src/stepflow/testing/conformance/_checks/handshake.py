"""Handshake: the messages before the first execute, and what they mean for the later ones."""

from collections.abc import Callable

from stepflow.protocol import Method
from stepflow.testing.conformance._expect import brief, ensure, is_int, output, result
from stepflow.testing.conformance._rule import rule
from stepflow.testing.conformance._worker import Json, Worker


def _positive(value: Json) -> bool:
    return is_int(value) and value >= 1


def _limits(value: Json) -> bool:
    return isinstance(value, dict) and all(
        path.startswith("/") and isinstance(limit, dict) and _fits(limit, LIMITS)
        for path, limit in value.items()
    )


LIMITS: dict[str, Callable[[Json], bool]] = {"max_concurrency": _positive}
CAPABILITIES: dict[str, Callable[[Json], bool]] = {
    "max_concurrency": _positive,
    "cancel": lambda value: isinstance(value, bool),
    "resume": lambda value: isinstance(value, bool),
    "version": lambda value: isinstance(value, str),
    "components": _limits,
}


def _fits(members: dict[str, Json], types: dict[str, Callable[[Json], bool]]) -> bool:
    return all(
        members.get(name) is None or is_right(members[name]) for name, is_right in types.items()
    )


@rule("handshake.initialize", fresh=True)
def initialize(worker: Worker) -> None:
    """`initialize` is answered with `server_protocol_version: 1`."""
    params = {"runtime_protocol_version": 1, "capabilities": {}}
    version = result(worker.request(Method.initialize, params)).get("server_protocol_version")
    ensure(is_int(version) and version == 1, f"`server_protocol_version` is {brief(version)}")


@rule("handshake.anyVersion", fresh=True)
def any_version(worker: Worker) -> None:
    """Another version is not refused."""
    result(worker.request(Method.initialize, {"runtime_protocol_version": 99}))


@rule("handshake.capabilities", fresh=True)
def capabilities(worker: Worker) -> None:
    """`capabilities`, if present, has members of the right types."""
    announced = result(worker.handshake()).get("capabilities")
    if announced is None:
        return
    ensure(isinstance(announced, dict), f"`capabilities` is not an object: {brief(announced)}")
    for name, is_right in CAPABILITIES.items():
        value = announced.get(name)
        ensure(value is None or is_right(value), f"`capabilities.{name}` is {brief(value)}")


@rule("handshake.unknownCapabilities", fresh=True)
def unknown_capabilities(worker: Worker) -> None:
    """Unknown capabilities are ignored."""
    result(worker.handshake({"no_such_capability": {"deep": [1]}}))


@rule("handshake.executeBefore", fresh=True)
def execute_before(worker: Worker) -> None:
    """An execute before `initialize` is served."""
    probe = worker.succeeding
    output(worker.execute(probe.path, probe.input))


@rule("handshake.silent", fresh=True)
def silent(worker: Worker) -> None:
    """A worker sends no request unless one of its executes is open."""
    worker.handshake()
    worker.request(Method.components_list)
    uncalled = [message["method"] for message in worker.taken() if "method" in message]
    ensure(not uncalled, f"it asked for {', '.join(map(str, uncalled))}")

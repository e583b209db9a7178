"""A connection to a worker, on any transport. It records every message."""

import itertools
import json
import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from stepflow.protocol import Method
from stepflow.testing.conformance._failures import Broken, Inapplicable
from stepflow.testing.conformance._report import Exchange

Json: TypeAlias = Any
Id: TypeAlias = str | int

OBSERVABILITY = {"run_id": "01981f4e-6a53-7c60-8f3c-2b1f5c0c9a11", "step_id": "checked"}

_SHOWN = 400
_STARTING = 3
"""How many times longer the first answer may take: a worker first loads its code."""


@dataclass(frozen=True)
class Probe:
    """A component that succeeds, and an input for it."""

    path: str
    input: Json


@dataclass
class Knowledge:
    """What is known about the worker of one connection, and the options of the checker."""

    patience: float = 10.0
    """How long an answer may take, in seconds."""
    any_component: Probe | None = None
    is_initialized: bool = False
    """Whether the handshake is done."""
    paths: list[str] = field(default_factory=list)
    capabilities: dict[str, Json] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)


class Worker(ABC):
    """The server's side of one connection. It can also break the protocol, as checks need it."""

    def __init__(self, patience: float, any_component: Probe | None) -> None:
        self.known = Knowledge(patience, any_component)
        self._incoming: queue.SimpleQueue[bytes | Broken] = queue.SimpleQueue()
        self._kept: list[Json] = []
        self._ids = itertools.count(1)
        self.has_spoken = False
        """Whether any message has arrived, valid or not."""

    # The transport

    @abstractmethod
    def send_text(self, text: bytes) -> None:
        """Send one message, valid or not. Its answer can be received later."""

    @abstractmethod
    def tell(self, text: bytes) -> None:
        """Send a message that needs no answer; return once it is sent."""

    @abstractmethod
    def end(self) -> None:
        """Close the connection, and end the process if the checker has started it."""

    @abstractmethod
    def unanswered(self, text: bytes) -> list[Json]:
        """Send a message that needs no answer, and return the answers that arrive nevertheless."""

    @abstractmethod
    def terminate(self) -> None:
        """Send SIGTERM to the worker's process."""

    @abstractmethod
    def must_exit(self) -> None:
        """Raise `Broken` unless the worker's process exits with 0."""

    def arrived(self, message: bytes | Broken) -> None:
        """Put a message that has arrived into the queue, from any thread."""
        self._incoming.put(message)

    # Messages

    def begin(self, method: str, params: Json, *, id: Id | None = None) -> Id:
        """Send a request and return its id."""
        id = next(self._ids) if id is None else id
        self.send_text(self.text(id=id, method=method, params=params))
        return id

    def request(self, method: str, params: Json = None) -> Json:
        """Send a request and return its answer."""
        return self.answer(self.begin(method, {} if params is None else params))

    def execute_params(self, component: str, input: Json, **members: Json) -> Json:
        """Return the params of an execute; `members` are added, or replace others."""
        given = {"component": component, "input": input, "attempt": 1}
        return {**given, "observability": OBSERVABILITY, **members}

    def begin_execute(
        self, component: str, input: Json, *, id: Id | None = None, **members: Json
    ) -> Id:
        """Send an execute and return its id."""
        params = self.execute_params(component, input, **members)
        return self.begin(Method.components_execute, params, id=id)

    def execute(self, component: str, input: Json, **members: Json) -> Json:
        """Send an execute and return its answer."""
        return self.answer(self.begin_execute(component, input, **members))

    def notify(self, method: str, params: Json) -> None:
        """Send a notification."""
        self.tell(self.text(method=method, params=params))

    def reply(self, request: Json, result: Json) -> None:
        """Answer a request of the worker."""
        self.tell(self.text(id=request["id"], result=result))

    def refuse(self, request: Json, message: str) -> None:
        """Answer a request of the worker with an error."""
        error = {"code": -32000, "message": message}
        self.tell(self.text(id=request["id"], error=error))

    def receive(self, timeout: float | None = None) -> Json:
        """Return the next message. Raises `Broken` when none arrives, or it is not a JSON object."""
        patience = self.known.patience if timeout is None else timeout
        if not self.has_spoken:
            patience *= _STARTING
        try:
            text = self._incoming.get(timeout=max(0.0, patience))
        except queue.Empty:
            raise Broken(f"nothing came for {patience:.3g} s") from None
        if isinstance(text, Broken):
            self.note(str(text).partition("\n")[0])
            raise text
        self.has_spoken = True
        self._record("got", text)
        message = _decoded(text)
        if not isinstance(message, dict):
            raise Broken(f"this is not a message: {shown(text)}")
        return message

    def answer(self, id: Id) -> Json:
        """Return the answer to one request; other messages are kept."""
        return self._next(lambda message: "method" not in message and same(message.get("id"), id))

    def called(self, method: str, *, by: Id) -> Json:
        """Return the worker's next request with this method.

        by: the execute whose component sends it. Raises `Broken` when that is answered instead.
        """

        def is_wanted(message: Json) -> bool:
            if "method" not in message and same(message.get("id"), by):
                raise Broken(f"the component does not ask for `{method}` before it is answered")
            return bool(message.get("method") == method)

        return self._next(is_wanted)

    def _next(self, is_wanted: Callable[[Json], bool]) -> Json:
        for index, message in enumerate(self._kept):
            if is_wanted(message):
                return self._kept.pop(index)
        deadline = time.monotonic() + self.known.patience
        while not is_wanted(message := self.receive(deadline - time.monotonic())):
            self._kept.append(message)
        return message

    def taken(self) -> list[Json]:
        """Return the kept messages and forget them."""
        kept, self._kept = self._kept, []
        return kept

    def keep(self, message: Json) -> None:
        """Keep a message for a later `answer` or `called`."""
        self._kept.append(message)

    # The handshake

    def handshake(self, capabilities: Json = None) -> Json:
        """Do the handshake of a server; return the answer to `initialize`.

        capabilities: the server's capabilities; `False` leaves the member out, as older servers do.
        """
        params: dict[str, Json] = {"runtime_protocol_version": 1}
        if capabilities is not False:
            params["capabilities"] = capabilities or {}
        answer = self.request(Method.initialize, params)
        self.notify(Method.initialized, {})
        listed = self.request(Method.components_list)
        self._learn(answer, listed)
        self.known.is_initialized = True
        return answer

    def _learn(self, initialized: Json, listed: Json) -> None:
        result = initialized.get("result")
        announced = result.get("capabilities") if isinstance(result, dict) else None
        self.known.capabilities = announced if isinstance(announced, dict) else {}
        result = listed.get("result")
        components = result.get("components") if isinstance(result, dict) else None
        self.known.paths = [
            each["component"]
            for each in (components if isinstance(components, list) else [])
            if isinstance(each, dict) and isinstance(each.get("component"), str)
        ]

    def probe(self, name: str) -> str:
        """Return the path of a component made for checks. Raises `Inapplicable` if there is none."""
        path = f"/conformance/{name}"
        if path not in self.known.paths:
            raise Inapplicable(f"needs the component `{path}`, which the worker does not serve")
        return path

    @property
    def succeeding(self) -> Probe:
        """A component that succeeds. Raises `Inapplicable` when none is known."""
        if "/conformance/echo" in self.known.paths:
            return Probe("/conformance/echo", {"any": "thing"})
        if self.known.any_component is None:
            raise Inapplicable("needs `/conformance/echo`, or `--execute PATH --input JSON`")
        return self.known.any_component

    # The record

    @staticmethod
    def text(**members: Json) -> bytes:
        """Return a message with these members, as compact JSON."""
        message = {"jsonrpc": "2.0", **members}
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()

    def sent(self, text: bytes) -> None:
        """Record what was sent."""
        self._record("sent", text)

    def note(self, text: str) -> None:
        """Record an event that is not a message."""
        self.known.exchanges.append(Exchange("note", text))

    def _record(self, direction: str, text: bytes) -> None:
        self.known.exchanges.append(Exchange(direction, shown(text)))


def same(one: Json, other: Json) -> bool:
    """Whether two values are equal and of the same types: `1`, `1.0` and `true` differ."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def shown(text: bytes) -> str:
    """Return bytes as text for a report; long ones are cut."""
    if len(text) > _SHOWN:
        return f"{shown(text[:_SHOWN])}… ({len(text)} bytes)"
    return text.decode(errors="backslashreplace").rstrip("\n").replace("\r", "\\r")


def _decoded(text: bytes) -> Json:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Broken(f"this is not JSON: {shown(text)}") from None


def _no_constant(name: str) -> Json:
    raise ValueError(f"JSON has no {name}")

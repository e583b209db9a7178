"""A small HTTP client and reader of event streams, with access to every byte."""

import contextlib
import http.client
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urljoin, urlsplit

from stepflow.testing.conformance._failures import Unreachable

JSON = "application/json"
EVENTS = "text/event-stream"
BOTH = f"{JSON}, {EVENTS}"


class Response:
    """An answer whose body is not read yet."""

    def __init__(self, connection: http.client.HTTPConnection, patience: float) -> None:
        assert connection.sock is not None
        self._socket: socket.socket = connection.sock
        self._connection = connection
        self._response = connection.getresponse()
        self._socket.settimeout(patience)
        self.status = self._response.status
        self.headers = self._response.headers
        self.raw = b""
        """The bytes of the body that have been read, without HTTP's chunk headers."""

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    def wait_for_ever(self) -> None:
        """Set no limit of time for the next bytes."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(None)

    def body(self) -> bytes:
        """Return the whole body. Raises `Unreachable` when the connection breaks."""
        try:
            with self._reading():
                self.raw += self._response.read()
        finally:
            self.close()
        return self.raw

    def events(self) -> Iterator[tuple[str, bytes]]:
        """Yield the events until the stream ends, each with its name, without comments.

        Raises `Unreachable` when the connection breaks.
        """
        try:
            yield from self._events()
        finally:
            self.close()

    def _events(self) -> Iterator[tuple[str, bytes]]:
        name, data = "message", list[bytes]()
        while line := self._line():
            field, _, value = line.rstrip(b"\r\n").partition(b":")
            value = value.removeprefix(b" ")
            if line.strip(b"\r\n") == b"":
                if data:
                    yield name, b"\n".join(data)
                name, data = "message", []
            elif field == b"data":
                data.append(value)
            elif field == b"event":
                name = value.decode(errors="replace")

    def _line(self) -> bytes:
        with self._reading():
            line = self._response.readline()
        self.raw += line
        return line

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise Unreachable("the body does not go on") from None
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # `http.client` raises the last two when another thread closes the connection.
            raise Unreachable(f"the body broke off: {error!r}") from None

    def close(self) -> None:
        """Close the connection, from any thread. A thread that reads from it gets `Unreachable`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._response.close()


class Http:
    """Requests to one worker, each over its own connection."""

    def __init__(self, base: str, patience: float, token: str | None = None) -> None:
        self.base = base
        self.patience = patience
        self.token = token

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        token: bool = True,
    ) -> Response:
        """Send a request and return the answer once its head has arrived.

        target: the path, relative to the base address. token: whether to send the token.

        Raises `Unreachable`.
        """
        where = urlsplit(urljoin(self.base, target))
        kind = (
            http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(where.hostname or "", where.port, timeout=self.patience)
        path = (where.path or "/") + (f"?{where.query}" if where.query else "")
        every = dict(headers or {})
        if token and self.token:
            every["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, path, body, every)
            return Response(connection, self.patience)
        except TimeoutError:
            connection.close()
            raise Unreachable(f"{method} {target} is not answered") from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(f"{method} {target} failed: {error!r}") from None

    def post(
        self,
        target: str,
        message: bytes,
        *,
        accept: str | None = BOTH,
        content_type: str | None = JSON,
        headers: Mapping[str, str] | None = None,
        token: bool = True,
    ) -> Response:
        """Send one message with POST. A header that is `None` is left out."""
        every = dict(headers or {})
        if accept is not None:
            every["Accept"] = accept
        if content_type is not None:
            every["Content-Type"] = content_type
        return self.request("POST", target, message, every, token=token)

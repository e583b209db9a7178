"""Messages on a byte stream: one per line, ended by LF."""

from stepflow.protocol._envelope import Envelope, Outgoing, encode
from stepflow.protocol.errors import MessageTooLong

MAX_LINE = 256 << 20
"""The longest line that is accepted, in bytes."""


def frame(message: Outgoing | Envelope) -> bytes:
    """Return a message as one line with its LF. Compact JSON has no line break inside."""
    return encode(message) + b"\n"


class LineSplitter:
    """Splits a stream into lines. Its chunks may end anywhere."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._begun = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes | MessageTooLong]:
        """Take a chunk and return the lines that it completes, without their LF.

        A line that is longer than the limit is not kept in memory; an error is returned in its place.
        """
        head, *rest = chunk.split(b"\n")
        if not rest:
            self._keep(head)
            return []
        lines: list[bytes | MessageTooLong] = [self._completed(head)]
        *whole, tail = rest
        lines += (self._checked(line) for line in whole)
        if tail:
            self._keep(tail)
        return lines

    def _keep(self, part: bytes) -> None:
        if self._skipping:
            return
        self._begun += part
        if len(self._begun) > self._limit:
            self._skipping = True
            self._begun.clear()

    def _completed(self, part: bytes) -> bytes | MessageTooLong:
        if self._skipping:
            self._skipping = False
            return MessageTooLong(self._limit)
        if not self._begun:
            return self._checked(part)
        self._begun += part
        line = bytes(self._begun)
        self._begun = bytearray()
        return self._checked(line)

    def _checked(self, line: bytes) -> bytes | MessageTooLong:
        return line if len(line) <= self._limit else MessageTooLong(self._limit)

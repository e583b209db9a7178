"""Messages as server-sent events: LF, one `data` line each, and nothing but ASCII.

Published servers cut a stream at every LF LF, read one data line, and lose a chunk that ends in the
middle of a character. So do we write for them.
"""

import json
import re

import msgspec

KEEP_ALIVE = b": keep-alive\n\n"

CONTENT_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy must not wait for more
)

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def event(line: bytes) -> bytes:
    """Return a framed message, which is JSON and an LF, as one event."""
    if b"\n" in line[:-1] or b"\r" in line:
        # A component's raw value may have line breaks between its tokens.
        line = msgspec.json.format(line, indent=-1) + b"\n"
    if not line.isascii():
        # Beyond ASCII there is nothing outside of strings, where escapes mean the same.
        line = _BEYOND_ASCII.sub(_escaped, line.decode()).encode("ascii")
    return b"data: %b\n" % line


def _escaped(characters: re.Match[str]) -> str:
    return json.dumps(characters[0])[1:-1]

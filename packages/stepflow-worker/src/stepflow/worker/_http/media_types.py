"""What the headers of a request say: whether its body is JSON, and which answers the client accepts."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


class Accepted(NamedTuple):
    """The answers that a client accepts."""

    json: bool
    """`application/json`: the answer alone."""
    events: bool
    """`text/event-stream`: the component's requests, then the answer."""


@lru_cache(64)  # a server sends the same one with every request
def is_json(content_type: str) -> bool:
    """Whether a `Content-Type` means JSON in UTF-8."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [each for each in parameters if each.startswith("charset=")]
    utf8 = ("charset=utf-8", 'charset="utf-8"', "charset=utf8")
    return kind == "application/json" and all(each in utf8 for each in charsets)


@lru_cache(64)
def accepted(accept: str) -> Accepted:
    """Read an `Accept` header: media ranges; the most specific one decides by its `q`."""
    ranges = dict(_ranges(accept))
    return Accepted(
        json=_quality(ranges, "application", "json") > 0,
        events=_quality(ranges, "text", "event-stream") > 0,
    )


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.lower().split(","):
        kind, *parameters = (each.strip() for each in part.split(";"))
        weights = [each[2:] for each in parameters if each.startswith("q=")]
        try:
            yield kind, float(weights[0]) if weights else 1.0
        except ValueError:
            continue  # a range whose weight cannot be read says nothing


def _quality(ranges: dict[str, float], kind: str, subtype: str) -> float:
    for each in (f"{kind}/{subtype}", f"{kind}/*", "*/*"):
        if each in ranges:
            return ranges[each]
    return 0.0

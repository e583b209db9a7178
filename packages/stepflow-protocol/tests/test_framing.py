"""A stream is split into the lines that it was made of, in chunks of any size."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from stepflow.protocol import LineSplitter, MessageTooLong

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" ")))


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in itertools.pairwise(places)]


@given(LINES, st.lists(st.integers(min_value=0)))
def test_a_stream_in_any_chunks_gives_the_same_lines(lines: list[bytes], cuts: list[int]) -> None:
    splitter = LineSplitter()
    stream = b"".join(line + b"\n" for line in lines)
    assert [line for piece in pieces(stream, cuts) for line in splitter.feed(piece)] == lines


@given(LINES, st.lists(st.integers(min_value=0)), st.integers(min_value=1, max_value=40))
def test_exactly_the_lines_beyond_the_limit_are_replaced_by_an_error(
    lines: list[bytes], cuts: list[int], limit: int
) -> None:
    splitter = LineSplitter(limit)
    stream = b"".join(line + b"\n" for line in lines)
    found = [line for piece in pieces(stream, cuts) for line in splitter.feed(piece)]
    assert [line if isinstance(line, bytes) else None for line in found] == [
        line if len(line) <= limit else None for line in lines
    ]


def test_an_unfinished_line_is_kept_back() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.feed(b"") == []
    assert splitter.feed(b"o\n") == [b"two"]


def test_a_line_that_is_too_long_is_not_kept_in_memory() -> None:
    splitter = LineSplitter(limit=10)
    for _ in range(1000):
        assert splitter.feed(b"x" * 100) == []
    error, after = splitter.feed(b"\nafter\n")
    assert isinstance(error, MessageTooLong) and "longer than 10 bytes" in str(error)
    assert after == b"after"

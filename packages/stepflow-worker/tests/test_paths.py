"""Path patterns: what they match, which of several is used, and what they give to the function."""

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stepflow.worker import DuplicateComponent, RegistrationError
from stepflow.worker import StepflowServer as Server

if TYPE_CHECKING:
    from conftest import Start


def test_captures_reach_the_function_by_name(start: "Start") -> None:
    worker = start(
        """
        @server.component(name="core/{*rest}")
        def rest(input: int, rest: str) -> list: return [input, rest]

        @server.component(name="users/{user}/posts/{post}")
        async def both(post: str, input: int, *, user, context: StepflowContext) -> list:
            return [input, user, post, context.attempt]
        """
    )
    assert worker.output("/core/a/b/c", 1) == [1, "a/b/c"]
    assert worker.output("/users/ann/posts/7", 2) == [2, "ann", "7", 1]


def test_the_list_shows_patterns_and_info_the_path_that_was_asked_for(start: "Start") -> None:
    worker = start('@server.component(name="a/{x}")\ndef f(input: int, x: str): ...')
    listed = worker.request("components/list")["result"]["components"]
    assert [each["component"] for each in listed] == ["/a/{x}"]
    info = worker.request("components/info", {"component": "/a/b"})["result"]["info"]
    assert info["component"] == "/a/b"
    assert info["input_schema"] == {"type": "integer"}


@pytest.mark.parametrize("path", ["/a", "/a/", "/a/b/c", "/a/{x}/b", "a/b"])
def test_a_capture_takes_one_segment_and_no_empty_one(path: str) -> None:
    assert served("/a/{x}").find(path) is None


@pytest.mark.parametrize("path", ["/a", "/a/"])
def test_a_rest_takes_at_least_one_segment(path: str) -> None:
    assert served("/a/{*rest}").find(path) is None


PATTERNS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "{x}"]), min_size=1, max_size=4),
        st.sampled_from([[], ["{*rest}"]]),
    ).map(lambda parts: "/" + "/".join([*parts[0], *parts[1]])),
    min_size=1,
    max_size=12,
    unique=True,
)
PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5).map(
    lambda segments: "/" + "/".join(segments)
)


@given(PATTERNS, PATHS)
def test_the_most_literal_pattern_from_the_left_wins(patterns: list[str], path: str) -> None:
    assume(all(pattern.count("{x}") < 2 for pattern in patterns))
    matching = [each for each in patterns if re.fullmatch(as_expression(each), path)]
    found = served(*patterns).find(path)
    if not matching:
        assert found is None
        return
    assert found is not None
    best = min(matching, key=lambda each: [rank(part) for part in each.split("/")])
    assert found.component.path == best
    match = re.fullmatch(as_expression(best), path)
    assert match is not None and found.captures == match.groupdict()


def test_two_patterns_that_match_the_same_paths_are_refused() -> None:
    with pytest.raises(DuplicateComponent, match=r"`/a/\{y\}` is already"):
        served("/a/{x}", "/a/{y}")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("/{*rest}/a", "must be the last segment"),
        ("/{*a}/{*b}", "must be the last segment"),
        ("/v{x}", "`v{x}` is not a segment"),
        ("/{x", "is not a segment"),
        ("/{}", "is not a segment"),
        ("/{x}/{x}", "the same name"),
    ],
)
def test_an_invalid_pattern_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(RegistrationError, match=re.escape(reason)):
        served(pattern)


def test_a_capture_without_a_parameter_is_refused() -> None:
    with pytest.raises(RegistrationError, match="needs a parameter `x: str`"):
        Server().component(name="/{x}")(lambda input: input)


def test_a_capture_that_should_be_a_number_is_refused() -> None:
    def f(input: int, x: int) -> None: ...

    with pytest.raises(RegistrationError, match="which is a `str`, not"):
        Server().component(name="/{x}")(f)


def test_an_included_server_is_under_its_prefix(start: "Start") -> None:
    worker = start(
        """
        nlp = StepflowServer()

        @nlp.component(name="models/{name}")
        def model(input: int, name: str) -> str: return name

        server.include(nlp, prefix="/nlp")
        """
    )
    assert worker.output("/nlp/models/small", 1) == "small"
    assert worker.execute("/models/small", 1)["error"]["code"] == -32001


@pytest.mark.parametrize("taken", ["/nlp/c", "/nlp/{y}/d"])
def test_if_one_component_cannot_be_included_none_is(taken: str) -> None:
    one, other = Server(), Server()
    one.component(name=taken)(with_captures)
    for name in ("a", "c", "b", "{x}/d"):
        other.component(name=name)(with_captures)
    with pytest.raises(DuplicateComponent):
        one.include(other, prefix="nlp")
    assert list(one.components) == [taken]


def with_captures(input: int, x: str = "", y: str = "") -> int:
    return input


@pytest.mark.parametrize("prefix", ["/{x}", "a b", "/a//b", "{*rest}", "a\n"])
def test_an_invalid_prefix_is_refused_before_anything_is_registered(prefix: str) -> None:
    one = Server()
    with pytest.raises(RegistrationError):
        one.include(Server(), prefix=prefix)


def test_if_one_builtin_cannot_be_served_none_is() -> None:
    server = Server()
    with pytest.raises(RegistrationError, match="alone"):
        server.add_builtins(["udf", "nobody's"])
    assert not server.components


def test_an_included_component_may_not_have_a_path_that_is_taken() -> None:
    one, other = Server(), Server()
    one.component(name="/nlp/a")(lambda input: input)
    other.component(name="a")(lambda input: input)
    with pytest.raises(DuplicateComponent, match="`/nlp/a` is already"):
        one.include(other, prefix="nlp")
    assert list(other.components) == ["/a"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "between two slashes"),
        ("/", "between two slashes"),
        ("a//b", "between two slashes"),
        ("/a/", "between two slashes"),
        ("//a", "between two slashes"),
        ("a b", "' ' cannot stand in it; write `_` or `-`"),
        (" a", "' ' cannot stand"),
        ("a\n", r"'\n' cannot stand"),
        ("a\x1b[31m", r"'\x1b' cannot stand"),
        ("a\u200b", r"'\u200b' cannot stand"),
        ("a\ud800", r"'\ud800' cannot stand"),
    ],
)
def test_a_name_that_makes_no_path_is_refused(name: str, reason: str) -> None:
    with pytest.raises(RegistrationError, match=re.escape(reason)) as refused:
        Server().component(name=name)(lambda input: input)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [("a b", "' ' cannot stand"), ("a//b", "between two"), ("/{x}", "without braces")],
)
def test_a_prefix_that_makes_no_path_is_refused(prefix: str, reason: str) -> None:
    one, other = Server(), Server()
    other.component(name="a")(lambda input: input)
    with pytest.raises(RegistrationError, match=reason):
        one.include(other, prefix=prefix)
    assert not one.components


def test_a_capture_may_have_any_parameters_name(start: "Start") -> None:
    worker = start(
        """
        @server.component(name="a/{value}/{given}/{function}")
        def a(input: int, value: str, given: str, function: str) -> list:
            return [input, value, given, function]

        @server.component(name="b/{value}/{_}")
        def b(ctx: StepflowContext, n: int, value: str, _: str) -> list:
            return [n, value, _]

        @server.component(name="c/{context}")
        def c(*, n: int, context: str) -> list:
            return [n, context]
        """
    )
    assert worker.output("/a/x/y/z", 1) == [1, "x", "y", "z"]
    assert worker.output("/b/x/y", 1) == [1, "x", "y"]
    assert worker.output("/c/x", 1) == [1, "x"]


def served(*patterns: str) -> Any:
    """Return what a server with these components offers."""
    server = Server()
    for pattern in patterns:
        server.component(name=pattern)(takes_everything)
    return server.served()


def takes_everything(
    input: int, x: str = "", y: str = "", rest: str = "", a: str = "", b: str = ""
) -> None: ...


def as_expression(pattern: str) -> str:
    return pattern.replace("{x}", "(?P<x>[^/]+)").replace("{*rest}", "(?P<rest>.+)")


def rank(part: str) -> int:
    return 2 if part.startswith("{*") else 1 if part.startswith("{") else 0

"""Which bodies are accepted, and which answers a client can ask for."""

from typing import TYPE_CHECKING

import pytest

from stepflow.worker._http.media_types import accepted, is_json

if TYPE_CHECKING:
    from over_http.conftest import HttpWorker, Serve

LIST = b'{"jsonrpc": "2.0", "id": 1, "method": "components/list", "params": {}}'


def execute(component: str) -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":1,"method":"components/execute","params":{"component":"%b",'
        b'"input":1,"attempt":1,"observability":{}}}' % component.encode()
    )


@pytest.fixture(scope="module")
def worker(serve_once: "Serve") -> "HttpWorker":
    return serve_once(
        """
        @server.component
        async def plain(input):
            return input

        @server.component
        async def streams(input, context):
            return input
        """
    )


@pytest.mark.parametrize(
    ("accept", "json", "events"),
    [
        ("application/json, text/event-stream", True, True),
        ("application/json", True, False),
        ("text/event-stream", False, True),
        ("Application/JSON ; q=0.5,text/*", True, True),
        ("*/*", True, True),
        ("application/*", True, False),
        ("*/*, application/json;q=0", False, True),
        ("application/json;q=0, text/event-stream;q=0.0", False, False),
        ("text/html", False, False),
        ("application/jsonp", False, False),
        ("application/json;q=much", False, False),
        ("", False, False),
        (",;,", False, False),
    ],
)
def test_accept_is_read_as_media_ranges_with_weights(accept: str, json: bool, events: bool) -> None:
    assert accepted(accept) == (json, events)


@pytest.mark.parametrize(
    ("content_type", "json"),
    [
        ("application/json", True),
        ("APPLICATION/JSON; charset=UTF-8", True),
        ('application/json;charset="utf-8"', True),
        ("application/json; charset=latin-1", False),
        ("application/jsonp", False),
        ("text/plain; application/json", False),
        ("", False),
    ],
)
def test_the_content_type_must_be_json_in_utf8(content_type: str, json: bool) -> None:
    assert is_json(content_type) is json


def test_another_content_type_is_415(worker: "HttpWorker") -> None:
    got = worker.post(LIST, Content_Type="text/plain")
    assert got.status == 415
    assert "it is text/plain" in got.json["error"]["message"]


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0"])
def test_a_client_that_takes_no_answer_is_406(worker: "HttpWorker", accept: str) -> None:
    got = worker.post(LIST, accept)
    assert got.status == 406
    assert accept in got.json["error"]["message"]


def test_no_accept_header_is_406(worker: "HttpWorker") -> None:
    got = worker.ask("POST", "/", LIST, Content_Type="application/json")
    assert got.status == 406
    assert "missing" in got.json["error"]["message"]


def test_a_component_that_streams_to_a_client_that_takes_only_json_is_406(
    worker: "HttpWorker",
) -> None:
    got = worker.post(execute("/streams"), "application/json")
    assert (got.status, got.json["id"]) == (406, 1)
    assert "`/streams` may make requests of its own" in got.json["error"]["message"]
    assert worker.post(execute("/plain"), "application/json").json["result"] == {"output": 1}


@pytest.mark.parametrize("body", [LIST, execute("/plain"), execute("/streams")])
def test_a_client_that_takes_only_events_gets_events(worker: "HttpWorker", body: bytes) -> None:
    got = worker.post(body, "text/event-stream")
    assert (got.status, got.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert got.body.startswith(b'data: {"jsonrpc":"2.0","id":1,"result":')
    assert got.body.endswith(b"\n\n")

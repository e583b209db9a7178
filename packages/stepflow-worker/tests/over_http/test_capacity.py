"""A worker that several servers use has one capacity for all of them."""

from typing import TYPE_CHECKING

from stepflow.protocol import ErrorCode

if TYPE_CHECKING:
    from over_http.conftest import Client, Json, Serve, Stream

SOURCE = """
@server.component
async def get(input: str, context: StepflowContext):
    return await context.get_blob(input)
"""


def begin(session: "Client", number: int) -> "Stream":
    """Begin an execute of a new task; it ends when it gets its blob."""
    return session.begin("/get", "a", number, task=f"01a201db-08a0-7403-9639-00000000000{number}")


def code(stream: "Stream") -> "Json":
    return stream.message()["error"]["code"]


def test_a_server_that_knows_at_capacity_is_refused_and_gets_room_later(serve: "Serve") -> None:
    worker = serve(SOURCE, "--max-concurrency", "2")
    one, other = worker.session(), worker.session()
    for session in (one, other):
        session.initialize(at_capacity=True)
    held = [begin(one, number) for number in (1, 2)]
    blobs = [stream.message() for stream in held]
    assert code(begin(other, 3)) == ErrorCode.AT_CAPACITY
    one.give_blob(blobs[0], "first")
    assert held[0].message()["result"] == {"output": "first"}
    assert code(begin(one, 4)) == ErrorCode.AT_CAPACITY, "the room is kept for the other one"
    assert begin(other, 5).message()["method"] == "blobs/get"
    assert code(begin(other, 6)) == ErrorCode.AT_CAPACITY


def test_executes_of_a_server_that_does_not_know_at_capacity_wait(serve: "Serve") -> None:
    worker = serve(SOURCE, "--max-concurrency", "1")
    one, older = worker.session(), worker.session()
    one.initialize(at_capacity=True)
    older.initialize()
    held = begin(one, 1)
    blob = held.message()
    waiting = begin(older, 2)
    one.give_blob(blob, None)
    assert waiting.message()["method"] == "blobs/get"

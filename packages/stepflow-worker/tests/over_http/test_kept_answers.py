"""Which of the sent answers a session keeps."""

from hypothesis import given
from hypothesis import strategies as st

from stepflow.worker._http.executes import TaskRef
from stepflow.worker._http.kept_answers import OVERHEAD, KeptAnswers

sent = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4000)))


@given(sent, st.integers(0, 20_000))
def test_the_newest_answers_are_kept_as_far_as_there_is_room(
    sent: list[tuple[int, int]], room: int
) -> None:
    kept = KeptAnswers(60, room)
    newest: dict[TaskRef, bytes] = {}
    for number, size in sent:
        task = TaskRef("task", number)
        kept.keep(task, b"x" * size)
        newest.pop(task, None)
        newest[task] = b"x" * size
        while sum(len(each) + OVERHEAD for each in newest.values()) > room:
            del newest[next(iter(newest))]
    for number in range(6):
        assert kept.get(TaskRef("task", number)) == newest.get(TaskRef("task", number))


def test_an_answer_is_forgotten_after_its_time() -> None:
    kept = KeptAnswers(0, 1 << 20)
    kept.keep(TaskRef("task", 1), b"x")
    assert kept.get(TaskRef("task", 1)) is None

"""Calls that are due later."""

from queue import SimpleQueue

from stepflow.worker._executing.timers import Timers

PATIENCE = 30.0


def test_calls_come_in_the_order_of_their_time_whatever_was_asked_first() -> None:
    called, timers = SimpleQueue[str](), Timers()
    timers.after(0.06, lambda: called.put("late"))
    timers.after(0.01, lambda: called.put("early"))
    assert [called.get(timeout=PATIENCE) for _ in range(2)] == ["early", "late"]


def test_what_is_cancelled_is_not_called() -> None:
    called, timers = SimpleQueue[str](), Timers()
    timers.after(0.01, lambda: called.put("cancelled")).cancel()
    timers.after(0.02, lambda: called.put("kept"))
    assert called.get(timeout=PATIENCE) == "kept"


def test_many_that_are_cancelled_are_not_kept() -> None:
    timers = Timers()
    for _ in range(10_000):
        timers.after(3600, lambda: None).cancel()
    assert len(timers) < 1_000

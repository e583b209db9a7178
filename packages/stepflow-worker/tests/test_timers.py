"""Timers call functions after some time."""

from queue import SimpleQueue

from stepflow.worker._executing.timers import Timers

PATIENCE = 30.0


def test_calls_are_made_in_the_order_of_their_time() -> None:
    called, timers = SimpleQueue[str](), Timers()
    timers.after(0.06, lambda: called.put("late"))
    timers.after(0.01, lambda: called.put("early"))
    assert [called.get(timeout=PATIENCE) for _ in range(2)] == ["early", "late"]


def test_a_cancelled_timer_makes_no_call() -> None:
    called, timers = SimpleQueue[str](), Timers()
    timers.after(0.01, lambda: called.put("cancelled")).cancel()
    timers.after(0.02, lambda: called.put("kept"))
    assert called.get(timeout=PATIENCE) == "kept"


def test_cancelled_timers_are_removed() -> None:
    timers = Timers()
    for _ in range(10_000):
        timers.after(3600, lambda: None).cancel()
    assert len(timers) < 1_000

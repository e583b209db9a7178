"""The exception that ends a sync component is raised in its call, and never in what its thread does later."""

import _thread
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from stepflow.worker import Cancelled
from stepflow.worker._executing import interruption
from stepflow.worker._executing.interruption import Interruption

if TYPE_CHECKING:
    from _typeshed import TraceFunction

PATIENCE = 30.0
"""How long a thread may take, in seconds. Without a limit, a mistake would let the tests hang."""


def a_loop() -> None:
    for _ in range(40):
        pass


class Moment:
    """Counts the opcodes of `Interruption.call` (lines in Python 3.12), and does something after some of them."""

    def __init__(self, opcode: int, do: Callable[[], None]) -> None:
        self.has_come = False
        self._left = opcode
        self._do = do

    def trace(self, frame: FrameType, event: str, _: object) -> "TraceFunction | None":
        if frame.f_code.co_filename != interruption.__file__:
            return None
        frame.f_trace_opcodes = True
        if event in ("opcode", "line") and not self.has_come:
            self._left -= 1
            if self._left < 0:
                self.has_come = True
                self._do()
        return self.trace


@contextmanager
def between_opcodes(opcode: int, do: Callable[[], None]) -> Iterator[Moment]:
    """Do something when this thread has run this many opcodes of an `Interruption`."""
    moment = Moment(opcode, do)
    before = sys.gettrace()
    sys.settrace(moment.trace)
    try:
        yield moment
    finally:
        sys.settrace(before)


def in_another_thread(do: Callable[[], None]) -> None:
    """Call something in another thread, and wait for it.

    Not with `threading`: the exception could be raised inside its code too.
    """
    done = closed()

    def run() -> None:
        do()
        done.release()

    _thread.start_new_thread(run, ())
    assert done.acquire(timeout=PATIENCE), "the other thread does not end"


def test_at_any_point_of_the_call_an_interruption_does_not_outlast_it() -> None:
    endings = set[str]()
    for opcode in range(1_000):
        call = Interruption()
        with between_opcodes(opcode, partial(in_another_thread, call.interrupt)) as moment:
            try:
                call.call(a_loop)
                endings.add("finished")
            except Cancelled:
                endings.add("hit")
        a_loop()  # an exception that arrives too late would be raised here
        if not moment.has_come:
            break
    assert endings == {"hit", "finished"}


def test_the_end_of_a_call_waits_for_an_interruption_that_is_being_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = Runner()
    thread_number = ctypes.c_ulong

    def in_the_midst_of_sending(number: int) -> ctypes.c_ulong:
        runner.let_the_call_end()
        return thread_number(number)

    monkeypatch.setattr(ctypes, "c_ulong", in_the_midst_of_sending)
    runner.call.interrupt()
    runner.let_the_call_end()
    runner.is_over = True
    runner.thread.join(PATIENCE)
    assert not runner.thread.is_alive(), "the call or the code after it does not end"
    assert runner.was_left_alone


class Runner:
    """A thread that runs a call until it is allowed to end, and then other code."""

    def __init__(self) -> None:
        self.call = Interruption()
        self.is_over = False
        self.was_left_alone = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        # Plain locks: an exception inside an `Event` could leave it broken.
        self._begun, self._may_end, self._has_ended = closed(), closed(), closed()
        self.thread.start()
        assert self._begun.acquire(timeout=PATIENCE), "the call does not begin"

    def let_the_call_end(self) -> None:
        if self._may_end.locked():
            self._may_end.release()
        # The call may wait for this thread, and then it has not ended.
        self._has_ended.acquire(timeout=0.05)

    def _run(self) -> None:
        with suppress(Cancelled):
            self.call.call(self._waits)
        with suppress(Cancelled):
            self._has_ended.release()
            deadline = time.monotonic() + PATIENCE
            while not self.is_over and time.monotonic() < deadline:
                pass
            self.was_left_alone = self.is_over

    def _waits(self) -> None:
        self._begun.release()
        self._may_end.acquire(timeout=PATIENCE)


def closed() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def test_a_call_that_was_interrupted_before_it_began_does_not_run() -> None:
    call = Interruption()
    call.interrupt()
    with pytest.raises(Cancelled):
        call.call(lambda: pytest.fail("it ran"))


def test_a_call_that_is_over_cannot_be_interrupted() -> None:
    call = Interruption()
    assert call.call(lambda: 7) == 7
    in_another_thread(call.interrupt)
    was_interrupted = False
    try:
        a_loop()
    except Cancelled:
        was_interrupted = True
    assert not was_interrupted


def test_a_call_may_catch_the_interruption_and_go_on() -> None:
    call = Interruption()
    begun = threading.Event()

    def compute() -> None:
        begun.set()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            pass

    # The loop is a separate call: not every opcode of a loop inside `try` belongs to the `try`.
    def stubborn() -> str:
        try:
            compute()
        except Cancelled:
            return "went on"
        return "was not interrupted"

    def other_thread() -> None:
        begun.wait(PATIENCE)
        call.interrupt()

    other = threading.Thread(target=other_thread)
    other.start()
    assert call.call(stubborn) == "went on"
    other.join(PATIENCE)
    assert not other.is_alive()


def test_an_exception_of_the_call_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        Interruption().call(lambda: 1 // 0)

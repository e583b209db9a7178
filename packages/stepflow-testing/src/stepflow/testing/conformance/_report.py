"""What a check of a worker found, rule by rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What came of one rule."""

    ok = "ok"
    """It holds."""
    failed = "failed"
    """It does not."""
    skipped = "skipped"
    """It could not be tried on this worker."""


_MARK = {Verdict.ok: "ok", Verdict.failed: "FAIL", Verdict.skipped: "skipped"}
_LABEL = {"sent": "sent", "got": "got", "note": "then"}
_LAST = 12
"""How many of the messages around a broken rule are shown."""


@dataclass(frozen=True)
class Exchange:
    """Something that went over the wire, or happened on it."""

    direction: str
    """`sent`, `got`, or `note` for what is no message, such as the end of a stream."""
    text: str
    """The bytes as text; long ones are cut, and say so."""


@dataclass(frozen=True)
class Result:
    """One rule."""

    rule: str
    """Its id in `docs/protocol.md`."""
    says: str
    """The rule in a sentence."""
    verdict: Verdict
    """Whether it holds."""
    reason: str = ""
    """What was found instead, or why it was not tried."""
    exchanges: Sequence[Exchange] = ()
    """What was said meanwhile, in order; kept for rules that do not hold."""

    def lines(self) -> Iterator[str]:
        """The rule in a line for people; a broken one with what was said."""
        head = f"{_MARK[self.verdict]:<8}{self.rule:<27}"
        yield f"{head} {self.reason}" if self.verdict is Verdict.skipped else head.rstrip()
        if self.verdict is Verdict.failed:
            yield f"        rule   {self.says}"
            yield f"        found  {self.reason}".replace("\n", "\n               ")
            left_out = len(self.exchanges) - _LAST
            if left_out > 0:
                yield f"               ({left_out} earlier messages are left out)"
            for each in self.exchanges[-_LAST:]:
                yield f"        {_LABEL[each.direction]:<6} {each.text}"


@dataclass(frozen=True)
class Report:
    """All rules that concern a worker on its transport. Printed, it is for people."""

    worker: str
    """The command or the address."""
    transport: str
    """`stdio` or `http`."""
    results: Sequence[Result]
    """In the order of the document."""

    @property
    def holds(self) -> bool:
        """Whether no rule is broken."""
        return not self.failed

    @property
    def failed(self) -> list[Result]:
        """The rules that do not hold."""
        return self._with(Verdict.failed)

    @property
    def skipped(self) -> list[Result]:
        """The rules that could not be tried."""
        return self._with(Verdict.skipped)

    def _with(self, verdict: Verdict) -> list[Result]:
        return [result for result in self.results if result.verdict == verdict]

    def __str__(self) -> str:
        lines = [line for result in self.results for line in result.lines()]
        broken, skipped = len(self.failed), len(self.skipped)
        ok = len(self.results) - broken - skipped
        total = f"{ok} ok, {broken} failed, {skipped} skipped"
        return "\n".join([*lines, "", f"{total}: {self.worker} over {self.transport}"])

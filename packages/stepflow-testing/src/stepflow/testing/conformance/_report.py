"""The result of checking a worker, rule by rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The result of checking one rule."""

    ok = "ok"
    """The rule holds."""
    failed = "failed"
    """The rule does not hold."""
    skipped = "skipped"
    """The rule could not be checked on this worker."""


_MARK = {Verdict.ok: "ok", Verdict.failed: "FAIL", Verdict.skipped: "skipped"}
_LABEL = {"sent": "sent", "got": "got", "note": "then"}
_LAST = 12
"""How many of the messages around a broken rule are shown."""


@dataclass(frozen=True)
class Exchange:
    """A message that was sent or received, or another event of the connection."""

    direction: str
    """`sent`, `got`, or `note` for another event, such as the end of a stream."""
    text: str
    """The bytes as text. A long text is cut, and ends with its length."""


@dataclass(frozen=True)
class Result:
    """The result for one rule."""

    rule: str
    """The id of the rule in `docs/protocol.md`."""
    says: str
    """The rule in a sentence."""
    verdict: Verdict
    """Whether the rule holds."""
    reason: str = ""
    """What was found instead, or why the rule was not checked."""
    exchanges: Sequence[Exchange] = ()
    """The messages of the check, in order; only for a rule that does not hold."""

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report for people: one, and the messages for a broken rule."""
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
    """The results of all rules for a worker's transport. `str(report)` is a text for people."""

    worker: str
    """The command or the address."""
    transport: str
    """`stdio` or `http`."""
    results: Sequence[Result]
    """The results, in the order of `docs/protocol.md`."""

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
        """The rules that could not be checked."""
        return self._with(Verdict.skipped)

    def _with(self, verdict: Verdict) -> list[Result]:
        return [result for result in self.results if result.verdict == verdict]

    def __str__(self) -> str:
        lines = [line for result in self.results for line in result.lines()]
        broken, skipped = len(self.failed), len(self.skipped)
        ok = len(self.results) - broken - skipped
        total = f"{ok} ok, {broken} failed, {skipped} skipped"
        return "\n".join([*lines, "", f"{total}: {self.worker} over {self.transport}"])

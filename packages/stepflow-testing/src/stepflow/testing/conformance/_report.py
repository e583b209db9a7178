"""What a check of a worker found, rule by rule."""

from collections.abc import Sequence
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
        from stepflow.testing.conformance._formats import as_text

        return as_text(self)

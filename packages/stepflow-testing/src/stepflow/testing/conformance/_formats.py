"""A report as text for people, as JSON, and as JUnit's XML."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

import msgspec

from stepflow.testing.conformance._report import Report, Result, Verdict

_MARK = {Verdict.ok: "ok", Verdict.failed: "FAIL", Verdict.skipped: "skipped"}
_LABEL = {"sent": "sent", "got": "got", "note": "then"}
_LAST = 12


def as_text(report: Report) -> str:
    """Return a line for each rule, and under a broken one what was said."""
    lines = [line for result in report.results for line in _told(result)]
    broken, skipped = len(report.failed), len(report.skipped)
    ok = len(report.results) - broken - skipped
    total = f"{ok} ok, {broken} failed, {skipped} skipped"
    return "\n".join([*lines, "", f"{total}: {report.worker} over {report.transport}"])


def _told(result: Result) -> Iterator[str]:
    head = f"{_MARK[result.verdict]:<8}{result.rule:<27}"
    yield f"{head} {result.reason}" if result.verdict is Verdict.skipped else head.rstrip()
    if result.verdict is Verdict.failed:
        yield f"        rule   {result.says}"
        yield f"        found  {result.reason}".replace("\n", "\n               ")
        left_out = len(result.exchanges) - _LAST
        if left_out > 0:
            yield f"               ({left_out} earlier messages are left out)"
        for each in result.exchanges[-_LAST:]:
            yield f"        {_LABEL[each.direction]:<6} {each.text}"


def as_json(report: Report) -> str:
    """Return the report as one JSON object: `worker`, `transport`, `holds`, `results`."""
    document = {
        "worker": report.worker,
        "transport": report.transport,
        "holds": report.holds,
        "results": report.results,
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def as_junit(report: Report) -> str:
    """Return the report as JUnit's XML, a test case for each rule."""
    suite = ET.Element(
        "testsuite",
        name=f"worker protocol over {report.transport}",
        tests=str(len(report.results)),
        failures=str(len(report.failed)),
        skipped=str(len(report.skipped)),
    )
    for result in report.results:
        area, _, name = result.rule.partition(".")
        case = ET.SubElement(suite, "testcase", classname=area, name=name)
        if result.verdict is Verdict.failed:
            ET.SubElement(case, "failure", message=_xml(result.reason)).text = _xml(
                "\n".join(_told(result))
            )
        elif result.verdict is Verdict.skipped:
            ET.SubElement(case, "skipped", message=_xml(result.reason))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode")


def _xml(text: str) -> str:
    """XML has no form at all for most control characters."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


FORMATS: dict[str, Callable[[Report], str]] = {
    "text": as_text,
    "json": as_json,
    "junit": as_junit,
}

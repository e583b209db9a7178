"""A report as text for people, as JSON, and as JUnit's XML."""

import xml.etree.ElementTree as ET
from collections.abc import Callable

import msgspec

from stepflow.testing.conformance._report import Report, Verdict


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
    """Return the report as JUnit's XML, with a test case for each rule."""
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
                "\n".join(result.lines())
            )
        elif result.verdict is Verdict.skipped:
            ET.SubElement(case, "skipped", message=_xml(result.reason))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode")


def _xml(text: str) -> str:
    """Replace control characters: XML cannot contain most of them."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


FORMATS: dict[str, Callable[[Report], str]] = {
    "text": str,
    "json": as_json,
    "junit": as_junit,
}

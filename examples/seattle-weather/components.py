"""The components that the flow calls. Each may be called twice for one step, after a worker was lost."""

import os
import uuid
from pathlib import Path

import chart
import cleaning
import msgspec
import report as reporting
import weather
from cleaning import CleanDays, Coverage
from report import Report
from weather import Day, Season, Year

from stepflow.worker import StepflowServer

server = StepflowServer()

HERE = Path(__file__).resolve().parent


class Table(msgspec.Struct):
    """The file's content; every value is still text."""

    rows: list[dict[str, str]]


class SeasonOfDays(msgspec.Struct):
    season: str
    days: list[Day]


class YearOfDays(msgspec.Struct):
    year: int
    days: list[Day]


class Branches(msgspec.Struct):
    """What the parallel branches found."""

    coverage: Coverage
    seasons: list[Season]
    years: list[Year]


class ReportForFolder(msgspec.Struct):
    """A report and where its file goes: `folder` is relative to this example."""

    report: Report
    folder: str


class Written(msgspec.Struct):
    """A file on disk, by its absolute path."""

    path: str
    size_bytes: int


@server.component
def clean_days(input: Table) -> CleanDays:
    """Turns text into days of weather and names each row that cannot be one."""
    return cleaning.clean(input.rows)


@server.component
def summarise_season(input: SeasonOfDays) -> Season:
    """Describes one season over all years."""
    return weather.summarise_season(input.season, input.days)


@server.component
def summarise_year(input: YearOfDays) -> Year:
    """Describes one calendar year."""
    return weather.summarise_year(input.year, input.days)


@server.component
def compile_report(input: Branches) -> Report:
    """Joins the branches and says what they show."""
    findings = reporting.findings(input.seasons, input.years)
    return Report(findings, input.coverage, input.seasons, input.years)


@server.component
def save_report(input: ReportForFolder) -> Written:
    """Writes `report.json`."""
    text = msgspec.json.format(msgspec.json.encode(input.report), indent=2)
    return _write_whole(HERE / input.folder / "report.json", text + b"\n")


@server.component
def draw_chart(input: ReportForFolder) -> Written:
    """Writes `seattle-weather.svg`."""
    report = input.report
    drawing = chart.draw(report.seasons, report.years, report.coverage.days)
    return _write_whole(HERE / input.folder / "seattle-weather.svg", drawing.encode())


def _write_whole(path: Path, content: bytes) -> Written:
    # Written under another name, then renamed: a reader sees the old file or the new one, never a part.
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Written(str(path), len(content))

"""The figures of the demo are right: they are computed here again, in another way, from the same file."""

import csv
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

Stepflow = Callable[..., subprocess.CompletedProcess[str]]
Row = dict[str, str]

SEASONS = ["winter", "spring", "summer", "autumn"]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
YEARS = [2012, 2013, 2014, 2015]

SVG = "{http://www.w3.org/2000/svg}"


class Demo(NamedTuple):
    """A finished `demo.py`: its process, and the folder that it worked in."""

    process: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        assert self.process.returncode == 0, self.process.stderr
        answer = json.loads(self.process.stdout)
        assert answer["outcome"] == "success"
        output: dict[str, Any] = answer["result"]
        return output

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(Path(self.result["report"]).read_text("utf-8"))
        return report

    @property
    def labels(self) -> list[ElementTree.Element]:
        chart = ElementTree.parse(self.result["chart"]).getroot()
        assert chart.tag == f"{SVG}svg"
        return list(chart.iter(f"{SVG}text"))


@pytest.fixture
def folder(examples: Path) -> Path:
    return examples / "seattle-weather"


@pytest.fixture
def rows(folder: Path) -> list[Row]:
    with (folder / "seattle-weather.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def run_demo(folder: Path) -> Demo:
    process = subprocess.run(
        [sys.executable, folder / "demo.py"],
        cwd=folder.parent.parent,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Demo(process, folder)


def numbers(rows: Sequence[Row], column: str) -> list[float]:
    return [float(row[column]) for row in rows]


def wet(row: Row) -> bool:
    return float(row["precipitation"]) >= 1


def season_of(row: Row) -> str:
    return SEASONS[int(row["date"][5:7]) % 12 // 3]


def iso(date: str) -> str:
    return date.replace("/", "-")


def test_the_demo_uses_every_day_and_names_its_files(folder: Path, rows: list[Row]) -> None:
    demo = run_demo(folder)
    assert len(rows) == 1461
    assert demo.result["days"] == len(rows)
    assert demo.result["rejected"] == []
    assert demo.result["findings"] == demo.report["findings"]
    assert Path(demo.result["chart"]) == folder / "results" / "seattle-weather.svg"
    assert "examples/seattle-weather/results/seattle-weather.svg" in demo.process.stderr
    assert demo.report["coverage"] == {
        "days": 1461,
        "first": "2012-01-01",
        "last": "2015-12-31",
        "missing_days": 0,
        "rejected": [],
    }


def test_the_figures_of_each_season_are_those_of_its_days(folder: Path, rows: list[Row]) -> None:
    seasons = run_demo(folder).report["seasons"]
    assert [season["season"] for season in seasons] == SEASONS
    for season in seasons:
        own = [row for row in rows if season_of(row) == season["season"]]
        by_high = sorted(own, key=lambda row: float(row["temp_max"]), reverse=True)
        by_low = sorted(own, key=lambda row: float(row["temp_min"]))
        by_rain = sorted(own, key=lambda row: float(row["precipitation"]), reverse=True)
        assert season["days"] == len(own)
        assert season["mean_high_c"] == near(fmean(numbers(own, "temp_max")))
        assert season["mean_low_c"] == near(fmean(numbers(own, "temp_min")))
        assert season["mean_wind_m_s"] == near(fmean(numbers(own, "wind")))
        assert season["precipitation_mm"] == near(sum(numbers(own, "precipitation")), 0.05)
        assert season["wet_days"] == len([row for row in own if wet(row)])
        assert season["wet_days_percent"] == near(100 * fmean(map(wet, own)), 0.05)
        assert season["hottest"] == extreme(by_high[0], "temp_max")
        assert season["coldest"] == extreme(by_low[0], "temp_min")
        assert season["wettest"] == extreme(by_rain[0], "precipitation")


def test_the_figures_of_each_month_are_means_over_the_four_years(
    folder: Path, rows: list[Row]
) -> None:
    seasons = run_demo(folder).report["seasons"]
    months = {month["month"]: month for season in seasons for month in season["months"]}
    assert sorted(months) == list(range(1, 13))
    for number, month in months.items():
        own = [row for row in rows if row["date"][4:8] == f"/{number:02}/"]
        assert month["mean_high_c"] == near(fmean(numbers(own, "temp_max")))
        assert month["mean_low_c"] == near(fmean(numbers(own, "temp_min")))
        assert month["precipitation_mm"] == near(sum(numbers(own, "precipitation")) / 4)


def test_the_figures_of_each_year_are_those_of_its_days(folder: Path, rows: list[Row]) -> None:
    years = run_demo(folder).report["years"]
    assert [year["year"] for year in years] == YEARS
    for year in years:
        own = [row for row in rows if row["date"].startswith(str(year["year"]))]
        assert year["days"] == len(own)
        assert year["mean_high_c"] == near(fmean(numbers(own, "temp_max")))
        assert year["mean_low_c"] == near(fmean(numbers(own, "temp_min")))
        assert year["wet_days"] == len([row for row in own if wet(row)])
        assert year["precipitation_mm"] == near(sum(numbers(own, "precipitation")), 0.05)
        for season, amount in year["precipitation_by_season_mm"].items():
            days = [row for row in own if season_of(row) == season]
            assert amount == near(sum(numbers(days, "precipitation")), 0.05)
        # The file has every day in order, so a dry spell is a run of `d`.
        days_as_letters = "".join("w" if wet(row) else "d" for row in own)
        longest = max(re.finditer("d+", days_as_letters), key=lambda run: len(run[0]))
        assert year["longest_dry_spell"] == {
            "days": len(longest[0]),
            "first": iso(own[longest.start()]["date"]),
            "last": iso(own[longest.end() - 1]["date"]),
        }


def test_the_chart_carries_every_label(folder: Path, rows: list[Row]) -> None:
    shown = {label.text for label in run_demo(folder).labels}
    yearly = [
        sum(numbers([row for row in rows if row["date"].startswith(str(year))], "precipitation"))
        for year in YEARS
    ]
    warmest = max(
        fmean(float(row["temp_max"]) for row in rows if row["date"][5:7] == f"{month:02}")
        for month in range(1, 13)
    )
    expected = {
        "Seattle weather, 2012\N{EN DASH}2015",
        "1,461 days of measurements, by season, month and year",
        "Temperature (°C)",
        "Precipitation (mm / month)",
        "Precipitation (mm / year)",
        "Month",
        "Year",
        "Mean daily high",
        "Mean low",
        f"{warmest:.1f} °C",
        *(season.capitalize() for season in SEASONS),
        *MONTHS,
        *map(str, YEARS),
        *(f"{total:,.0f}" for total in yearly),
    }
    assert expected <= shown, f"missing: {expected - shown}"


def test_no_label_of_the_chart_covers_another_or_leaves_the_page(folder: Path) -> None:
    boxes = [box(label) for label in run_demo(folder).labels if not label.get("transform")]
    for name, left, top, right, bottom in boxes:
        assert left >= 0 and top >= 0 and right <= 1120 and bottom <= 830, name
    for (a, a_left, a_top, a_right, a_bottom), (
        b,
        b_left,
        b_top,
        b_right,
        b_bottom,
    ) in combinations(boxes, 2):
        apart = a_right <= b_left or b_right <= a_left or a_bottom <= b_top or b_bottom <= a_top
        assert apart, f"`{a}` and `{b}` collide"


def test_a_row_that_is_not_a_day_is_named_and_the_rest_is_used(folder: Path) -> None:
    data = folder / "seattle-weather.csv"
    lines = data.read_text().splitlines()
    assert lines[16] == "2012/01/16,2.5,1.7,-2.8,5.0,snow"
    lines[16] = "2012/01/16,2.5,mild,-2.8,5.0,snow"
    data.write_text("\n".join([*lines, lines[1]]) + "\n")
    demo = run_demo(folder)
    assert demo.result["days"] == 1460
    assert demo.report["coverage"]["missing_days"] == 1
    wrong = [(row["line"], row["column"], row["value"]) for row in demo.result["rejected"]]
    assert wrong == [(17, "temp_max", "mild"), (1463, "date", "2012/01/01")]


def test_a_second_run_replaces_the_files_with_the_same_bytes(folder: Path) -> None:
    def contents(demo: Demo) -> dict[str, bytes]:
        assert demo.process.returncode == 0, demo.process.stderr
        return {file.name: file.read_bytes() for file in (folder / "results").iterdir()}

    first = contents(run_demo(folder))
    assert sorted(first) == ["report.json", "seattle-weather.svg"]
    assert contents(run_demo(folder)) == first


def test_each_command_that_the_demo_proposes_works(folder: Path) -> None:
    demo = run_demo(folder)
    _, _, proposed = demo.process.stderr.partition("Try next:")
    commands = [
        line for line in map(str.strip, proposed.splitlines()) if line and not line.startswith("#")
    ]
    assert len(commands) == 3
    for command in commands:
        ran = subprocess.run(
            shlex.split(command),
            cwd=folder.parent.parent,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stderr}"


def test_a_demo_that_fails_says_so_in_its_result_and_its_exit_code(folder: Path) -> None:
    missing = {"data": "no-such-file.csv", "results": "results"}
    (folder / "input.json").write_text(json.dumps(missing))
    process = run_demo(folder).process
    assert process.returncode == 1, process.stderr
    assert json.loads(process.stdout)["outcome"] == "failed"
    assert "no-such-file.csv" in process.stdout
    assert "Try next" not in process.stderr


def near(value: float, tolerance: float = 0.005) -> Any:
    """`value` as it may look after rounding to the report's decimals."""
    return pytest.approx(value, rel=0, abs=tolerance + 1e-9)


def extreme(row: Row, column: str) -> dict[str, str | float]:
    return {"date": iso(row["date"]), "value": float(row[column])}


def box(label: ElementTree.Element) -> tuple[str, float, float, float, float]:
    """About where a label is drawn, for a font as wide as the usual sans-serif ones."""
    text, size = label.text or "", float(label.attrib["font-size"])
    width, x, baseline = 0.62 * size * len(text), float(label.attrib["x"]), float(label.attrib["y"])
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[label.attrib["text-anchor"]]
    return text, left, baseline - 0.75 * size, left + width, baseline + 0.1 * size

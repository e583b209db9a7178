"""Turns the text of a CSV file into days of weather. An invalid row is reported; it is never corrected by a guess."""

import datetime
import math
from collections.abc import Sequence

import msgspec
from weather import Day


class BadRow(msgspec.Struct):
    """A row that was left out: its line in the file, the column at fault, and why."""

    line: int
    column: str
    value: str
    problem: str


class Coverage(msgspec.Struct):
    """The days that the figures use; `missing_days` are dates between first and last without a usable row."""

    days: int
    first: datetime.date
    last: datetime.date
    missing_days: int
    rejected: list[BadRow]


class CleanDays(msgspec.Struct):
    """The usable days in the order of their dates, and what they cover."""

    days: list[Day]
    coverage: Coverage


class _Rejected(Exception):
    """Raised when a row cannot be a day; says which column and why."""

    def __init__(self, column: str, value: str, problem: str) -> None:
        super().__init__(f"`{column}` is `{value}`: {problem}")
        self.column, self.value, self.problem = column, value, problem


def clean(rows: Sequence[dict[str, str]]) -> CleanDays:
    """The days in `rows`, one row of text each; `ValueError` when not one row can be used."""
    days: dict[datetime.date, Day] = {}
    rejected: list[BadRow] = []
    for line, row in enumerate(rows, start=2):  # line 1 is the header
        try:
            day = _parse(row)
            if day.date in days:
                raise _Rejected("date", row["date"], "is there twice; the first one counts")
            days[day.date] = day
        except _Rejected as bad:
            rejected.append(BadRow(line, bad.column, bad.value, bad.problem))
    if not days:
        first = (
            f"; line {rejected[0].line}: `{rejected[0].column}` {rejected[0].problem}"
            if rejected
            else ""
        )
        raise ValueError(f"none of the {len(rows)} rows is a day of weather{first}")
    first_date, last_date = min(days), max(days)
    missing = (last_date - first_date).days + 1 - len(days)
    coverage = Coverage(len(days), first_date, last_date, missing, rejected)
    return CleanDays([days[date] for date in sorted(days)], coverage)


def _parse(row: dict[str, str]) -> Day:
    text = row.get("date", "")
    try:
        date = datetime.datetime.strptime(text, "%Y/%m/%d").date()
    except ValueError:
        raise _Rejected("date", text, "is not a date like 2012/01/31") from None
    day = Day(
        date,
        precipitation=_number(row, "precipitation", at_least=0),
        temp_max=_number(row, "temp_max"),
        temp_min=_number(row, "temp_min"),
        wind=_number(row, "wind", at_least=0),
    )
    if day.temp_min > day.temp_max:
        raise _Rejected("temp_min", row["temp_min"], f"is above `temp_max`, {row['temp_max']}")
    return day


def _number(row: dict[str, str], column: str, at_least: float = -math.inf) -> float:
    text = row.get(column, "")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _Rejected(column, text, "is not a number")
    if number < at_least:
        raise _Rejected(column, text, f"is below {at_least:g}")
    return number

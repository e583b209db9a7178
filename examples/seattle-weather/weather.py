"""The arithmetic of the example: it turns days into summaries of seasons, months and years. It does not use Stepflow."""

import datetime
from collections.abc import Iterable, Sequence
from math import fsum

import msgspec

# Meteorological seasons: three whole months each, so that a month belongs to one season.
SEASONS: dict[str, tuple[int, int, int]] = {
    "winter": (12, 1, 2),
    "spring": (3, 4, 5),
    "summer": (6, 7, 8),
    "autumn": (9, 10, 11),
}
SEASON_OF = {month: season for season, months in SEASONS.items() for month in months}

# The usual threshold of climatology: less than this is dew or drizzle, and the day counts as dry.
WET_DAY_MM = 1.0


class Day(msgspec.Struct):
    """One day's measurements: precipitation in mm, temperatures in °C, wind in m/s."""

    date: datetime.date
    precipitation: float
    temp_max: float
    temp_min: float
    wind: float

    @property
    def is_wet(self) -> bool:
        return self.precipitation >= WET_DAY_MM


class Extreme(msgspec.Struct):
    """The highest measurement and its date; the first date if several days are equal."""

    date: datetime.date
    value: float


class DrySpell(msgspec.Struct):
    """A stretch of dry days without a break, first and last day included."""

    days: int
    first: datetime.date
    last: datetime.date


class Month(msgspec.Struct):
    """A calendar month over all years: mean temperatures (°C), mean monthly precipitation (mm)."""

    month: int
    mean_high_c: float
    mean_low_c: float
    precipitation_mm: float


class Season(msgspec.Struct):
    """A season over all years: mean temperatures (°C) and wind (m/s), precipitation (mm) in all."""

    season: str
    days: int
    mean_high_c: float
    mean_low_c: float
    mean_wind_m_s: float
    precipitation_mm: float
    wet_days: int
    wet_days_percent: float
    hottest: Extreme
    coldest: Extreme
    wettest: Extreme
    months: list[Month]


class Year(msgspec.Struct):
    """A calendar year: mean temperatures (°C), precipitation (mm) in all and by season."""

    year: int
    days: int
    mean_high_c: float
    mean_low_c: float
    precipitation_mm: float
    precipitation_by_season_mm: dict[str, float]
    wet_days: int
    longest_dry_spell: DrySpell | None


def summarise_season(season: str, days: Sequence[Day]) -> Season:
    """The days of `season` among `days`, in figures; `ValueError` when there are none."""
    if season not in SEASONS:
        raise ValueError(f"`{season}` is not a season; the seasons are {', '.join(SEASONS)}")
    own = [day for day in days if SEASON_OF[day.date.month] == season]
    if not own:
        raise ValueError(f"the data has no day in {season}")
    wet_days = sum(day.is_wet for day in own)
    hottest = max(own, key=lambda day: day.temp_max)
    coldest = min(own, key=lambda day: day.temp_min)
    wettest = max(own, key=lambda day: day.precipitation)
    return Season(
        season=season,
        days=len(own),
        mean_high_c=_mean(day.temp_max for day in own),
        mean_low_c=_mean(day.temp_min for day in own),
        mean_wind_m_s=_mean(day.wind for day in own),
        precipitation_mm=_total(day.precipitation for day in own),
        wet_days=wet_days,
        wet_days_percent=round(100 * wet_days / len(own), 1),
        hottest=Extreme(hottest.date, hottest.temp_max),
        coldest=Extreme(coldest.date, coldest.temp_min),
        wettest=Extreme(wettest.date, wettest.precipitation),
        months=[_summarise_month(month, own) for month in SEASONS[season]],
    )


def summarise_year(year: int, days: Sequence[Day]) -> Year:
    """The days of `year` among `days`, in figures; `ValueError` when there are none."""
    own = [day for day in days if day.date.year == year]
    if not own:
        raise ValueError(f"the data has no day in {year}")
    return Year(
        year=year,
        days=len(own),
        mean_high_c=_mean(day.temp_max for day in own),
        mean_low_c=_mean(day.temp_min for day in own),
        precipitation_mm=_total(day.precipitation for day in own),
        precipitation_by_season_mm={
            season: _total(day.precipitation for day in own if day.date.month in months)
            for season, months in SEASONS.items()
        },
        wet_days=sum(day.is_wet for day in own),
        longest_dry_spell=longest_dry_spell(own),
    )


def longest_dry_spell(days: Sequence[Day]) -> DrySpell | None:
    """The longest run of consecutive dry dates in `days`, or the first of several; a missing date ends a run."""
    longest = current = None
    for day in sorted(days, key=lambda day: day.date):
        if day.is_wet:
            current = None
        elif current is not None and day.date == current.last + datetime.timedelta(days=1):
            current = DrySpell(current.days + 1, current.first, day.date)
        else:
            current = DrySpell(1, day.date, day.date)
        if current is not None and (longest is None or current.days > longest.days):
            longest = current
    return longest


def _summarise_month(month: int, days: Sequence[Day]) -> Month:
    own = [day for day in days if day.date.month == month]
    if not own:
        raise ValueError(f"the data has no day in month {month}")
    years = len({day.date.year for day in own})
    return Month(
        month=month,
        mean_high_c=_mean(day.temp_max for day in own),
        mean_low_c=_mean(day.temp_min for day in own),
        precipitation_mm=round(fsum(day.precipitation for day in own) / years, 2),
    )


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return round(fsum(collected) / len(collected), 2)


def _total(values: Iterable[float]) -> float:
    return round(fsum(values), 1)

"""The report: the joined results of the parallel branches, and sentences about them."""

from calendar import month_name
from collections.abc import Sequence
from math import fsum

import msgspec
from cleaning import Coverage
from weather import WET_DAY_MM, Season, Year


class Report(msgspec.Struct):
    """All results of the example; `report.json` holds one of these."""

    findings: list[str]
    coverage: Coverage
    seasons: list[Season]
    years: list[Year]


def findings(seasons: Sequence[Season], years: Sequence[Year]) -> list[str]:
    """A sentence each on warmth, seasons, years and drought."""
    sentences = [_on_warmth(seasons), _on_seasons(seasons), _on_years(years)]
    spells = [year.longest_dry_spell for year in years if year.longest_dry_spell]
    if spells:
        spell = max(spells, key=lambda spell: spell.days)
        sentences.append(
            f"The longest dry spell, less than {WET_DAY_MM:g} mm on each day, "
            f"lasted {spell.days} days, {spell.first} to {spell.last}."
        )
    return sentences


def _on_warmth(seasons: Sequence[Season]) -> str:
    months = [month for season in seasons for month in season.months]
    warmest = max(months, key=lambda month: month.mean_high_c)
    coldest = min(months, key=lambda month: month.mean_low_c)
    return (
        f"{month_name[warmest.month]} has the warmest days, with a mean high of {warmest.mean_high_c:.1f} °C; "
        f"{month_name[coldest.month]} has the coldest nights, with a mean low of {coldest.mean_low_c:.1f} °C."
    )


def _on_seasons(seasons: Sequence[Season]) -> str:
    total = fsum(season.precipitation_mm for season in seasons)
    wettest = max(seasons, key=lambda season: season.precipitation_mm)
    driest = min(seasons, key=lambda season: season.precipitation_mm)
    if not total:
        return "No precipitation was measured."
    return (
        f"{wettest.season.capitalize()} brings {wettest.precipitation_mm / total:.0%} of all precipitation, "
        f"{driest.season} {driest.precipitation_mm / total:.0%}."
    )


def _on_years(years: Sequence[Year]) -> str:
    wettest = max(years, key=lambda year: year.precipitation_mm)
    driest = min(years, key=lambda year: year.precipitation_mm)
    return (
        f"{wettest.year} was the wettest year, with {wettest.precipitation_mm:,.0f} mm, "
        f"and {driest.year} the driest, with {driest.precipitation_mm:,.0f} mm."
    )

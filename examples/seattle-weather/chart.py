"""The chart of the report, drawn by hand: no plotting library, and the same bytes for the same figures."""

from calendar import month_abbr, month_name
from collections.abc import Iterator, Sequence

from drawing import (
    CARD,
    GRID,
    INK,
    MUTED,
    PAPER,
    band,
    columns,
    curve,
    horizontal,
    page,
    rect,
    scale,
    text,
    ticks_between,
    value_axis,
)
from weather import SEASON_OF, SEASONS, WET_DAY_MM, Month, Season, Year

WIDTH, HEIGHT, MARGIN = 1120, 830, 48
# The two panels on the left share their months.
MONTHS_LEFT, MONTHS_RIGHT = 104, 690
YEARS_LEFT, YEARS_RIGHT = 800, 1072

HIGH, LOW = "#c8433d", "#2f6db0"
SEASON_COLOUR = {
    "winter": "#3a6ea5",
    "spring": "#3f9163",
    "summer": "#e2a32b",
    "autumn": "#b9562f",
}
ON_SEASON = {"winter": CARD, "spring": CARD, "summer": INK, "autumn": CARD}


def draw(seasons: Sequence[Season], years: Sequence[Year], days: int) -> str:
    """SVG text: a card per season, the course of a year, and the years side by side."""
    months = sorted(
        (month for season in seasons for month in season.months), key=lambda month: month.month
    )
    title = f"Seattle weather, {years[0].year}\N{EN DASH}{years[-1].year}"
    subtitle = f"{days:,} days of measurements, by season, month and year"
    note = (
        "Data: NOAA, public domain. Precipitation is rain and melted snow; "
        f"a wet day has at least {WET_DAY_MM:g} mm. Winter is December to February."
    )
    parts = [
        text(MARGIN, 62, title, size=30, weight=700),
        text(MARGIN, 90, subtitle, size=16, colour=MUTED),
        *_cards(seasons, top=116),
        *_temperatures(months, top=292, bottom=508),
        *_monthly_precipitation(months, top=572, bottom=730),
        *_yearly_precipitation(years, top=320, bottom=730),
        text(MARGIN, 806, note, size=12.5, colour=MUTED),
    ]
    return page(WIDTH, HEIGHT, title, "Temperature and precipitation by month and year.", parts)


def _cards(seasons: Sequence[Season], top: float) -> Iterator[str]:
    gap, height = 16, 104
    width = (WIDTH - 2 * MARGIN - gap * (len(seasons) - 1)) / len(seasons)
    for index, season in enumerate(seasons):
        x = MARGIN + index * (width + gap)
        left, right = x + 22, x + width - 16
        first, _, last = SEASONS[season.season]
        reach = f"{month_abbr[first]}\N{EN DASH}{month_abbr[last]}"
        means = f"{season.mean_high_c:.1f} / {season.mean_low_c:.1f}"
        wet = f"{season.wet_days_percent:.0f} %"
        yield rect(x, top, width, height, CARD, radius=6, stroke=GRID)
        yield rect(x, top, 6, height, SEASON_COLOUR[season.season], radius=3)
        yield text(left, top + 28, season.season.capitalize(), size=16, weight=700)
        yield text(right, top + 28, reach, colour=MUTED, anchor="end")
        yield text(left, top + 66, means, size=20, weight=600)
        yield text(left, top + 88, "mean high / low, °C", size=12, colour=MUTED)
        yield text(right, top + 66, wet, size=20, weight=600, anchor="end")
        yield text(right, top + 88, "wet days", size=12, colour=MUTED, anchor="end")


def _temperatures(months: Sequence[Month], top: float, bottom: float) -> Iterator[str]:
    warmest = max(months, key=lambda month: month.mean_high_c)
    coldest = min(months, key=lambda month: month.mean_low_c)
    ticks = ticks_between(min(0.0, coldest.mean_low_c), warmest.mean_high_c)
    x, y = columns(MONTHS_LEFT, MONTHS_RIGHT, len(months)), scale(ticks, bottom, top)
    highs = [(x(index), y(month.mean_high_c)) for index, month in enumerate(months)]
    lows = [(x(index), y(month.mean_low_c)) for index, month in enumerate(months)]

    yield text(MARGIN, top - 32, "A year in temperatures", size=17, weight=700)
    for key, label, colour in ((480, "Mean daily high", HIGH), (616, "Mean low", LOW)):
        yield horizontal(key, key + 18, top - 37, colour, thickness=3)
        yield text(key + 24, top - 33, label, size=12)
    yield from value_axis("Temperature (°C)", ticks, y, MONTHS_LEFT, MONTHS_RIGHT)
    yield band(highs, lows, HIGH, LOW)
    of_highs = (f"{month_name[month.month]}: mean high {month.mean_high_c} °C" for month in months)
    of_lows = (f"{month_name[month.month]}: mean low {month.mean_low_c} °C" for month in months)
    yield from curve(highs, HIGH, of_highs)
    yield from curve(lows, LOW, of_lows)
    for (at, height), value, colour in (
        (highs[months.index(warmest)], warmest.mean_high_c, HIGH),
        (lows[months.index(coldest)], coldest.mean_low_c, LOW),
    ):
        yield text(at, height - 12, f"{value:.1f} °C", weight=600, colour=colour, anchor="middle")


def _monthly_precipitation(months: Sequence[Month], top: float, bottom: float) -> Iterator[str]:
    ticks = ticks_between(0, 1.1 * max(month.precipitation_mm for month in months))
    x, y = columns(MONTHS_LEFT, MONTHS_RIGHT, len(months)), scale(ticks, bottom, top)
    width = 0.68 * (x(1) - x(0))
    yield text(MARGIN, top - 24, "… and in precipitation", size=17, weight=700)
    yield from value_axis("Precipitation (mm / month)", ticks, y, MONTHS_LEFT, MONTHS_RIGHT)
    for index, month in enumerate(months):
        amount, name = month.precipitation_mm, month_name[month.month]
        yield rect(
            x(index) - width / 2,
            y(amount),
            width,
            bottom - y(amount),
            SEASON_COLOUR[SEASON_OF[month.month]],
            radius=2,
            tooltip=f"{name}: {amount} mm",
        )
        yield text(x(index), y(amount) - 5, f"{amount:.0f}", size=12, colour=MUTED, anchor="middle")
        yield text(x(index), bottom + 20, month_abbr[month.month], anchor="middle")
    middle = (MONTHS_LEFT + MONTHS_RIGHT) / 2
    yield text(middle, bottom + 42, "Month", size=12, colour=MUTED, anchor="middle")


def _yearly_precipitation(years: Sequence[Year], top: float, bottom: float) -> Iterator[str]:
    ticks = ticks_between(0, 1.1 * max(year.precipitation_mm for year in years))
    y = scale(ticks, bottom, top)
    x, width = columns(YEARS_LEFT, YEARS_RIGHT, len(years)), (YEARS_RIGHT - YEARS_LEFT) / len(years)
    heading = YEARS_LEFT - 56
    yield text(heading, top - 60, "Precipitation, year by year", size=17, weight=700)
    for index, season in enumerate(SEASONS):
        key = heading + index * 84
        yield rect(key, top - 44, 12, 12, SEASON_COLOUR[season], radius=2)
        yield text(key + 18, top - 33.5, season.capitalize(), size=12)
    yield from value_axis("Precipitation (mm / year)", ticks, y, YEARS_LEFT, YEARS_RIGHT)
    for index, year in enumerate(years):
        base = 0.0
        for season, amount in year.precipitation_by_season_mm.items():
            upper, height = y(base + amount), y(base) - y(base + amount)
            yield rect(
                x(index) - 0.35 * width,
                upper,
                0.7 * width,
                height,
                SEASON_COLOUR[season],
                stroke=PAPER,
                tooltip=f"{season.capitalize()} {year.year}: {amount} mm",
            )
            if height >= 16:
                inside, ink = upper + height / 2 + 4, ON_SEASON[season]
                yield text(x(index), inside, f"{amount:.0f}", size=12, colour=ink, anchor="middle")
            base += amount
        total = f"{year.precipitation_mm:,.0f}"
        yield text(x(index), y(base) - 8, total, size=14, weight=700, anchor="middle")
        yield text(x(index), bottom + 20, str(year.year), anchor="middle")
    middle = (YEARS_LEFT + YEARS_RIGHT) / 2
    yield text(middle, bottom + 42, "Year", size=12, colour=MUTED, anchor="middle")

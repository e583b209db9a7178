"""Pieces of an SVG picture, and the scales that place them. `chart.py` uses them for the weather."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape

INK, MUTED, GRID, PAPER, CARD = "#1f2d3a", "#5c6975", "#e3e0d8", "#fbfaf6", "#ffffff"
FONTS = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

Point = tuple[float, float]
Scale = Callable[[float], float]


def page(width: int, height: int, title: str, summary: str, parts: Iterable[str]) -> str:
    """Return a whole SVG document; `title` and `summary` are for people who cannot see it."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="title summary" '
        f'font-family="{FONTS}">'
    )
    described = (
        f'<title id="title">{escape(title)}</title>\n<desc id="summary">{escape(summary)}</desc>'
    )
    return "\n".join([head, described, rect(0, 0, width, height, PAPER), *parts, "</svg>"]) + "\n"


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: float = 13,
    weight: int = 400,
    colour: str = INK,
    anchor: str = "start",
    upwards: bool = False,
) -> str:
    """A line of text; `y` is its baseline. With `upwards` it reads from bottom to top."""
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upwards else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" '
        f'fill="{colour}" text-anchor="{anchor}"{turn}>{escape(content)}</text>'
    )


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    *,
    radius: float = 0,
    stroke: str = "none",
    tooltip: str = "",
) -> str:
    hover = f"<title>{escape(tooltip)}</title>" if tooltip else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{radius:g}" fill="{fill}" stroke="{stroke}">{hover}</rect>'
    )


def horizontal(left: float, right: float, y: float, colour: str, *, thickness: float = 1) -> str:
    return (
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
        f'stroke="{colour}" stroke-width="{thickness:g}"/>'
    )


def curve(points: Sequence[Point], colour: str, tooltips: Iterable[str]) -> Iterator[str]:
    """A line through `points`, with a dot that names each of them."""
    yield (
        f'<polyline points="{_listed(points)}" fill="none" stroke="{colour}" '
        'stroke-width="2.5" stroke-linejoin="round"/>'
    )
    for (x, y), tooltip in zip(points, tooltips, strict=True):
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{PAPER}" stroke="{colour}" '
            f'stroke-width="2"><title>{escape(tooltip)}</title></circle>'
        )


def band(upper: Sequence[Point], lower: Sequence[Point], top: str, bottom: str) -> str:
    """The area between two lines, tinted from the colour `top` to the colour `bottom`."""
    return (
        '<defs><linearGradient id="band" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{top}" stop-opacity="0.22"/>'
        f'<stop offset="1" stop-color="{bottom}" stop-opacity="0.22"/></linearGradient></defs>'
        f'<polygon points="{_listed([*upper, *reversed(lower)])}" fill="url(#band)"/>'
    )


def value_axis(
    label: str, ticks: Sequence[float], y: Scale, left: float, right: float
) -> Iterator[str]:
    """Grid lines from `left` to `right` with their values, and the axis title beside them."""
    for tick in ticks:
        yield horizontal(left, right, y(tick), MUTED if tick == 0 else GRID)
        yield text(left - 10, y(tick) + 4, f"{tick:,g}", size=12, colour=MUTED, anchor="end")
    middle = (y(ticks[0]) + y(ticks[-1])) / 2
    yield text(left - 52, middle, label, size=12, colour=MUTED, anchor="middle", upwards=True)


def ticks_between(low: float, high: float) -> list[float]:
    """Round numbers, about five, from at or below `low` to at or above `high`."""
    rough = (high - low) / 5 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [index * step for index in range(math.floor(low / step), math.ceil(high / step) + 1)]


def scale(ticks: Sequence[float], bottom: float, top: float) -> Scale:
    """Return the scale from a value to its height on the page; the first tick is at `bottom`, the last at `top`."""
    return lambda value: bottom + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (top - bottom)


def columns(left: float, right: float, count: int) -> Scale:
    """Return the scale from 0, 1, … to the middle of the column with this number, of `count` equal columns."""
    return lambda index: left + (right - left) * (index + 0.5) / count


def _listed(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)

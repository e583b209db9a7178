"""Repeats measurements, and prints them with their ratios and bounds."""

import json
import statistics
from collections.abc import Callable, Mapping


def rounds(count: int, measure: Callable[[], dict[str, float]]) -> dict[str, list[float]]:
    """Return what each kind took in each round. The first round, which warms up, is left out."""
    measure()
    measured = [measure() for _ in range(count)]
    return {kind: [each[kind] for each in measured] for kind in measured[0]}


def judged(figures: dict[str, list[float]], floor: str, bounds: Mapping[str, float]) -> int:
    """Print the table and the ratios to the floor; return 1 when one of them is above its bound."""
    print(table(figures, floor))
    bare = statistics.median(figures[floor])
    ratios = {kind: statistics.median(figures[kind]) / bare for kind in bounds}
    print(json.dumps({"ratios": ratios, "bounds": bounds}))
    return 0 if all(ratios[kind] <= bounds[kind] for kind in bounds) else 1


def table(figures: dict[str, list[float]], floor: str) -> str:
    """Return a table of the times of each kind in µs, with the ratio of its median to the floor's."""
    bare = statistics.median(figures[floor])
    rows = [f"{'':8}{'median µs':>10}{'min':>8}{'max':>8}{f'÷ {floor}':>8}"]
    for name, values in figures.items():
        median = statistics.median(values)
        low, high = min(values) * 1e6, max(values) * 1e6
        rows.append(f"{name:8}{median * 1e6:10.1f}{low:8.1f}{high:8.1f}{median / bare:8.2f}")
    return "\n".join(rows)

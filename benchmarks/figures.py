"""How the benchmarks show what they have measured."""

import statistics


def table(figures: dict[str, list[float]], floor: str) -> str:
    """Seconds of each kind as µs, with the ratio of its median to that of the floor."""
    bare = statistics.median(figures[floor])
    rows = [f"{'':8}{'median µs':>10}{'min':>8}{'max':>8}{f'÷ {floor}':>8}"]
    for name, values in figures.items():
        median = statistics.median(values)
        low, high = min(values) * 1e6, max(values) * 1e6
        rows.append(f"{name:8}{median * 1e6:10.1f}{low:8.1f}{high:8.1f}{median / bare:8.2f}")
    return "\n".join(rows)

"""Kills the server at every append, starts it again, and compares what becomes of the runs.

`--at 17:before` repeats one point; the folders of those that fail stay where they are."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.crashes.matrix import Point, Told, play

BINARY = Path(sys.executable).with_name("stepflow")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="poe crash-matrix", description=__doc__)
    points = parser.add_mutually_exclusive_group()
    points.add_argument(
        "--at",
        type=lambda text: [Point.of(point) for point in text.split(",")],
        help="only this point, such as 17:before; with a comma, the restarted server crashes too",
    )
    points.add_argument(
        "--kill",
        choices=["worker", "both"],
        help="kill the worker at every execute, or the server and its worker",
    )
    points.add_argument(
        "--twice",
        action="store_true",
        help="crash again at one of the first appends after the restart",
    )
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only each K-th point")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="points at a time")
    return parser.parse_args()


def crashes(asked: argparse.Namespace, undisturbed: Told) -> Iterator[list[Point]]:
    """Yield what is tried: a list has the points of servers that run one after the other."""
    if asked.at:
        yield asked.at
        return
    number = undisturbed.executes if asked.kill else undisturbed.appends
    modes = [asked.kill] if asked.kill else ["before", "after"]
    for n in range(1, number + 1, asked.every):
        for mode in modes:
            again = [Point(1 + n % 7, modes[n % len(modes)])] if asked.twice else []
            yield [Point(n, mode), *again]


def main() -> int:
    asked = options()
    os.environ["PATH"] = f"{BINARY.parent}{os.pathsep}{os.environ['PATH']}"
    folder = Path(tempfile.mkdtemp(prefix="crash-matrix-"))

    def told(name: str, points: list[Point]) -> Told:
        (folder / name).mkdir()
        return play([str(BINARY)], folder / name, points)

    began = time.monotonic()
    undisturbed = told("undisturbed", [])
    print(f"{undisturbed.appends} appends, {undisturbed.executes} executes without a crash")
    if undisturbed.problems:
        print("\n".join(undisturbed.problems))
        return 1
    tried = [(",".join(map(str, points)), points) for points in crashes(asked, undisturbed)]
    failed = reached = 0
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = pool.map(lambda it: told(*it), tried)
        for number, ((name, _), result) in enumerate(zip(tried, results, strict=True), 1):
            result = result.compared(undisturbed)
            reached += result.reached
            if sys.stdout.isatty() or number % 50 == 0 or number == len(tried):
                ends = "\r" if sys.stdout.isatty() and number < len(tried) else "\n"
                print(f"{number} of {len(tried)} points, {failed} failed", end=ends, flush=True)
            if result.problems:
                failed += 1
                print(
                    f"\nFAILED at {name}, in {folder / name}; again: poe crash-matrix --at {name}"
                )
                print("\n".join(f"  {problem}" for problem in result.problems), flush=True)
            else:
                shutil.rmtree(folder / name)
    seconds = time.monotonic() - began
    print(f"{len(tried)} points, {reached} of them reached, {failed} failed, {seconds:.0f} s")
    if not failed:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

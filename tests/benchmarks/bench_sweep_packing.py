"""How well a sweep fills its places: the cells' own time over places times makespan.

``python -m tests.benchmarks.bench_sweep_packing [--cells 12] [--seconds 60] [--slots 2]``

The cells are of the plug-in ``treadmill``, whose one stage computes on one thread for about ``--seconds``: a number of
steps that is found out beforehand, not a wait. ``palmares sweep`` runs them so many at a time. The time of a cell is
that of its record, from its lease on: what goes before and between cells is what a place stands empty for. Makespan is
taken from the command's start to its end, and from the first cell's beginning to the last one's end.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.plugins.treadmill.method import STEPS_PER_EPOCH, rounds_per_s
from tests.benchmarks.sweeping import (
    PLUG_INS,
    Header,
    Ran,
    began_s,
    ended_s,
    in_order,
    make_data,
    palmares,
    records,
)

LANES = 4
"""Variants of the sweep; the rest are seeds."""
SMALLEST = 16


def packing(walls_s: Sequence[float], slots: int, makespan_s: float) -> float:
    """Which share of the places' time cells were at work."""
    return sum(walls_s) / (slots * makespan_s)


def sweep(home: Path, data: Path, seeds: int, seconds: int, slots: int) -> Ran:
    """Run the cells: an epoch is about a second."""
    rounds = round(rounds_per_s() / STEPS_PER_EPOCH)
    settings = ("--set", f"training.epochs={seconds}", "--set", f"rounds={rounds}")
    fixed = ("--data", data, "--workers", 0, "--jobs", slots, "--json")
    named = ("--seeds", ",".join(map(str, range(seeds))))
    return palmares(home, "sweep", "treadmill", "lane", *named, *settings, *fixed, **PLUG_INS)


def show(ran: Ran, cells: Sequence[Header], slots: int) -> None:
    """Print both packings, and what the places stood empty for."""
    walls = [cell["cost"]["wall_s"] for cell in cells]
    first, last = min(map(began_s, cells)), max(map(ended_s, cells))
    evaluating = statistics.median(cell["cost"]["evaluate_s"] for cell in cells)
    print(
        f"{len(cells)} cells, {slots} at once; a cell {statistics.median(walls):.1f} s "
        f"({min(walls):.1f} to {max(walls):.1f}), {evaluating:.1f} s of it evaluation"
    )
    print(f"{'':<32}{'makespan s':>12}{'packing':>10}")
    for name, makespan in (
        ("command, start to end", ran.ended_s - ran.began_s),
        ("cells, first to last", last - first),
    ):
        print(f"{name:<32}{makespan:>12.1f}{packing(walls, slots, makespan):>10.3f}")
    print(f"start-up, before the first cell: {first - ran.began_s:.1f} s")
    print(f"after the last cell: {ran.ended_s - last:.1f} s")


def main() -> None:
    """Make data, which do not count, and run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=12, help=f"a multiple of {LANES}")
    parser.add_argument("--seconds", type=int, default=60, help="of computing in a cell, about")
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    seeds, rest = divmod(options.cells, LANES)
    if rest or not seeds:
        parser.error(f"--cells got {options.cells}: expected a multiple of {LANES}.")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = make_data("freihand", root / "data", SMALLEST)
        ran = sweep(root / "home", data, seeds, options.seconds, options.slots)
        cells = in_order(records(root / "home").values())
    if len(cells) != options.cells:
        raise SystemExit(f"{len(cells)} cells have a record: expected {options.cells}.")
    show(ran, cells, options.slots)


if __name__ == "__main__":
    main()

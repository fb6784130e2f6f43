"""What a cell of a sweep costs beside its bare training loop: fixed, and of every step.

``python -m tests.benchmarks.bench_cell_overhead [--method amvur] [--axis kl_weight] [--epochs 6] [--rounds 3]
[--size 256]``

The one stage of a single-hand method is trained by the bare loop in this process, as a cell that trains in its trial's
process (``--workers 0``), and as one with a Ray Train worker. The axis is one whose values change nothing of the work.
Each round does all three in fresh homes, cells one at a time. A trial's process is used for the next cell, so the first
cell of a sweep, which imports everything, is shown by itself.

Fixed is a cell's wall time by its record, from its lease on, less its evaluation and the bare training's wall time;
the gap is what passes from one cell's end to the next one's beginning, which is Tune's. Times of a step and of an
epoch's end are those of the curve's time stamps (``bench_ray_train``). Medians over rounds and cells.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from suite import environment

environment.apply()

from suite.curves import read_curve  # noqa: E402
from suite.home import Home  # noqa: E402
from suite.stages import StageCache  # noqa: E402
from suite.train import Resources  # noqa: E402
from tests.benchmarks.bench_ray_train import Times, measure, split_times  # noqa: E402
from tests.benchmarks.sweeping import (  # noqa: E402
    Header,
    began_s,
    ended_s,
    in_order,
    make_data,
    palmares,
    records,
)

WARM_UP_EPOCHS = 3


class CellTimes(NamedTuple):
    """Seconds of a cell by its record, of its evaluation, of a step and of an epoch's end."""

    wall: float
    evaluation: float
    step: float
    epoch_end: float


class Swept(NamedTuple):
    """The cells of one sweep: the first, the others, and the gaps between them in seconds."""

    first: CellTimes
    others: list[CellTimes]
    gaps: list[float]


def cell_times(home: Path, header: Header) -> CellTimes:
    """What a record, and the curve of its stage, tell."""
    (note,) = header["stages"]
    points = [p for p in read_curve(StageCache(Home(home)).curve(note["key"])) if p["name"] == "train/total"]
    steps = points[-1]["step"] // header["identity"]["config"]["training"]["epochs"]
    return CellTimes(header["cost"]["wall_s"], header["cost"]["evaluate_s"], *split_times(points, steps))


def sweep(home: Path, data: Path, options: argparse.Namespace, workers: int) -> tuple[Swept, int]:
    """Run the axis, a cell at a time; also how many CPUs a cell had."""
    settings = ("--set", f"training.epochs={options.epochs}")
    fixed = ("--data", data, "--workers", workers, "--jobs", 1)
    palmares(home, "sweep", options.method, options.axis, *settings, *fixed)
    headers = in_order(records(home).values())
    first, *others = [cell_times(home, header) for header in headers]
    gaps = [began_s(after) - ended_s(before) for before, after in pairwise(headers)]
    return Swept(first, others, gaps), headers[0]["cost"]["cpus_per_worker"]


def one_round(
    home: Path, data: Path, options: argparse.Namespace, workers: Sequence[int] = (0, 1)
) -> tuple[Times, dict[int, Swept]]:
    """Both sweeps, and the bare loop with as many threads."""
    swept = {}
    for number in workers:
        swept[number], cpus = sweep(home / f"sweep-{number}", data, options, number)
    bare = measure(Resources(0, cpus), home / "bare", data, options.method, options.epochs)
    return bare, swept


def show(bare: Times, swept: dict[int, list[Swept]]) -> None:
    """Print a line each for the bare loop, and for first and other cells of both kinds."""
    print(f"{'':<28}{'wall s':>9}{'evaluation s':>14}{'fixed s':>9}{'ms/step':>10}{'ms/epoch end':>14}")
    print(
        f"{'bare loop':<28}{bare.wall:>9.2f}{'':>23}{1000 * bare.step:>10.2f}{1000 * bare.epoch_end:>14.0f}"
    )
    for workers, sweeps in swept.items():
        kind = "Ray Train, 1" if workers else "in its trial"
        others = [times for one in sweeps for times in one.others]
        for which, cells in (("first", [one.first for one in sweeps]), ("others", others)):
            wall, evaluation, step, end = map(statistics.median, zip(*cells, strict=True))
            print(
                f"{f'cell, {kind}, {which}':<28}{wall:>9.2f}{evaluation:>14.2f}"
                f"{wall - evaluation - bare.wall:>9.2f}{1000 * step:>10.2f}{1000 * end:>14.0f}"
            )
        step = statistics.median(times.step for times in others)
        gap = statistics.median(gap for one in sweeps for gap in one.gaps)
        print(f"  {kind}: {step / bare.step:.3f} of the bare step; {gap:.2f} s between cells")


def main() -> None:
    """Make data, warm up, measure the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="amvur")
    parser.add_argument("--axis", default="kl_weight")
    parser.add_argument("--epochs", type=int, default=6, help="three or more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = make_data("freihand", root / "data", options.size)
        measure(Resources(0), root / "warm-up", data, options.method, WARM_UP_EPOCHS)
        rounds = [one_round(root / f"round-{k}", data, options) for k in range(options.rounds)]
    print(f"{options.method} tiny, {options.epochs} epochs, medians of {options.rounds} rounds")
    bare = Times(*map(statistics.median, zip(*(bare for bare, _ in rounds), strict=True)))
    show(bare, {workers: [swept[workers] for _, swept in rounds] for workers in rounds[0][1]})


if __name__ == "__main__":
    main()

"""What Ray Train costs: one stage trained by a plain loop and by one Ray Train worker, side by side in one run.

``python -m tests.benchmarks.bench_ray_train [--method amvur] [--epochs 6] [--rounds 3] [--size 256]``

Both run the same stage through the same generic loop with one thread. The curve's own time stamps tell, from the
second epoch on, the time of a step inside an epoch, and what an epoch's end takes: validation, report, checkpoint. The
rest of the wall time is the fixed cost of a start. Medians over rounds.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from suite import environment

environment.apply()

from suite.train import Resources  # noqa: E402


class Times(NamedTuple):
    """Seconds of one fresh training: all of it, a step, an epoch's end."""

    wall: float
    step: float
    epoch_end: float


def measure(resources: Resources, home_root: Path, data: Path, method: str, epochs: int) -> Times:
    """The times of one fresh training."""
    from suite.curves import read_curve
    from suite.data import open_source
    from suite.home import Home
    from suite.plan import Request, make_cells
    from suite.stage_plan import planned_stages
    from suite.stages import StageCache
    from suite.train import StageJob, train

    home = Home(home_root)
    shutil.rmtree(home.stages, ignore_errors=True)
    overrides = {"training.epochs": str(epochs)}
    request = Request(method, "single_hand", data=data, overrides=overrides)
    (cell,) = make_cells(request, open_source(home, "freihand", data))
    planned = planned_stages(cell)[0]
    job = StageJob.of(home, cell, planned, resources)
    started = time.perf_counter()
    train(job, resources)
    wall = time.perf_counter() - started
    points = [p for p in read_curve(StageCache(home).curve(planned.key)) if p["name"] == "train/total"]
    shutil.rmtree(job.folder)
    return Times(wall, *split_times(points, points[-1]["step"] // epochs))


def split_times(points: list[dict[str, Any]], steps: int) -> tuple[float, float]:
    """(seconds per step, seconds per epoch's end) from the second epoch on, of epochs of so many steps."""
    by_epoch: dict[int, list[tuple[int, float]]] = {}
    for point in points:
        by_epoch.setdefault((point["step"] - 1) // steps, []).append((point["step"], point["time_ms"] / 1000))
    epochs = [by_epoch[e] for e in sorted(by_epoch) if e > 0]
    step = statistics.median((e[-1][1] - e[0][1]) / (e[-1][0] - e[0][0]) for e in epochs)
    ends = [b[0][1] - a[-1][1] - step * (b[0][0] - a[-1][0]) for a, b in pairwise(epochs)]
    return step, statistics.median(ends)


def main() -> None:
    """Print wall times, the fixed start-up and the per-step ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="amvur")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    from clusters.local import ray_session
    from tasks.layouts.registry import load_synthesiser

    with tempfile.TemporaryDirectory() as folder, ray_session():
        root = Path(folder)
        load_synthesiser("freihand")(root / "data", size=options.size, seed=0, workers=2, progress=None)
        rows: dict[int, list[Times]] = {0: [], 1: []}
        for _ in range(options.rounds):
            for workers, measured in rows.items():
                resources = Resources(workers, cpus_per_worker=1)
                measured.append(
                    measure(resources, root / "home", root / "data", options.method, options.epochs)
                )
    show(rows, f"{options.method} tiny, {options.epochs} epochs, 1 thread, median of {options.rounds}")


def show(rows: dict[int, list[Times]], title: str) -> None:
    """Print the medians of the plain loop (0 workers) and of Ray Train, and their ratio round by round."""
    median = {
        workers: Times(*map(statistics.median, zip(*times, strict=True))) for workers, times in rows.items()
    }
    print(title)
    print(f"{'':<18}{'wall s':>9}{'ms/step':>10}{'ms/epoch end':>14}")
    for workers, name in ((0, "plain loop"), (1, "Ray Train, 1")):
        wall, step, end = median[workers]
        print(f"{name:<18}{wall:>9.2f}{1000 * step:>10.2f}{1000 * end:>14.0f}")
    ratios = [ray.step / plain.step for plain, ray in zip(rows[0], rows[1], strict=True)]
    print(f"fixed start-up of Ray Train: {median[1].wall - median[0].wall:.1f} s")
    print(
        f"per-step ratio: {statistics.median(ratios):.3f} (rounds: {', '.join(f'{r:.3f}' for r in ratios)})"
    )


if __name__ == "__main__":
    main()

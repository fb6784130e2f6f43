"""What Ray Train costs: one stage trained by a plain loop and by one Ray Train worker, side by side in one run.

``python -m tests.benchmarks.bench_ray_train [--method amvur] [--epochs 6] [--rounds 3] [--size 256]``

Both run the same stage through the same generic loop with one thread. The curve's own time stamps give the
time of a step from the second epoch on; the rest of the wall time is the fixed cost of a start. Medians over rounds.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from suite import environment

environment.apply()


def measure(workers: int, home_root: Path, data: Path, method: str, epochs: int) -> tuple[float, float]:
    """(wall seconds of the whole training, seconds per step) of one fresh training."""
    from methods.registry import load_method
    from suite.curves import read_curve
    from suite.data import open_source
    from suite.home import Home
    from suite.plan import Request, make_cells, stage_key
    from suite.stages import StageCache
    from suite.train import Resources, StageJob, train
    from tasks.hands.hand import load_hand

    home = Home(home_root)
    shutil.rmtree(home.stages, ignore_errors=True)
    overrides = {"training.epochs": str(epochs)}
    request = Request(method, "single_hand", data=data, overrides=overrides)
    (cell,) = make_cells(request, open_source(home, "freihand", data))
    stage = load_method(method)(cell.config, load_hand()).stages()[0]
    key = stage_key(cell, stage, {})
    resources = Resources(workers, cpus_per_worker=1)
    job = StageJob.of(home, cell, stage.name, key, {}, resources)
    started = time.perf_counter()
    train(job, resources)
    wall = time.perf_counter() - started
    points = [p for p in read_curve(StageCache(home).curve(key)) if p["name"] == "train/total"]
    shutil.rmtree(job.folder)
    first = next(p for p in points if p["step"] >= points[-1]["step"] / epochs)
    last = points[-1]
    return wall, (last["time_ms"] - first["time_ms"]) / 1000 / (last["step"] - first["step"])


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
        rows: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
        for _ in range(options.rounds):
            for workers, measured in rows.items():
                measured.append(
                    measure(workers, root / "home", root / "data", options.method, options.epochs)
                )
    wall = {workers: statistics.median(m[0] for m in rows[workers]) for workers in rows}
    step = {workers: statistics.median(m[1] for m in rows[workers]) for workers in rows}
    print(f"{options.method} tiny, {options.epochs} epochs, 1 thread, median of {options.rounds}")
    print(f"{'':<18}{'wall s':>9}{'ms/step':>10}")
    for workers, name in ((0, "plain loop"), (1, "Ray Train, 1")):
        print(f"{name:<18}{wall[workers]:>9.2f}{1000 * step[workers]:>10.2f}")
    ratios = [ray[1] / plain[1] for plain, ray in zip(rows[0], rows[1], strict=True)]
    print(f"fixed start-up of Ray Train: {wall[1] - wall[0]:.1f} s")
    print(
        f"per-step ratio: {statistics.median(ratios):.3f} (rounds: {', '.join(f'{r:.3f}' for r in ratios)})"
    )


if __name__ == "__main__":
    main()

"""How long ``palmares plan`` takes for ten thousand cells, in a home without records and in one with a thousand.

``python -m tests.benchmarks.bench_plan [--method amvur] [--axes attention_depth attention_heads ...] [--seeds 11]
[--records 1000] [--rounds 3]``

Every round is the command in a process of its own, imports included, over the grid of the axes; the synthetic data are
not made yet. The records are of cells that are planned, evenly over all of them, each with its trained stages in the
cache. Medians over rounds, each round every home once; beside them ``palmares --version``, which is what a command
costs that does nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from suite.data import DataSource
from suite.home import Home
from suite.plan import Cell, Request
from suite.stage_plan import planned_stages
from suite.stages import StageCache
from suite.sweeps.sweep import Sweep, make_sweep
from tests.benchmarks.counting import waited
from tests.benchmarks.sweeping import SOURCES, command, environment, palmares

AXES = ("attention_depth", "attention_heads", "prior_net", "beta_nll", "kl_weight", "augmentation")
SAMPLES = 50


def make_home(root: Path, sweep: Sweep, count: int) -> None:
    """Records of so many of the sweep's cells, and their stages."""
    home = Home(root)
    for k in range(count):
        write_cell(home, sweep.cells[k * len(sweep.cells) // count])


def write_cell(home: Home, cell: Cell) -> None:
    """What is left of a cell that has run: numbers at random, but the header and the files of a real one."""
    from torch import nn

    from reports.record import write_record
    from tests.benchmarks.bench_report import cell_samples

    cache, notes = StageCache(home), []
    for stage in planned_stages(cell):
        note = {"train_s": 60.0, "samples": {"train": {"used": 900, "left_out": {}}}}
        cache.publish(stage.key, nn.Linear(1, 1), None, note)
        notes.append({"key": stage.key, "name": stage.name, "cached": False, "steps": 100, **note})
    cost = {"train_s": 60.0, "evaluate_s": 5.0, "wall_s": 66.0}
    places = {"workers": 0, "cpus_per_worker": 1, "gpus_per_worker": 0.0}
    header = {
        **cell.header(), "state": "done", "reason": None, "not_applicable": {}, "stages": notes,
        "cost": cost | places, "environment": {"python": "3.11"}, "git_commit": "0" * 40,
        "finished_ms": 1_700_000_000_000,
    }  # fmt: skip
    write_record(home.records, header, cell_samples(cell.seed, 0, SAMPLES, SAMPLES, 0.0), {})


def one_round(home: Path, arguments: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of the command. Raises RuntimeError where it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command(*arguments),
        env=environment(home),
        cwd=SOURCES,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    cpu_s = waited(process)
    return time.perf_counter() - began, cpu_s


def main() -> None:
    """Make the homes, check that both are planned as they should be, measure the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="amvur")
    parser.add_argument("--axes", nargs="+", default=AXES)
    parser.add_argument("--seeds", type=int, default=11, help="how many")
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seeds = tuple(range(options.seeds))
    arguments = ["plan", options.method, *options.axes, "--grid", "--seeds", ",".join(map(str, seeds))]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        homes = {"no records": root / "empty", f"{options.records:,} records": root / "full"}
        data = DataSource(root, "not made yet", synthetic=True)
        sweep = make_sweep(Request(options.method, "single_hand", seeds=seeds), options.axes, data, True)
        make_home(root / "full", sweep, options.records)
        for home, done in zip(homes.values(), (0, options.records), strict=True):
            planned = json.loads(palmares(home, *arguments, "--json").out)
            assert planned["done"] == done, f"{planned['done']} cells are done, not {done}"
        runs = {"palmares --version": (root / "empty", ["--version"])}
        runs |= {name: (home, arguments) for name, home in homes.items()}
        rounds = [{name: one_round(*run) for name, run in runs.items()} for _ in range(options.rounds)]
    print(
        f"palmares plan: {len(planned['cells']):,} cells, {len(sweep.points):,} variants x {len(seeds)} seeds"
    )
    print(f"{'':<20}{'wall s':>9}{'CPU s':>9}")
    for name in runs:
        wall, cpu = (
            statistics.median(times) for times in zip(*(found[name] for found in rounds), strict=True)
        )
        print(f"{name:<20}{wall:>9.2f}{cpu:>9.2f}")


if __name__ == "__main__":
    main()

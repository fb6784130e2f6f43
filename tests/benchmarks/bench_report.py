"""How long ``palmares report`` takes for thousands of cells, and how much memory.

``python -m tests.benchmarks.bench_report [--cells 10000] [--samples 1000] [--seeds 1] [--clusters 1000] [--holes 0.0]
[--home FOLDER] [--rounds 3]``

Writes that many records with random numbers in the shape of 12 metrics (which takes minutes; with ``--home`` they are
kept, and used again), then makes the report of all of them in every format, each round in a process of its own, as
the command does. Prints wall time, CPU time and peak memory, and checks that every round gave the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.record import write_record
from tasks.registry import PROTOCOLS

COLUMNS = (
    "mpjpe_mm", "pa_mpjpe_mm", "mpvpe_mm", "pa_mpvpe_mm", "abs_mpjpe_mm", "auc_joints", "auc_verts", "f5", "f15",
    "ladder_abs_mm", "ladder_wrist_mm", "ladder_p1_mm",
)  # fmt: skip
METHODS = 50
MEASURE = "import sys; from tests.benchmarks.bench_report import measure; measure(sys.argv[1], sys.argv[2])"


def cell_header(row: int, seed: int) -> dict[str, Any]:
    """The header of a cell: a method's variant with a seed. One method in fifty is the task's reference."""
    method = "mano_regressor" if row % METHODS == 0 else f"method_{row % METHODS:02d}"
    variant = "default" if row < METHODS else f"width={row // METHODS}"
    protocol = PROTOCOLS["freihand"]
    identity = {
        "method": method, "method_version": 1, "config": {"width": row // METHODS}, "task": "single_hand",
        "task_version": 1, "protocol": protocol.label, "layout": "freihand", "split": "test",
        "data_fingerprint": "0123456789abcdef", "seed": seed,
    }  # fmt: skip
    cell = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return {
        "cell": cell, "kind": "sweep", "identity": identity, "method": method, "method_title": method,
        "task": "single_hand", "layout": "freihand", "split": "test", "preset": "tiny", "axis": "width",
        "variant": variant, "seed": seed, "reason": None, "protocol": protocol.header(), "synthetic": True,
        "flags": [], "not_applicable": {}, "stages": [], "cost": {"train_s": 1.0},
        "environment": {"python": "3.11"}, "git_commit": "0" * 40, "finished_ms": 1_700_000_000_000,
    }  # fmt: skip


def cell_samples(row: int, seed: int, n: int, clusters: int, holes: float) -> pd.DataFrame:
    """Per-sample errors: how hard a sample is (alike for all), how good the row is, and noise."""
    hardness = np.random.default_rng(7).gamma(6, 1 / 6, n)
    rng = np.random.default_rng([row, seed])
    level = 10 + 5 * np.random.default_rng(row).random()
    noise = rng.gamma(20, 1 / 20, (len(COLUMNS), n)) * hardness
    noise[rng.random(noise.shape) < holes] = np.nan
    columns = {
        name: level * values if name.endswith("_mm") else np.exp(-values * level / 10)
        for name, values in zip(COLUMNS, noise, strict=True)
    }
    index = pd.Index([f"{i:08d}" for i in range(n)], name="sample")
    return pd.DataFrame({"cluster": [f"c{i % clusters:05d}" for i in range(n)], **columns}, index=index)


def make_cells(numbers: Sequence[int], records: Path, options: argparse.Namespace) -> None:
    """Write the records of some cells that are not there yet."""
    for number in numbers:
        row, seed = divmod(int(number), options.seeds)
        header = cell_header(row, seed)
        if not (records / header["cell"]).exists():
            samples = cell_samples(row, seed, options.samples, options.clusters, options.holes)
            write_record(records, header, samples, {})


def make_home(home: Path, options: argparse.Namespace) -> None:
    """All records, written by as many processes as there are cores."""
    cores = os.cpu_count() or 1
    parts = np.array_split(np.arange(options.cells), cores * 20)
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(partial(make_cells, records=home / "records", options=options), parts))


def measure(home: str, out: str) -> None:
    """Make the report in this process; print seconds and MB as JSON."""
    from reports.report import build_report

    started = time.perf_counter()
    outcome = build_report(Path(home) / "records", Path(out))
    found = {
        "wall_s": time.perf_counter() - started,
        "cpu_s": time.process_time(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "files": len(outcome.paths),
    }
    print(json.dumps(found))


def one_round(home: Path) -> tuple[dict[str, float], str]:
    """A report in a process of its own: what it measured, and a digest of the files."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", MEASURE, str(home), out]
        started = time.perf_counter()
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        found = {**json.loads(run.stdout.splitlines()[-1]), "process_s": time.perf_counter() - started}
        digest = hashlib.sha256()
        for file in sorted(Path(out).rglob("*")):
            if file.is_file():
                digest.update(file.read_bytes())
        return found, digest.hexdigest()


def main() -> None:
    """Make the home, measure the rounds, print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("cells", 10_000),
        ("samples", 1000),
        ("seeds", 1),
        ("clusters", 1000),
        ("rounds", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--holes", type=float, default=0.0)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        started = time.perf_counter()
        make_home(home, options)
        print(
            f"{options.cells:,} records of {options.samples:,} samples: {time.perf_counter() - started:.0f} s"
        )
        rounds = [one_round(home) for _ in range(options.rounds)]
    assert len({digest for _, digest in rounds}) == 1, "two reports of the same records differ"
    for name in ("wall_s", "process_s", "cpu_s", "peak_mb"):
        print(f"{name:>10}: {statistics.median(found[name] for found, _ in rounds):8.1f}")


if __name__ == "__main__":
    main()

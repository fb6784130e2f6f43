"""What it brings that cells share a GPU: the same sweep with a whole GPU for each cell, and with parts of one.

``python -m tests.benchmarks.bench_sweep_sharing [--method amvur] [--axis kl_weight] [--seeds 4] [--epochs 60]
[--size 512] [--shares 0.25 1 0.5] [--seconds 500] [--out reports/published/NAME]``

Each share has a home of its own; data are the same. A cell trains in its trial's process, so that small networks, which
leave a GPU idle between their kernels, run side by side on it. A cell's time is that of its record; packing is the
cells' time over places times the time from the first cell's beginning to the last one's end. What the GPU does is what
``nvidia-smi`` says of it once a second, in that time. A share that would begin after ``--seconds`` is left out.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.bench_sweep_packing import packing
from tests.benchmarks.publishing import publish
from tests.benchmarks.sweeping import Header, Ran, began_s, ended_s, in_order, make_data, palmares, records

NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,utilization.gpu,memory.used", "--format=csv,noheader,nounits")
COLUMNS = {
    "share": "GPU of a cell",
    "at_once": "cells at once",
    "cpus": "CPUs of a cell",
    "command_s": "command, s",
    "cells_s": "first to last cell, s",
    "cell_s": "a cell, s",
    "train_s": "its training, s",
    "evaluate_s": "its evaluation, s",
    "packing": "packing",
    "gpu_busy_percent": "GPU busy, %",
    "gpu_mib": "GPU memory, MiB",
    "largest_difference": "largest difference of a metric from the first row, relative",
}
Row = dict[str, Any]


class Seen(NamedTuple):
    """A look at the GPU, Unix time."""

    at_s: float
    busy_percent: float
    used_mib: float


class GpuWatch:
    """Looks at the first GPU once a second; sees nothing where there is none."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.name = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> GpuWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            try:
                said = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, check=True).stdout
            except (OSError, subprocess.CalledProcessError):
                return
            self.name, busy, used = (part.strip() for part in said.splitlines()[0].split(","))
            self.seen.append(Seen(time.time(), float(busy), float(used)))

    def between(self, first_s: float, last_s: float) -> list[Seen]:
        """What was seen in that time."""
        return [look for look in self.seen if first_s <= look.at_s <= last_s]


def sweep(home: Path, data: Path, options: argparse.Namespace, share: float) -> Ran:
    """Run the cells, as many at once as fit."""
    named = (
        "--seeds",
        ",".join(map(str, range(options.seeds))),
        "--set",
        f"training.epochs={options.epochs}",
    )
    fixed = ("--data", data, "--workers", 0, "--gpus-per-worker", share, "--json")
    return palmares(home, "sweep", options.method, options.axis, *named, *fixed)


def row(share: float, ran: Ran, cells: Sequence[Header], watch: GpuWatch) -> Row:
    """The numbers of one share."""
    first, last = min(map(began_s, cells)), max(map(ended_s, cells))
    costs = [cell["cost"] for cell in cells]
    at_once = most_at_once(cells)
    looks = watch.between(first, last)
    wall, train, evaluate = (
        statistics.median(cost[key] for cost in costs) for key in ("wall_s", "train_s", "evaluate_s")
    )
    return {
        "share": share,
        "at_once": at_once,
        "cpus": costs[0]["cpus_per_worker"],
        "command_s": round(ran.ended_s - ran.began_s, 1),
        "cells_s": round(last - first, 1),
        "cell_s": round(wall, 1),
        "train_s": round(train, 1),
        "evaluate_s": round(evaluate, 1),
        "packing": round(packing([cost["wall_s"] for cost in costs], at_once, last - first), 3),
        "gpu_busy_percent": round(statistics.mean(look.busy_percent for look in looks)) if looks else None,
        "gpu_mib": round(max(look.used_mib for look in looks)) if looks else None,
    }


def most_at_once(cells: Sequence[Header]) -> int:
    """How many were under way together."""
    return max(sum(began_s(other) <= began_s(cell) < ended_s(other) for other in cells) for cell in cells)


def largest_difference(some: Mapping[str, Header], others: Mapping[str, Header]) -> float:
    """Between the metrics of the same cells, relative to the larger one; 0 where all are equal to the last bit."""
    pairs = [
        (said["value"], others[cell]["metrics"][metric]["value"])
        for cell, header in some.items()
        for metric, said in header["metrics"].items()
        if said["value"] is not None
    ]
    return max(abs(a - b) / (max(abs(a), abs(b)) or 1.0) for a, b in pairs)


def write(options: argparse.Namespace, device: str, rows: Sequence[Row]) -> None:
    """Both files."""
    asked = {key: getattr(options, key) for key in ("method", "axis", "seeds", "epochs", "size")}
    facts = {
        "what": f"a sweep of {options.method} whose cells share a GPU",
        "device": device,
        "command": "python -m tests.benchmarks.bench_sweep_sharing",
        "options": asked,
    }
    note = "Medians over cells; " + ", ".join(f"{key} {value}" for key, value in asked.items()) + "."
    publish(options.out, facts, COLUMNS, rows, note)


def main() -> None:
    """Run the sweep by each share, and print a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="amvur")
    parser.add_argument("--axis", default="kl_weight")
    parser.add_argument("--seeds", type=int, default=4, help="how many")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.25, 1.0, 0.5])
    parser.add_argument("--seconds", type=float, default=500.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began, rows, found = time.time(), [], {}
    with tempfile.TemporaryDirectory() as folder, GpuWatch() as watch:
        root = Path(folder)
        data = make_data("freihand", root / "data", options.size)
        for share in options.shares:
            if time.time() - began > options.seconds:
                break
            ran = sweep(root / f"home-{share}", data, options, share)
            found[share] = records(root / f"home-{share}")
            one = row(share, ran, in_order(found[share].values()), watch)
            one["largest_difference"] = (
                largest_difference(found[options.shares[0]], found[share]) if rows else None
            )
            rows.append(one)
            print(" ".join(f"{key}={value}" for key, value in one.items()), flush=True)
            if options.out:
                write(options, watch.name, rows)


if __name__ == "__main__":
    main()

"""What a sweep saves: its CPU time beside that of training every one of its cells from scratch.

``python -m tests.benchmarks.bench_sweep_economy [--method im2hands] [--axis penetration_weight] [--seeds 0,1,2]
[--size 256] [--preset tiny] [--set KEY=VALUE ...] [--from-scratch N]``

``palmares sweep`` runs the axis in a fresh home. Then ``palmares run`` runs every cell of it in a home of its own, one
after the other; a cell that is the default and a value of the axis at once counts once on both sides. Both train in
their own processes (``--workers 0``), one thread a cell, on the same data, whose making does not count. With
``--from-scratch N`` only N cells, spread evenly over the sweep's, are run from scratch, and their sums scaled up.

CPU seconds are user and system time of all processes of a command, from its first import to the end of Ray's daemons
(``tests.benchmarks.counting``): beside training and evaluation that is Ray, imports, and MLflow's embedded database,
made once a home. So the time that the cells' records tell is shown by itself: seconds of wall from lease to record,
where cells of the sweep share the machine and those from scratch have it to themselves. Ends with 1 unless the metrics
of every cell are the same on both sides, number for number. PALMARES_METHODS names plug-ins, as ever.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from suite.plan import resolve_layout, resolve_task
from suite.sweeps.axes import KEYPOINTS
from tests.benchmarks.sweeping import Header, counted_palmares, make_data, records


class Asked(NamedTuple):
    """A cell of the sweep, as ``palmares run`` is asked for it."""

    cell: str
    method: str
    seed: str
    settings: Mapping[str, str]


@dataclass
class Side:
    """What one way of running cells took, and the records it left."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    watched: int = 0
    cells: int = 0
    records: list[Header] = field(default_factory=list)

    def run(self, home: Path, *arguments: Any) -> None:
        """Run a command in a home, and add what it took."""
        done = counted_palmares(home, *arguments)
        self.cpu_s += done.cpu_s
        self.wall_s += done.wall_s
        self.watched += done.watched
        self.records += records(home).values()

    @property
    def recorded_s(self) -> float:
        """Wall seconds that its cells tell of."""
        return sum(header["cost"]["wall_s"] for header in self.records)

    @property
    def trainings(self) -> Counter[str]:
        """How many stages of each name were trained."""
        return Counter(
            note["name"] for header in self.records for note in header["stages"] if not note["cached"]
        )


def asked(home: Path, overrides: Mapping[str, str]) -> list[Asked]:
    """Every cell that the home's one sweep declares, once."""
    (file,) = home.glob("sweeps/*/sweep.json")
    said = json.loads(file.read_text())
    fields = {axis["name"]: axis["field"] for axis in said["axes"]}
    found: dict[str, Asked] = {}
    for point in said["points"]:
        chosen = {fields[axis]: value for axis, value in point["values"].items()}
        settings = {**overrides, **point["given"], **chosen}
        settings.pop(KEYPOINTS, None)  # in the point's method
        for seed, cell in point["cells"].items():
            found.setdefault(cell, Asked(cell, point["method"], seed, settings))
    return sorted(found.values(), key=lambda cell: int(cell.seed))


def spread(cells: Sequence[Asked], count: int) -> list[Asked]:
    """So many of them, evenly."""
    return [cells[k * len(cells) // count] for k in range(count)]


def settings_options(settings: Mapping[str, str]) -> list[str]:
    """As ``--set`` takes them."""
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def differing(sweep: Side, scratch: Side) -> list[str]:
    """Cells whose metrics are not the same on both sides."""
    there = {header["cell"]: header["metrics"] for header in sweep.records}
    return [h["cell"] for h in scratch.records if there.get(h["cell"]) != h["metrics"]]


def measure(options: argparse.Namespace, root: Path) -> tuple[Side, Side]:
    """The sweep, and what was run from scratch."""
    task = resolve_task(options.task)
    data = make_data(resolve_layout(task, None), root / "data", options.size)
    fixed = ("--task", task.name, "--data", data, "--preset", options.preset, "--workers", 0, "--json")
    overrides = dict(text.split("=", 1) for text in options.set)
    sweep, scratch, home = Side(), Side(), root / "sweep"
    given = ("--seeds", options.seeds, *settings_options(overrides))
    sweep.run(home, "sweep", options.method, options.axis, *given, *fixed)
    every = asked(home, overrides)
    sweep.cells = len(every)
    for cell in spread(every, options.from_scratch or len(every)):
        _say(f"from scratch: {cell.method} seed {cell.seed}, {cell.settings or 'default'}")
        own = ("--seeds", cell.seed, *settings_options(cell.settings))
        scratch.run(root / cell.cell, "run", cell.method, *own, *fixed)
        scratch.cells += 1
    return sweep, scratch


def show(sweep: Side, scratch: Side) -> None:
    """Print both sides and their ratio, that of what was left out scaled up."""
    factor = sweep.cells / scratch.cells
    print(f"{'':<14}{'cells':>7}{'CPU s':>10}{'wall s':>10}{'records, s':>12}  trainings")
    for name, side, times in (("sweep", sweep, 1.0), ("from scratch", scratch, factor)):
        print(
            f"{name:<14}{round(times * side.cells):>7}{times * side.cpu_s:>10.1f}{times * side.wall_s:>10.1f}"
            f"{times * side.recorded_s:>12.1f}  "
            + ", ".join(f"{stage} {times * count:g}" for stage, count in side.trainings.items())
        )
    if factor != 1:
        print(
            f"  from scratch {scratch.cells} of {sweep.cells} cells were run; all its numbers are scaled up"
        )
    print(
        f"  ratio: {factor * scratch.cpu_s / sweep.cpu_s:.2f} of CPU time, "
        f"{factor * scratch.wall_s / sweep.wall_s:.2f} of wall time, "
        f"{factor * scratch.recorded_s / sweep.recorded_s:.2f} of what records tell"
    )
    print(f"  watched processes, a moment's CPU time of each missed: {sweep.watched} and {scratch.watched}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, compare the metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="im2hands")
    parser.add_argument("--axis", default="penetration_weight")
    parser.add_argument("--task", default="two_hands")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--size", type=int, default=256, help="training samples that are made")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--from-scratch", type=int, metavar="N", help="cells  [default: all]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sweep, scratch = measure(options, Path(folder))
    changed = " ".join(("", *options.set))
    print(
        f"{options.method} {options.preset}{changed}: {options.axis}, seeds {options.seeds}, {options.size} samples"
    )
    show(sweep, scratch)
    different = differing(sweep, scratch)
    print(f"  metrics of {len(scratch.records)} records: {', '.join(different) or 'none'} not the same")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

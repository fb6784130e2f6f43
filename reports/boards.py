"""Which records may stand in one table: rows (one setting over its seeds) and boards (rows that may be
compared).

A board holds one task, layout, split, data fingerprint and protocol. Inside a board only rows with the same
flags, what a method was allowed to see beside the image, are ranked against each other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reports.record import PLAIN_VARIANTS, Record
from reports.statistics import (
    Difference,
    Spread,
    Summary,
    paired_difference,
    point_value,
    spread_over_seeds,
    summarise,
)
from tasks.base import Metric, TaskSpec
from tasks.registry import metrics_of


@dataclass(frozen=True, eq=False)
class Row:
    """One method with one setting: its records, one per seed, sorted by seed."""

    records: tuple[Record, ...]
    metrics: Mapping[str, Metric]

    @property
    def header(self) -> dict[str, Any]:
        """The header of the first seed."""
        return self.records[0].header

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells this row is made of."""
        return tuple(record.cell for record in self.records)

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.header["method"])

    @property
    def title(self) -> str:
        """The method's title as its paper writes it."""
        return str(self.header.get("method_title") or self.method)

    @property
    def setting(self) -> str:
        """Preset and variant, where there are any."""
        variant = self.header.get("variant")
        parts = (self.header.get("preset"), None if variant in PLAIN_VARIANTS else variant)
        return " · ".join(str(part) for part in parts if part)

    @property
    def label(self) -> str:
        """Title and setting."""
        return f"{self.title} ({self.setting})" if self.setting else self.title

    @property
    def flags(self) -> tuple[str, ...]:
        """What the method saw at test time beside the image."""
        return tuple(sorted(self.header.get("flags") or ()))

    @property
    def seeds(self) -> list[int]:
        """The training seeds."""
        return [int(record.header["seed"]) for record in self.records]

    @cached_property
    def samples(self) -> tuple[str, ...]:
        """The test samples that its cells were scored on, sorted."""
        return tuple(sorted(set().union(*(record.per_sample.index for record in self.records))))

    @cached_property
    def _summaries(self) -> dict[str, Summary | None]:
        return {}

    def summary(self, name: str) -> Summary | None:
        """A metric of the row, computed from the per-sample files once; None when a seed does not have it."""
        if name not in self._summaries:
            has = name in self.metrics and all(name in record.metrics for record in self.records)
            tables = [record.per_sample for record in self.records] if has else []
            self._summaries[name] = summarise(tables, self.metrics[name]) if has else None
        return self._summaries[name]

    @cached_property
    def _spreads(self) -> dict[str, Spread]:
        return {}

    def spread(self, name: str) -> Spread:
        """The metric over the training seeds, computed once."""
        if name not in self._spreads:
            metric = self.metrics[name]
            values = [point_value([record.per_sample], metric) for record in self.records]
            self._spreads[name] = spread_over_seeds(values)
        return self._spreads[name]

    def why_absent(self, name: str) -> str:
        """Why the row lacks a metric, in the words of its record."""
        reasons = (record.header.get("not_applicable", {}).get(name) for record in self.records)
        return next((str(reason) for reason in reasons if reason), "not recorded")


@dataclass(frozen=True, eq=False)
class Board:
    """The rows that may stand in one table, the best first."""

    task: TaskSpec
    metrics: Mapping[str, Metric]
    rows: tuple[Row, ...]

    @property
    def header(self) -> dict[str, Any]:
        """The header of a record of the board, for what all of them share."""
        return self.rows[0].header

    @property
    def synthetic(self) -> bool:
        """Whether a generator made the data."""
        return bool(self.header["synthetic"])

    @property
    def data_label(self) -> str:
        """What stands on every table: layout, split, and whether the data are synthetic."""
        kind = "synthetic data" if self.synthetic else "real data"
        return f"{self.header['layout']} layout, {self.header['split']} split, {kind}"

    @property
    def key(self) -> str:
        """A name that is the same for the same board, for files and anchors."""
        header = self.header
        fingerprint = str(header["identity"].get("data_fingerprint", ""))[:8]
        protocol = f"{header['protocol']['name']}{header['protocol']['version']}"
        parts = (self.task.name, header["layout"], header["split"], fingerprint, protocol)
        return "-".join(str(part) for part in parts if part)

    @property
    def ranking_metric(self) -> str:
        """The first headline metric that any row has."""
        present = [name for name in self.task.headline if any(row.summary(name) for row in self.rows)]
        return present[0] if present else self.task.headline[0]

    def reference_for(self, row: Row) -> Row | None:
        """The row of the task's reference method with the nearest setting; None for the reference."""
        if row.method == self.task.reference:
            return None
        references = [other for other in self.rows if other.method == self.task.reference]
        preset = row.header.get("preset")
        references.sort(
            key=lambda other: (other.setting != row.setting, other.header.get("preset") != preset)
        )
        return references[0] if references else None

    @cached_property
    def _differences(self) -> dict[tuple[Row, Row, str], Difference | None]:
        return {}

    def difference(self, row: Row, other: Row, name: str) -> Difference | None:
        """``row - other`` on shared samples, computed once; None when one of them lacks the metric."""
        key = (row, other, name)
        if key not in self._differences:
            both = row.summary(name) and other.summary(name)
            a, b = ([record.per_sample for record in each.records] for each in (row, other))
            self._differences[key] = paired_difference(a, b, self.metrics[name]) if both else None
        return self._differences[key]

    @cached_property
    def _best(self) -> dict[tuple[str, tuple[str, ...]], Row | None]:
        return {}

    def best(self, name: str, flags: tuple[str, ...]) -> Row | None:
        """The row with the best value among those with the same flags.

        None unless there are two to compare.
        """
        key = (name, flags)
        if key not in self._best:
            rows = [row for row in self.rows if row.flags == flags and row.summary(name)]
            ranked = sorted(rows, key=lambda row: sort_key(row, self.metrics[name]))
            self._best[key] = ranked[0] if len(ranked) > 1 else None
        return self._best[key]

    def tied_with_best(self, row: Row, name: str) -> bool:
        """Whether the paired interval to the best row holds zero."""
        best = self.best(name, row.flags)
        if best is None or best is row:
            return False
        difference = self.difference(row, best, name)
        return difference is not None and difference.low <= 0 <= difference.high


def make_boards(records: Iterable[Record], tasks: Mapping[str, TaskSpec]) -> list[Board]:
    """Boards sorted by task and data, real data first; records of unknown tasks are left out.

    Metrics are those of the board's protocol, in its own form where it has one.
    """
    settings: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.header["task"] in tasks:
            settings[_setting_key(record.header)].append(record)
    grouped: dict[tuple[str, ...], list[list[Record]]] = defaultdict(list)
    for group in settings.values():
        grouped[_board_key(group[0].header)].append(group)
    boards = []
    for key in sorted(grouped):
        task, metrics = tasks[key[0]], metrics_of(grouped[key][0][0].header["protocol"]["name"])
        rows = [Row(tuple(sorted(group, key=_seed)), metrics) for group in grouped[key]]
        boards.append(Board(task, metrics, tuple(_ranked(rows, task, metrics))))
    return boards


def sort_key(row: Row, metric: Metric) -> tuple[float, str, str]:
    """Best first, rows without the metric last, ties by label and cell."""
    summary = row.summary(metric.name)
    value = float("inf") if summary is None or summary.value != summary.value else summary.value
    signed = -value if metric.direction == "higher" and value != float("inf") else value
    return signed, row.label, row.cells[0]


def _ranked(rows: list[Row], task: TaskSpec, metrics: Mapping[str, Metric]) -> list[Row]:
    """Rows that saw the same stay together, best first; the group with the best row comes first."""
    name = next((name for name in task.headline if any(row.summary(name) for row in rows)), task.headline[0])
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: sort_key(row, metrics[name])):
        groups[row.flags].append(row)
    return [row for group in groups.values() for row in group]


def _setting_key(header: Mapping[str, Any]) -> str:
    """Everything that identifies a cell but its seed, and the names under which it is shown."""
    identity = {key: value for key, value in header["identity"].items() if key != "seed"}
    shown = {
        key: header.get(key) for key in ("task", "layout", "split", "method", "preset", "axis", "variant")
    }
    protocol = [header["protocol"]["name"], header["protocol"]["version"]]
    return json.dumps(
        [identity, shown, protocol, sorted(header.get("flags") or ())], sort_keys=True, default=str
    )


def _board_key(header: Mapping[str, Any]) -> tuple[str, ...]:
    protocol = header["protocol"]
    parts = (header["task"], header["identity"].get("task_version", ""), bool(header["synthetic"]))
    data = (header["layout"], header["split"], header["identity"].get("data_fingerprint", ""))
    return tuple(str(part) for part in (*parts, *data, protocol["name"], protocol["version"]))


def _seed(record: Record) -> tuple[int, str]:
    return int(record.header["seed"]), record.cell

"""Which records may stand in one table: rows (one setting over its seeds) and boards (rows that may be
compared).

A board holds one task, layout, split, data fingerprint and protocol. Inside a board only rows with the same
flags, what a method was allowed to see beside the image, are ranked against each other.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

from reports.bulk import row_differences, row_ranks, row_summaries
from reports.record import PLAIN_VARIANTS, Record
from reports.statistics import (
    Difference,
    Rank,
    Spread,
    Summary,
    holm,
    paired_difference,
    point_value,
    spread_over_seeds,
    summarise,
)
from tasks.base import Metric, TaskSpec
from tasks.registry import metrics_of

NAN = float("nan")
_SUMMARY_OF = itemgetter(*Summary._fields)
SHOWN_ROWS = 100
"""Rows of a board that tables for people show; the CSV files hold all."""


@dataclass(frozen=True, eq=False)
class Row:
    """One method with one setting: its records, one per seed, sorted by seed."""

    records: tuple[Record, ...]
    metrics: Mapping[str, Metric]

    @property
    def header(self) -> dict[str, Any]:
        """The header of the first seed."""
        return self.records[0].header

    @cached_property
    def cells(self) -> tuple[str, ...]:
        """The cells this row is made of."""
        return tuple(record.cell for record in self.records)

    @cached_property
    def method(self) -> str:
        """The method's name."""
        return str(self.header["method"])

    @cached_property
    def title(self) -> str:
        """The method's title as its paper writes it."""
        return str(self.header.get("method_title") or self.method)

    @property
    def variant(self) -> str | None:
        """What is set beside the preset; None for the method as it is."""
        variant = self.header.get("variant")
        return None if variant in PLAIN_VARIANTS else variant

    @cached_property
    def setting(self) -> str:
        """Preset and variant, where there are any, or that the predictions were handed in from outside."""
        parts = ("external" if self.external else None, self.header.get("preset"), self.variant)
        return " · ".join(str(part) for part in parts if part)

    @cached_property
    def label(self) -> str:
        """Title and setting."""
        return f"{self.title} ({self.setting})" if self.setting else self.title

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """What the method saw at test time beside the image."""
        return tuple(sorted(self.header.get("flags") or ()))

    @cached_property
    def keypoints_from(self) -> str:
        """Whose keypoints drove the method: a title, or ``truth``; nothing for a method that is given none."""
        return str(self.header.get("keypoints_from") or "")

    @cached_property
    def seeds(self) -> list[int]:
        """The training seeds."""
        return [int(record.header["seed"]) for record in self.records]

    @cached_property
    def present(self) -> frozenset[str]:
        """The metrics that every seed has."""
        recorded = (record.metrics.keys() for record in self.records)
        return frozenset(self.metrics).intersection(*recorded)

    @cached_property
    def _summaries(self) -> dict[str, Summary]:
        return {}

    def summary(self, name: str) -> Summary | None:
        """A metric of the row over its seeds, worked out once; None when a seed does not have it."""
        if name not in self.present:
            return None
        if name not in self._summaries:
            self._summaries[name] = self._recorded(name) or summarise(
                [record.per_sample for record in self.records], self.metrics[name]
            )
        return self._summaries[name]

    def _recorded(self, name: str) -> Summary | None:
        """What the record of a single seed says, which is what its samples give."""
        if len(self.records) > 1 or not self.records[0].summarised:
            return None
        found = _SUMMARY_OF(self.records[0].metrics[name])
        return Summary._make([NAN if value is None else value for value in found] if None in found else found)

    @cached_property
    def _values(self) -> dict[str, list[float]]:
        return {}

    def seed_values(self, name: str) -> list[float]:
        """The metric of each seed by itself, worked out once."""
        if name not in self._values:
            self._values[name] = [self._seed_value(record, name) for record in self.records]
        return self._values[name]

    def spread(self, name: str) -> Spread:
        """The metric over the training seeds."""
        return spread_over_seeds(self.seed_values(name))

    def _seed_value(self, record: Record, name: str) -> float:
        if record.summarised:
            value = record.metrics[name]["value"]
            return NAN if value is None else float(value)
        return point_value([record.per_sample], self.metrics[name])

    @cached_property
    def external(self) -> bool:
        """Whether its predictions were handed in as a file, by whoever gave it its name."""
        return self.header["kind"] == "external"

    def learn(self, name: str, summary: Summary, seeds: list[float]) -> None:
        """Take over what was worked out for many rows at once."""
        self._summaries[name], self._values[name] = summary, seeds

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

    @cached_property
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

    @cached_property
    def present(self) -> tuple[str, ...]:
        """The metrics that any row has, in the order of their declaration."""
        found = frozenset().union(*(row.present for row in self.rows))
        return tuple(name for name in self.metrics if name in found)

    @cached_property
    def headline(self) -> tuple[str, ...]:
        """The headline metrics that any row has."""
        return tuple(name for name in self.task.headline if name in self.present)

    @cached_property
    def ranking_metric(self) -> str:
        """The first headline metric that any row has."""
        return (*self.headline, *self.task.headline)[0]

    @cached_property
    def _reference_of(self) -> dict[Row, Row]:
        """Every other row's reference: by setting, else by preset, else the first."""
        nearest: dict[str, Row] = {}
        for row in self.rows:
            if row.method == self.task.reference:
                for key in _nearness(row):
                    nearest.setdefault(key, row)
        others = [row for row in self.rows if row.method != self.task.reference] if nearest else []
        return {row: next(nearest[key] for key in _nearness(row) if key in nearest) for row in others}

    def reference_for(self, row: Row) -> Row | None:
        """The row of the task's reference method with the nearest setting; None for the reference."""
        return self._reference_of.get(row)

    @cached_property
    def _differences(self) -> dict[tuple[Row, Row, str], Difference]:
        return {}

    def difference(self, row: Row, other: Row, name: str) -> Difference | None:
        """``row - other`` on shared samples, worked out once; None when one of them lacks the metric."""
        if name not in row.present or name not in other.present:
            return None
        key = (row, other, name)
        if key not in self._differences:
            if other is self.reference_for(row):
                self._pair_with_references()
            else:
                self._pair_all([row], other, (name,))
        return self._differences[key]

    def _pair_with_references(self) -> None:
        """Work out every row's differences to its reference."""
        fellows: dict[Row, list[Row]] = defaultdict(list)
        for row, other in self._reference_of.items():
            fellows[other].append(row)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda other: self._pair_all(fellows[other], other, self.present), fellows))

    def _pair_all(self, rows: Sequence[Row], other: Row, names: Sequence[str]) -> None:
        """Work out the differences of many rows to one, those of rows on other samples one by one."""
        metrics = {name: self.metrics[name] for name in names}
        for number, name, found in row_differences([row.records for row in rows], other.records, metrics):
            self._differences[rows[number], other, name] = found
        for row in rows:
            for name in row.present.intersection(other.present, names):
                if (row, other, name) not in self._differences:
                    a, b = ([record.per_sample for record in each.records] for each in (row, other))
                    self._differences[row, other, name] = paired_difference(a, b, self.metrics[name])

    @cached_property
    def corrected(self) -> dict[tuple[Row, str], float]:
        """Holm-corrected p of every row's difference to its reference: the headline metrics are one family, the
        board's further metrics another.
        """
        pairs = [(row, other) for row in self.rows if (other := self.reference_for(row))]
        found: dict[tuple[Row, str], float] = {}
        for family in (self.headline, tuple(name for name in self.present if name not in self.headline)):
            made = {
                (row, name): difference.p
                for name in family
                for row, other in pairs
                if (difference := self.difference(row, other, name))
            }
            found.update(zip(made, holm(list(made.values())), strict=True))
        return found

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """The headline metrics in which any row differs from its reference."""
        made = {name for _, name in self.corrected}
        return tuple(name for name in self.headline if name in made)

    @cached_property
    def family(self) -> int:
        """How many differences the headline's family has."""
        return sum(name in self.headline for _, name in self.corrected)

    @cached_property
    def ranks(self) -> dict[Row, Rank]:
        """Every row's place in the ranking metric among those that saw the same, on the samples they share."""
        found: dict[Row, Rank] = {}
        for flags in dict.fromkeys(row.flags for row in self.rows):
            found |= rank_rows([row for row in self.rows if row.flags == flags], self.ranking_metric)
        return found

    @cached_property
    def _best(self) -> dict[tuple[str, tuple[str, ...]], Row | None]:
        return {}

    def best(self, name: str, flags: tuple[str, ...]) -> Row | None:
        """The row with the best value among those with the same flags; none that lacks samples which others have.

        None unless there are two to compare.
        """
        key = (name, flags)
        if key not in self._best:
            found = [(row, row.summary(name)) for row in self.rows if row.flags == flags]
            whole = max((summary.n for _, summary in found if summary), default=0)
            rows = {row: summary.value for row, summary in found if summary and summary.n == whole}
            extreme = (max if self.metrics[name].direction == "higher" else min)(rows.values(), default=NAN)
            first = [row for row, value in rows.items() if value == extreme] or list(rows)
            enough = sum(summary is not None for _, summary in found) > 1
            self._best[key] = (
                min(first, key=lambda row: sort_key(row, self.metrics[name])) if enough else None
            )
        return self._best[key]

    def tied_with_best(self, row: Row, name: str) -> bool:
        """Whether the paired interval to the best row holds zero."""
        best = self.best(name, row.flags)
        if best is None or best is row or name not in row.present:
            return False
        if (row, best, name) not in self._differences:
            fellows = [
                each for each in self.rows[:SHOWN_ROWS] if each.flags == row.flags and each is not best
            ]
            self._pair_all(fellows if row in fellows else [row], best, (name,))
        found = self._differences[row, best, name]
        return found.low <= 0 <= found.high


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
        work_out(rows)
        boards.append(Board(task, metrics, tuple(_ranked(rows, task, metrics))))
    return boards


def _nearness(row: Row) -> tuple[str, str, str]:
    """What a row and its reference should have in common, the most first."""
    return f"setting {row.setting}", f"preset {row.header.get('preset')}", "any"


def work_out(rows: Sequence[Row]) -> None:
    """Summaries of the rows whose records do not hold them: those of several seeds, and old or doubted ones."""
    asked = [row for row in rows if len(row.records) > 1 or not row.records[0].summarised]
    if asked:
        found = row_summaries([row.records for row in asked], asked[0].metrics)
        for number, name, summary, seeds in found:
            asked[number].learn(name, summary, seeds)


def rank_rows(rows: Sequence[Row], name: str) -> dict[Row, Rank]:
    """The ranks of rows that saw the same.

    A row that is defined on less than half as many samples as another is not ranked: the shared ones would be too few.
    """
    defined = {row: summary.n for row in rows if (summary := row.summary(name))}
    most = max(defined.values(), default=0)
    ranked = [row for row, n in defined.items() if n and 2 * n >= most]
    if not ranked:
        return {}
    found = row_ranks([row.records for row in ranked], ranked[0].metrics[name])
    return dict(zip(ranked, found, strict=True))


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
    """Everything that identifies a cell but its seed, and the names under which it is shown.

    Another cell that it was given predictions of counts by its own identity, whose seed is another one for each seed.
    """
    identity = {key: value for key, value in header["identity"].items() if key not in ("seed", "inputs")}
    inputs = {
        name: {key: value for key, value in of.items() if key != "seed"}
        for name, of in header.get("inputs", {}).items()
    }
    shown = {
        key: header.get(key) for key in ("task", "layout", "split", "method", "preset", "axis", "variant")
    }
    protocol = [header["protocol"]["name"], header["protocol"]["version"]]
    return json.dumps(
        [identity, inputs, shown, protocol, sorted(header.get("flags") or ())], sort_keys=True, default=str
    )


def _board_key(header: Mapping[str, Any]) -> tuple[str, ...]:
    protocol = header["protocol"]
    parts = (header["task"], header["identity"].get("task_version", ""), bool(header["synthetic"]))
    data = (header["layout"], header["split"], header["identity"].get("data_fingerprint", ""))
    return tuple(str(part) for part in (*parts, *data, protocol["name"], protocol["version"]))


def _seed(record: Record) -> tuple[int, str]:
    return int(record.header["seed"]), record.cell

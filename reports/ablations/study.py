"""A sweep as its records show it: what was asked, joined with the cells that are there. The others are yet to come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reports.ablations.declared import Axis, Declaration, Point, declared
from reports.ablations.verdicts import Comparison, Evidence, Verdict, against_reference, judge
from reports.boards import Row, work_out
from reports.bulk import Cells, row_effect
from reports.record import PLAIN_VARIANTS, Record
from reports.statistics import Effect
from tasks.base import Metric
from tasks.registry import metrics_of

KEYPOINTS = "keypoints"
"""The field of an axis that is no setting: whose predicted joints the method is given."""
TRUTH = "truth"
DEFAULT = "default"
"""What stands for a value that no record tells."""
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Variant:
    """A point of a sweep with the records that it has, one per seed, sorted by seed."""

    point: Point
    records: Cells
    names: frozenset[str | None]
    """What the setting is called as a variant; None: it is the method as it is."""

    @property
    def seeds_asked(self) -> int:
        """How many seeds the sweep wants of it."""
        return len(self.point.cells)

    def having(self, name: str) -> dict[int, Record]:
        """The records that have a metric, by seed."""
        return {int(record.header["seed"]): record for record in self.records if name in record.metrics}

    def setting(self, axis: Axis) -> str:
        """The value of an axis as it is written; what the records' config says where the point sets none."""
        if axis.name in self.point.values:
            return self.point.values[axis.name]
        return _configured(self.records[0].header, axis.field) if self.records else DEFAULT


@dataclass(frozen=True, eq=False)
class Ablation:
    """One table of a sweep: an axis by itself, or all combinations of a grid's axes."""

    declaration: Declaration
    axes: tuple[Axis, ...]
    variants: tuple[Variant, ...]
    """In declared order; a reference that is none of the axis's values comes first."""
    reference: Variant
    metrics: Mapping[str, Metric]
    """What the axes ask for, in the form of the sweep's protocol."""

    @property
    def key(self) -> str:
        """The axis's name, those of a grid joined; for files and anchors."""
        return "-x-".join(axis.name for axis in self.axes)

    @property
    def name(self) -> str:
        """``attention_depth``, or ``attention_depth x supervision``."""
        return " x ".join(axis.name for axis in self.axes)

    def label(self, variant: Variant) -> str:
        """Its values as they are written."""
        return _label(variant, self.axes)

    @cached_property
    def _rows(self) -> dict[tuple[Variant, str], Row]:
        """Variants by the records that have a metric, summarised together."""
        rows: dict[tuple[Variant, str], Row] = {}
        for name, metric in self.metrics.items():
            having = {variant: variant.having(name) for variant in self.variants}
            mine = {v: Row(tuple(found.values()), {name: metric}) for v, found in having.items() if found}
            work_out(list(mine.values()))
            rows |= {(variant, name): row for variant, row in mine.items()}
        return rows

    def row(self, variant: Variant, name: str) -> Row | None:
        """The seeds of a variant that have a metric; None where there are none."""
        return self._rows.get((variant, name))

    def mean(self, variant: Variant, name: str) -> float:
        """The metric of a variant; NaN where it was not measured."""
        row = self.row(variant, name)
        summary = row.summary(name) if row else None
        return summary.value if summary else NAN

    def pair(self, a: Variant, b: Variant, name: str) -> tuple[Cells, Cells]:
        """The records of the seeds of which both have the metric, seed by seed."""
        of_a, of_b = a.having(name), b.having(name)
        seeds = sorted(of_a.keys() & of_b.keys())
        return tuple(of_a[seed] for seed in seeds), tuple(of_b[seed] for seed in seeds)

    @cached_property
    def _effects(self) -> dict[tuple[Variant, Variant, str], Effect | None]:
        return {}

    def effect(self, a: Variant, b: Variant, name: str) -> Effect | None:
        """``a - b`` on shared seeds and samples, worked out once; None where they share none."""
        if (a, b, name) not in self._effects:
            of_a, of_b = self.pair(a, b, name)
            self._effects[a, b, name] = row_effect(of_a, of_b, self.metrics[name]) if of_a else None
        return self._effects[a, b, name]

    @cached_property
    def _against_reference(self) -> dict[str, dict[Variant, Comparison]]:
        every = range(len(self.variants))
        found = {name: against_reference(self._evidence(name, every)) for name in self.metrics}
        return {
            name: {self.variants[number]: comparison for (number, _), comparison in comparisons.items()}
            for name, comparisons in found.items()
        }

    def comparison(self, variant: Variant, name: str) -> Comparison | None:
        """A variant with the reference, corrected for all others of the table; None for the reference itself."""
        return self._against_reference[name].get(variant)

    @cached_property
    def verdicts(self) -> dict[Axis, Verdict]:
        """What became of each axis's expectation; in a grid, where the other axes are as the reference has them."""
        return {axis: self._judged(axis) for axis in self.axes}

    def _judged(self, axis: Axis) -> Verdict:
        numbers = [number for number, variant in enumerate(self.variants) if self._is_on(axis, variant)]
        if not numbers:
            return Verdict("undecided", "what it is compared with is none of the combinations")
        return judge(axis.expect, self._evidence(axis.metric, numbers, [axis]))

    @property
    def seen(self) -> dict[str, Verdict]:
        """Metric -> which combinations are clearly better or worse than the reference, whatever was expected."""
        every = range(len(self.variants))
        return {name: judge("unknown", self._evidence(name, every)) for name in self.metrics}

    def _is_on(self, axis: Axis, variant: Variant) -> bool:
        """Whether a variant is one of the axis's values, with all other axes as the reference has them."""
        others = [other for other in self.axes if other is not axis]
        values, reference = variant.point.values, self.reference.point.values
        return axis.name in values and all(
            other.name in reference and values[other.name] == reference[other.name] for other in others
        )

    def _evidence(self, name: str, numbers: Iterable[int], axes: Sequence[Axis] = ()) -> Evidence:
        """What is known of some of the variants; they are called by the values of ``axes``, all unless given."""
        return Evidence(
            metric=self.metrics[name],
            labels=[_label(variant, axes or self.axes) for variant in self.variants],
            values=list(numbers),
            reference=self.variants.index(self.reference),
            means=[self.mean(variant, name) for variant in self.variants],
            effect=lambda a, b: self.effect(self.variants[a], self.variants[b], name),
        )


@dataclass(frozen=True, eq=False)
class Study:
    """One sweep and its tables."""

    declaration: Declaration
    ablations: tuple[Ablation, ...]

    @property
    def key(self) -> str:
        """For files and anchors."""
        return f"sweep-{self.declaration.id}"


def make_studies(sweeps: Iterable[Mapping[str, Any]], records: Iterable[Record]) -> list[Study]:
    """Every sweep with those of the records that it asked for. Raises RequestError for what is no declaration."""
    by_cell = {record.cell: record for record in records}
    return [make_study(said, by_cell) for said in sweeps]


def make_study(said: Mapping[str, Any], records: Mapping[str, Record]) -> Study:
    """One sweep; ``records`` by their cells, of which those that are missing are yet to come."""
    declaration = declared(said)
    variants = [_joined(point, declaration, records) for point in declaration.points]
    if declaration.as_grid:
        return Study(declaration, (_grid(declaration, variants),))
    return Study(declaration, tuple(_by_itself(declaration, axis, variants) for axis in declaration.axes))


def _joined(point: Point, declaration: Declaration, records: Mapping[str, Record]) -> Variant:
    found = tuple(records[cell] for cell in point.cells.values() if cell in records)
    same = {other.variant for other in declaration.points if other.is_same(point)}
    return Variant(point, found, frozenset(None if name in PLAIN_VARIANTS else name for name in same))


def _by_itself(declaration: Declaration, axis: Axis, variants: list[Variant]) -> Ablation:
    own = [variant for variant in variants if set(variant.point.values) == {axis.name}]
    return _ablation(declaration, (axis,), own, variants[axis.reference])


def _grid(declaration: Declaration, variants: list[Variant]) -> Ablation:
    combinations = [v for v in variants if len(v.point.values) == len(declaration.axes)]
    return _ablation(declaration, declaration.axes, combinations, variants[declaration.axes[0].reference])


def _ablation(
    declaration: Declaration, axes: tuple[Axis, ...], values: list[Variant], reference: Variant
) -> Ablation:
    """A table whose reference is the value that has its cells, or a row of its own before them."""
    twin = next((value for value in values if value.point.is_same(reference.point)), None)
    variants = tuple(values) if twin else (reference, *values)
    known = metrics_of(declaration.said["protocol"]["name"])
    metrics = {axis.metric: known[axis.metric] for axis in axes}
    return Ablation(declaration, axes, variants, twin or reference, metrics)


def _label(variant: Variant, axes: Sequence[Axis]) -> str:
    """The values of axes as they are written, ``4 · weak``."""
    return " · ".join(variant.setting(axis) for axis in axes)


def _configured(header: Mapping[str, Any], field: str) -> str:
    """What a record's cell was set to, as it would be written."""
    if field == KEYPOINTS:
        return str(header["method"]).rpartition("+")[0] or TRUTH
    value: Any = header["identity"].get("config")
    for part in field.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return DEFAULT
        value = value[part]
    return value if isinstance(value, str) else json.dumps(value)

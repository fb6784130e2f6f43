"""The figure of a question: the metric at each value, in declared order, with the sample interval and every seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from reports.ablations.cells import Published, published_values
from reports.ablations.declared import Axis
from reports.ablations.study import Ablation, Variant
from reports.ablations.tables import REFERENCE
from reports.figures import INK, PALETTE, Drawing, draw, wrapped
from reports.leaderboard import ARROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_RATIO = 8
"""Positive numbers that span this factor or more are spaced by their ratios."""
GAP_RATIO = 6
"""Numbers whose largest gap is more than so many smallest ones would hide each other: they are spaced evenly."""
STEP = 0.022
"""Share of the axis by which a ring stands beside its mean; series stand two of them apart, where there is room."""
ROOM = 0.8
"""Share of the axis that series which stand beside each other may take."""
MAX_SERIES = len(PALETTE)
PUBLISHED_COLOUR = PALETTE[6]
EDGE_STEPS = 4
LETTERS = 66
"""That fit beneath the axis in a line, for all of its values together."""
Kind = Literal["log", "linear", "even"]
Series = Mapping[str, Sequence[Variant]]


@dataclass(frozen=True)
class Places:
    """Where settings stand on the horizontal axis: text of a setting -> place."""

    kind: Kind
    at: Mapping[str, float]

    def beside(self, setting: str, steps: float) -> float:
        """The place of a setting, moved to the right by so many steps."""
        low, high = min(self.at.values()), max(self.at.values())
        if self.kind == "log":
            return float(self.at[setting] * (high / low) ** (steps * STEP))
        return self.at[setting] + steps * STEP * (high - low or 1.0)

    def edges(self, series: int) -> tuple[float, float]:
        """The ends of the axis, which leave room for so many series beside each other."""
        ordered = sorted(self.at, key=lambda setting: self.at[setting])
        if self.kind == "even":
            return self.at[ordered[0]] - 0.5, self.at[ordered[-1]] + 0.5
        return self.beside(ordered[0], -EDGE_STEPS - series), self.beside(ordered[-1], EDGE_STEPS + series)


@dataclass(frozen=True)
class Look:
    """How a series is told from the others: name, colour, and how many steps it stands to the right."""

    label: str
    colour: str
    steps: float


def ablation_figures(ablation: Ablation, published: Published = ()) -> list[Drawing]:
    """A figure for each axis of which any value was measured; in a grid, the other axes' values are the colours."""
    key = f"sweep-{ablation.declaration.id}-{ablation.key}"
    measured = [
        axis for axis in ablation.axes if any(ablation.row(v, axis.metric) for v in ablation.variants)
    ]
    return [
        draw(key, axis.name, _caption(ablation, axis), partial(axis_figure, ablation, axis, published))
        for axis in measured
    ]


def axis_figure(ablation: Ablation, axis: Axis, published: Published = ()) -> Figure:
    """The axis's metric at each of its values."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 3.6), layout="constrained")
    axes, places = figure.subplots(), places_of(ablation, axis)
    series = dict(islice(series_of(ablation, axis).items(), MAX_SERIES))
    apart = min(2.0, ROOM / STEP / (len(places.at) * len(series)))
    for number, (label, variants) in enumerate(series.items()):
        look = Look(label, PALETTE[number], apart * (number - (len(series) - 1) / 2))
        _draw_series(axes, ablation, axis, variants, places, look)
    _draw_reference(axes, ablation, axis)
    _draw_published(axes, ablation, axis, places, published)
    _finish(axes, ablation, axis, places)
    axes.set_xlim(*places.edges(len(series)))
    return figure


def series_of(ablation: Ablation, axis: Axis) -> Series:
    """Variants that differ in this axis alone, by what the other axes are set to."""
    others = [other for other in ablation.axes if other is not axis]
    series: dict[str, list[Variant]] = {}
    for variant in ablation.variants:
        label = ", ".join(f"{other.name} {variant.setting(other)}" for other in others)
        series.setdefault(label, []).append(variant)
    return series


def places_of(ablation: Ablation, axis: Axis) -> Places:
    """Numbers that grow in declared order stand on a scale, logarithmic or linear; all else stands evenly."""
    settings = list(dict.fromkeys(variant.setting(axis) for variant in ablation.variants))
    numbers = [_number(text) for text in settings]
    in_order = [_number(text) for text in axis.values]
    known = [number for number in numbers if number is not None]
    kind = _kind(known) if len(known) == len(numbers) and _grows(in_order) else "even"
    at = range(len(settings)) if kind == "even" else numbers
    return Places(kind, {text: float(place or 0) for text, place in zip(settings, at, strict=True)})


def _kind(numbers: Sequence[float]) -> Kind:
    ordered = sorted(set(numbers))
    gaps = [b - a for a, b in pairwise(ordered)]
    if len(ordered) < 3:
        return "even"
    if ordered[0] > 0 and ordered[-1] >= LOG_RATIO * ordered[0]:
        return "log"
    return "linear" if max(gaps) <= GAP_RATIO * min(gaps) else "even"


def _number(text: str) -> float | None:
    """The finite number that a setting is written as; None for words and for true and false."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) else None


def _grows(numbers: Sequence[float | None]) -> bool:
    return all(a is not None and b is not None and a < b for a, b in pairwise(numbers))


def _draw_series(
    axes: Axes, ablation: Ablation, axis: Axis, variants: Sequence[Variant], places: Places, look: Look
) -> None:
    """Means joined where the values are numbers, their intervals, and a ring beside them for each seed."""
    means = []
    for variant in variants:
        row, setting = ablation.row(variant, axis.metric), variant.setting(axis)
        summary = row.summary(axis.metric) if row else None
        if row is None or summary is None:
            continue
        here, beside = (places.beside(setting, look.steps + more) for more in (0, 1))
        means.append((here, summary.value))
        bounds = [summary.low, summary.high]
        axes.plot([here] * 2, bounds, color=look.colour, linewidth=3, solid_capstyle="round")
        if len(row.records) > 1:
            seeds = row.seed_values(axis.metric)
            style: Any = {"color": look.colour, "fillstyle": "none", "markersize": 4}
            axes.plot([beside] * len(seeds), seeds, "o", **style)
    if places.kind != "even":
        axes.plot(*_columns(sorted(means)), color=look.colour, linewidth=1.0, alpha=0.45)
    axes.plot(*_columns(means), "o", color=look.colour, markersize=7, label=look.label)


def _draw_reference(axes: Axes, ablation: Ablation, axis: Axis) -> None:
    value = ablation.mean(ablation.reference, axis.metric)
    if value == value:
        axes.axhline(value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.6, zorder=1)


def _draw_published(axes: Axes, ablation: Ablation, axis: Axis, places: Places, published: Published) -> None:
    """What was published for the values, in another shape and colour. Beside numbers on synthetic data it would be
    taken for a comparison: then it stands in the table alone."""
    if ablation.declaration.said["synthetic"]:
        return
    marks = {
        (places.at[variant.setting(axis)], value)
        for variant in ablation.variants
        for _, value in published_values(ablation, variant, axis.metric, published)
    }
    if marks:
        style: Any = {"color": PUBLISHED_COLOUR, "fillstyle": "none", "markersize": 7, "markeredgewidth": 1.5}
        axes.plot(*_columns(sorted(marks)), "D", label="published, real data", **style)


def _finish(axes: Axes, ablation: Ablation, axis: Axis, places: Places) -> None:
    """Scale, ticks, labels and, where there is more than one kind of mark, the legend."""
    from matplotlib.ticker import NullLocator

    metric = ablation.metrics[axis.metric]
    if places.kind == "log":
        axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    reference = ablation.reference.setting(axis)
    marked = {text: f"\n{REFERENCE}" if text == reference else "" for text in places.at}
    ticks = [wrapped(text, max(8, LETTERS // len(places.at))) + marked[text] for text in places.at]
    axes.set_xticks(list(places.at.values()), ticks)
    axes.set_xlabel(axis.field)
    axes.set_ylabel(" ".join(filter(None, (metric.title, ARROWS[metric.direction], metric.unit))))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", length=0)
    handles, labels = axes.get_legend_handles_labels()
    named = [(handle, label) for handle, label in zip(handles, labels, strict=True) if label]
    if named:
        axes.legend(*zip(*named, strict=True), loc="best")


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _caption(ablation: Ablation, axis: Axis) -> str:
    metric, total = ablation.metrics[axis.metric], len(series_of(ablation, axis))
    rows = [row for variant in ablation.variants if (row := ablation.row(variant, axis.metric))]
    rings = ", and a ring for each training seed" if any(len(row.records) > 1 for row in rows) else ""
    others = " and ".join(other.field for other in ablation.axes if other is not axis)
    by = f"{axis.field}, one colour for each {others}" if others else axis.field
    some = f" The first {MAX_SERIES} of {total} colours." if total > MAX_SERIES else ""
    return f"{metric.title} by {by}, with the 95 % interval over test samples{rings}; dashed: the reference.{some}"

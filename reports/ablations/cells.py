"""The cells of an ablation's table: numbers become text here, and keep where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from reports.ablations.cost import training_cost
from reports.ablations.study import Ablation, Variant
from reports.ablations.verdicts import Comparison
from reports.boards import Row
from reports.leaderboard import bounds, fixed, interval, is_about, signed, signless, value_cell
from reports.statistics import Effect, Spread
from reports.table import Cell, Mark, Number

Published = Sequence[Mapping[str, Any]]


def seeds_cell(variant: Variant) -> Cell:
    """Seeds done of seeds asked."""
    done = {int(record.header["seed"]) for record in variant.records}
    missing = ", ".join(str(seed) for seed in variant.point.cells if seed not in done)
    note = f"seeds {', '.join(map(str, sorted(done))) or 'none'} done"
    return Cell(f"{len(done)}/{variant.seeds_asked}", note=f"{note}; to come: {missing}" if missing else note)


def samples_cell(ablation: Ablation, variant: Variant, name: str) -> Cell:
    """How many test samples have a metric, of how many, where some have not."""
    row = ablation.row(variant, name)
    summary = row.summary(name) if row else None
    if summary is None:
        return _absent(variant, name)
    of_all = f"/{summary.n + summary.nan}" if summary.nan else ""
    return Cell(f"{summary.n}{of_all}", note=f"test samples in {summary.clusters} clusters")


def metric_cell(ablation: Ablation, variant: Variant, name: str) -> Cell:
    """The metric with both error bars, over the seeds that have it."""
    row = ablation.row(variant, name)
    if row is None:
        return _absent(variant, name)
    cell = value_cell(row, name)
    return cell if len(row.records) == len(variant.records) else _over_fewer_seeds(cell, row, variant, name)


def difference_cell(ablation: Ablation, variant: Variant, name: str) -> Cell:
    """The paired difference to the reference, with the interval of both sources; nothing for the reference."""
    comparison, digits = ablation.comparison(variant, name), ablation.metrics[name].digits
    if comparison is None:
        return Cell("")
    effect = comparison.effect
    if effect is None:
        return Cell("n/a", note="no seed of which both have the metric, or no test sample", mark="absent")
    mark: Mark = "better" if comparison.gain > 0 else "worse" if comparison.gain < 0 else ""
    return Cell(
        signed(effect.value, digits),
        interval(effect, digits) or _of_samples(effect, digits),
        f"sd {signless(effect.seed_sd, digits)}, {effect.seeds} seeds" if effect.seeds > 1 else "",
        _difference_note(comparison, effect),
        mark,
        _difference_number(ablation, variant, name, comparison, effect),
    )


def detectable_cell(ablation: Ablation, variant: Variant, name: str) -> Cell:
    """The smallest difference to the reference that could have been shown; nothing where that is unknown."""
    comparison = ablation.comparison(variant, name)
    effect = comparison.effect if comparison else None
    if effect is None or not isfinite(effect.detectable):
        return Cell("")
    return Cell(fixed(effect.detectable, ablation.metrics[name].digits))


def comparison_words(comparison: Comparison | None) -> str:
    """What a comparison with the reference says of a variant; None: it is the reference."""
    if comparison is None:
        return ""
    if comparison.effect is None:
        return "not comparable yet"
    if comparison.gain:
        return "clearly better" if comparison.gain > 0 else "clearly worse"
    if comparison.decidable:
        return "no clear difference"
    return "undecided: one seed" if comparison.effect.seeds == 1 else "undecided: too few clusters"


def cost_cell(variant: Variant) -> Cell:
    """What training one seed takes."""
    if not variant.records:
        return Cell("n/a", note="not measured yet", mark="absent")
    cost = training_cost(variant.records)
    return Cell(cost.text) if cost else Cell("n/a", note="its records do not tell", mark="absent")


def sees_cell(variant: Variant) -> Cell:
    """What the method saw at test time beside the image."""
    flags = {flag for record in variant.records for flag in record.header.get("flags") or ()}
    return Cell(", ".join(sorted(flags)))


def published_cell(ablation: Ablation, variant: Variant, published: Published) -> Cell:
    """What was published for a variant in the metrics of the table; nothing where nothing was."""
    texts = [
        f"{metric.title} {value:g}" + f" ({setting})" * bool(setting)
        for name, metric in ablation.metrics.items()
        for setting, value in published_values(ablation, variant, name, published)
    ]
    return Cell(", ".join(texts))


def published_values(
    ablation: Ablation, variant: Variant, name: str, published: Published
) -> list[tuple[str, float]]:
    """(Setting, value) of what was published for a variant in a metric, on real data of the sweep's layout."""
    row, protocol = ablation.row(variant, name), ablation.declaration.said["protocol"]["name"]
    return [
        (str(entry.get("setting", "")), float(entry["value"]))
        for entry in published
        if row
        and entry["metric"] == name
        and entry.get("protocol", protocol) == protocol
        and is_about(entry, row, variant.names)
    ]


def _absent(variant: Variant, name: str) -> Cell:
    return Cell("n/a", note=_why_absent(variant, name), mark="absent")


def _why_absent(variant: Variant, name: str) -> str:
    """Why a variant lacks a metric, in the words of the records that lack it."""
    lacking = (record.header for record in variant.records if name not in record.metrics)
    told = ((header.get("not_applicable") or {}).get(name, "not recorded") for header in lacking)
    return str(next(told, "not measured yet"))


def _over_fewer_seeds(cell: Cell, row: Row, variant: Variant, name: str) -> Cell:
    """A value that not every seed has, which says so."""
    some = f"{len(row.records)} of {len(variant.records)} seeds"
    note = f"{cell.note}; the others have none: {_why_absent(variant, name)}"
    return replace(cell, spread=", ".join(filter(None, (cell.spread, some))), note=note)


def _of_samples(effect: Effect, digits: int) -> str:
    """The interval over test samples alone, which says that it is that."""
    text = bounds(effect.sample_low, effect.sample_high, digits)
    return f"{text} over samples alone" if text else ""


def _difference_note(comparison: Comparison, effect: Effect) -> str:
    seeds = f"{effect.seeds} shared seed{'s' * (effect.seeds > 1)}"
    on = f"{effect.n} shared samples in {effect.clusters} clusters, {seeds}"
    tested = f"; p {effect.p:.2g}, {comparison.corrected:.2g} after Holm's correction"
    return on + tested * comparison.decidable


def _difference_number(
    ablation: Ablation, variant: Variant, name: str, comparison: Comparison, effect: Effect
) -> Number:
    pair = ablation.pair(variant, ablation.reference, name)
    cells, reference = (tuple(record.cell for record in records) for records in pair)
    spread = Spread(effect.value, effect.seed_sd, effect.seeds)
    return Number(name, cells, effect, reference, spread, comparison.corrected)

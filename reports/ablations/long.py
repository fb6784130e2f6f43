"""The long table of sweeps, for programs: every number of every question a line of a CSV file, unrounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reports.ablations.cells import (
    Published,
    comparison_words,
    difference_cell,
    metric_cell,
    published_values,
)
from reports.ablations.cost import training_cost
from reports.ablations.study import Ablation, Study, Variant
from reports.ablations.tables import REFERENCE
from reports.long import csv_text, escaped, exact
from reports.table import Number

WHERE = ("sweep", "task", "layout", "split", "synthetic", "protocol", "method", "preset", "axis")
WHAT = ("setting", "role", "seeds_asked", "number", "metric", "unit", "direction")
NUMBERS = (
    "value", "low", "high", "n", "clusters", "seeds", "seed_sd", "sample_low", "sample_high", "p", "p_holm", "freedom",
    "detectable",
)  # fmt: skip
HEADING = (*WHERE, *WHAT, *NUMBERS, "verdict", "cells", "reference_cells")
NAN = float("nan")


def ablations_csv(studies: Iterable[Study], published: Published = ()) -> str:
    """Every value, difference, training cost and published number of every variant, and every axis's verdict.

    A verdict is a line without a number. ``low`` and ``high`` of a value are over test samples; those of a difference
    hold training seeds as well, and ``sample_low`` and ``sample_high`` do not.
    """
    ablations = (ablation for study in studies for ablation in study.ablations)
    return csv_text(HEADING, (line for ablation in ablations for line in _lines(ablation, published)))


def _lines(ablation: Ablation, published: Published) -> Iterator[str]:
    for axis, verdict in ablation.verdicts.items():
        what = ("", "", "", "verdict", *_metric(ablation, axis.metric))
        yield _line(ablation, axis.name, what, {}, f"{axis.expect}: {verdict.sentence}")
    for variant in ablation.variants:
        for name in ablation.metrics:
            yield from _metric_lines(ablation, variant, name, published)
        cost = training_cost(variant.records)
        for unit, hours in cost._asdict().items() if cost else ():
            what = (*_who(ablation, variant), "training", "", unit, "lower")
            yield _line(ablation, ablation.name, what, {"value": hours, "seeds": len(variant.records)})


def _metric_lines(ablation: Ablation, variant: Variant, name: str, published: Published) -> Iterator[str]:
    """What stands in the table of one variant and metric."""
    who, metric = _who(ablation, variant), _metric(ablation, name)
    if value := metric_cell(ablation, variant, name).number:
        yield _line(ablation, ablation.name, (*who, "value", *metric), _of_value(value), "", value)
    if difference := difference_cell(ablation, variant, name).number:
        what, words = (*who, "difference", *metric), comparison_words(ablation.comparison(variant, name))
        yield _line(ablation, ablation.name, what, _of_difference(difference), words, difference)
    for setting, number in published_values(ablation, variant, name, published):
        what = (*who, "published, real data", *metric)
        yield _line(ablation, ablation.name, what, {"value": number}, setting)


def _line(
    ablation: Ablation,
    axis: str,
    what: tuple[str, ...],
    numbers: Mapping[str, float],
    words: str = "",
    number: Number | None = None,
) -> str:
    said = ablation.declaration.said
    data = (said["task"], said["layout"], said["split"], str(bool(said["synthetic"])).lower())
    where = (
        ablation.declaration.id,
        *data,
        ablation.declaration.protocol_label,
        said["method"],
        said["preset"],
    )
    cells = (" ".join(number.cells), " ".join(number.reference)) if number else ("", "")
    exactly = exact(*(numbers.get(name, NAN) for name in NUMBERS))
    return f"{escaped(*where, axis, *what)},{exactly},{escaped(words, *cells)}"


def _who(ablation: Ablation, variant: Variant) -> tuple[str, ...]:
    role = REFERENCE if variant is ablation.reference else ""
    return ablation.label(variant), role, str(variant.seeds_asked)


def _metric(ablation: Ablation, name: str) -> tuple[str, ...]:
    metric = ablation.metrics[name]
    return metric.name, metric.unit, metric.direction


def _of_value(number: Number) -> dict[str, float]:
    summary, spread = number.result._asdict(), number.spread
    return {**summary, "seeds": len(number.cells), "seed_sd": spread.sd if spread else NAN}


def _of_difference(number: Number) -> dict[str, float]:
    return {**number.result._asdict(), "p_holm": NAN if number.corrected is None else number.corrected}

"""The tables of a sweep: what became of each question, and each question's values against their reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reports.ablations.cells import (
    Published,
    comparison_words,
    cost_cell,
    detectable_cell,
    difference_cell,
    metric_cell,
    published_cell,
    samples_cell,
    seeds_cell,
    sees_cell,
)
from reports.ablations.declared import Axis
from reports.ablations.study import Ablation, Study, Variant
from reports.leaderboard import SYNTHETIC, metric_column, protocol_text
from reports.statistics import CONFIDENCE, POWER
from reports.table import Cell, Column, Mark, Table
from tasks.base import Metric

REFERENCE = "reference"
HOW_TO_READ = (
    f"Values are means over test samples and seeds, with the {CONFIDENCE:.0%} interval over test samples in brackets; "
    "the sd is over training seeds. Differences are paired, over the samples and the seeds that a value shares with "
    f"the reference; their {CONFIDENCE:.0%} interval holds both sources, test samples and seeds, and their sd is that "
    "of the seeds' differences. A difference is clear where it holds after Holm's correction for the other comparisons "
    "of its question. With one seed nothing is clear; with two, intervals are a little too narrow. 'Could show' is the "
    f"smallest true difference that one comparison of so many seeds and samples finds {POWER:.0%} of the time. "
    "Training is what one seed takes, re-used stages included."
)
MARKS: dict[str, Mark] = {"confirmed": "better", "contradicted": "worse"}
COST_NOTE = (
    "processor hours of one seed, the mean over seeds: hours x workers x what each holds, of all stages"
)
DETECTABLE_NOTE = "the smallest true difference that so many seeds and samples show four times in five"


def study_tables(study: Study, published: Published = ()) -> Iterator[Table]:
    """The tables of a sweep: what became of its questions, then a table for each."""
    yield verdict_table(study)
    yield from (ablation_table(ablation, published) for ablation in study.ablations)


def verdict_table(study: Study) -> Table:
    """A row for each question: what was expected and on whose word, and what became of it."""
    columns = (
        Column("axis", "Axis"),
        Column("question", "Question", wide=True),
        Column("metric", "Metric"),
        Column("expect", "Expected"),
        Column("source", "Source", wide=True),
        Column("verdict", "Verdict", wide=True),
    )
    rows = tuple(_verdict_row(ablation, axis) for ablation in study.ablations for axis in ablation.axes)
    said = study.declaration.said
    title = f"Ablations of {study.declaration.title} ({said['task']}, {study.declaration.data_label})"
    notes = (*(SYNTHETIC,) * bool(said["synthetic"]), protocol_text(said["protocol"]), HOW_TO_READ)
    return Table("verdicts", title, columns, rows, notes)


def ablation_table(ablation: Ablation, published: Published = ()) -> Table:
    """Every value of an axis, or every combination of a grid, with its difference to the reference."""
    sees = {variant: sees_cell(variant) for variant in ablation.variants}
    quoted = {variant: published_cell(ablation, variant, published) for variant in ablation.variants}
    differ = len({sees[variant].text for variant in ablation.variants if variant.records}) > 1
    told = any(cell.text for cell in quoted.values())
    columns = [Column(axis.name, axis.field) for axis in ablation.axes]
    columns += [Column("setting", "Role"), *[Column("sees", "Also sees")] * differ]
    columns += [Column("seeds", "Seeds", numeric=True), Column("n", "n", numeric=True)]
    columns += [
        column for metric in ablation.metrics.values() for column in _metric_columns(ablation, metric)
    ]
    columns += [Column("published", "Published, real data", wide=True)] * told
    columns += [Column("cost", "Training", numeric=True, note=COST_NOTE)]
    rows = []
    for variant in ablation.variants:
        cells = [Cell(variant.setting(axis)) for axis in ablation.axes]
        cells += [Cell(REFERENCE * (variant is ablation.reference)), *[sees[variant]] * differ]
        cells += [seeds_cell(variant), samples_cell(ablation, variant, next(iter(ablation.metrics)))]
        cells += [cell for name in ablation.metrics for cell in _metric_cells(ablation, variant, name)]
        rows.append((*cells, *[quoted[variant]] * told, cost_cell(variant)))
    declaration = ablation.declaration
    title = (
        f"{declaration.said['method']}, {ablation.name}: {declaration.said['task']}, {declaration.data_label}"
    )
    return Table(ablation.key, title, tuple(columns), tuple(rows), tuple(_notes(ablation)))


def answer_notes(ablation: Ablation) -> list[str]:
    """A paragraph for each axis: question, expectation, and what became of it."""
    return [
        f"{axis.question} Expected of {axis.name}: {axis.expect} ({axis.source}). {_capital(verdict.sentence)}."
        for axis, verdict in ablation.verdicts.items()
    ]


def _verdict_row(ablation: Ablation, axis: Axis) -> tuple[Cell, ...]:
    verdict, heading = ablation.verdicts[axis], metric_column(ablation.metrics[axis.metric]).heading
    told = (axis.name, axis.question, heading, axis.expect, axis.source)
    return (*map(Cell, told), Cell(verdict.sentence, mark=MARKS.get(verdict.outcome, "")))


def _metric_columns(ablation: Ablation, metric: Metric) -> list[Column]:
    """Value, difference, what could be shown, and what follows; named apart where a grid has several metrics."""
    heading, name = metric_column(metric), metric.name
    minus, show, words = f"minus {ablation.label(ablation.reference)}", "could show", "verdict"
    if len(ablation.metrics) > 1:
        minus, show, words = (f"{metric.title}: {title}" for title in (minus, show, words))
    return [
        heading,
        replace(heading, key=f"{name}-difference", title=minus, note="paired difference to the reference"),
        Column(f"{name}-detectable", _capital(show), metric.unit, numeric=True, note=DETECTABLE_NOTE),
        Column(f"{name}-verdict", _capital(words)),
    ]


def _metric_cells(ablation: Ablation, variant: Variant, name: str) -> list[Cell]:
    return [
        metric_cell(ablation, variant, name),
        difference_cell(ablation, variant, name),
        detectable_cell(ablation, variant, name),
        Cell(comparison_words(ablation.comparison(variant, name))),
    ]


def _notes(ablation: Ablation) -> Iterator[str]:
    yield from answer_notes(ablation)
    if len(ablation.axes) > 1:
        yield "Each axis is judged where the others are as the reference has them."
        yield from (f"{ablation.metrics[name].title}: {seen.reason}." for name, seen in ablation.seen.items())
    if ablation.declaration.said["synthetic"]:
        yield SYNTHETIC


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]

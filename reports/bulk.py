"""Many rows at once: their summaries, differences and ranks from the records' bare columns, in blocks.

A row is a tuple of records, one per seed. What comes out has the same bits as one row by itself would give; only
records of the same samples can share a block.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from reports.record import Record, bare_columns
from reports.statistics import (
    Block,
    Difference,
    Effect,
    Rank,
    Samples,
    Summary,
    block_of,
    effects,
    ranks,
    seed_values,
    summaries,
)
from reports.statistics import differences as differences_of
from tasks.base import Metric

Cells = tuple[Record, ...]
Columns = Mapping[str, np.ndarray]
Seeds = list[Columns]
Outcome = TypeVar("Outcome")
_KNOWN: dict[str, Samples] = {}
"""Samples by their key, which is a digest of them."""
BLOCK_ELEMENTS = 1 << 18
"""Values of one column in a block: small enough for a processor's cache."""


def row_summaries(
    rows: Sequence[Cells], metrics: Mapping[str, Metric]
) -> Iterator[tuple[int, str, Summary, list[float]]]:
    """Row number, metric, summary and the value of each seed; nothing of a row whose seeds saw other samples."""
    for numbers, samples in _alike(rows):

        def work(part: list[int], samples: Samples = samples) -> list[tuple[int, str, Summary, list[float]]]:
            columns = [_seeds(rows[number]) for number in part]
            found = []
            for metric, having, block in _blocks(rows, part, columns, samples, metrics):
                seeds = seed_values(block).tolist()
                for number, summary, values in zip(having, summaries(block), seeds, strict=True):
                    found.append((number, metric, summary, values))
            return found

        yield from _in_parts(rows, numbers, len(samples.names), work)


def row_differences(
    rows: Sequence[Cells], other: Cells, metrics: Mapping[str, Metric]
) -> Iterator[tuple[int, str, Difference]]:
    """Row number, metric and ``row - other``, where both have the metric; nothing of rows on other samples."""
    keys = {record.samples_key for record in other}
    theirs = _seeds(other)
    shared = {name: metric for name, metric in metrics.items() if _have(other, name)}
    for numbers, samples in _alike(rows):
        if {rows[numbers[0]][0].samples_key} != keys:
            continue
        against = {name: block_of([theirs], samples, metric) for name, metric in shared.items()}

        def work(
            part: list[int], samples: Samples = samples, against: dict[str, Block] = against
        ) -> list[tuple[int, str, Difference]]:
            columns = [_seeds(rows[number]) for number in part]
            return [
                (number, name, difference)
                for name, having, block in _blocks(rows, part, columns, samples, shared)
                for number, difference in zip(having, differences_of(block, against[name]), strict=True)
            ]

        yield from _in_parts(rows, numbers, len(samples.names), work)


def row_ranks(rows: Sequence[Cells], metric: Metric) -> list[Rank]:
    """The rank of each row in a metric that all of them have, on the samples that all of them share."""
    samples, columns = _on_shared_samples(rows, metric)
    by_seeds: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        by_seeds[len(row)].append(number)
    blocks = [
        block_of([columns[number] for number in numbers], samples, metric) for numbers in by_seeds.values()
    ]
    order = [number for numbers in by_seeds.values() for number in numbers]
    found = dict(zip(order, ranks(blocks), strict=True))
    return [found[number] for number in range(len(rows))]


def row_effect(row: Cells, other: Cells, metric: Metric) -> Effect | None:
    """``row - other`` in a metric that both have, seeds paired in their order; None where they share no sample."""
    samples, columns = _on_shared_samples([row, other], metric)
    if not samples.names:
        return None
    return effects(*(block_of([seeds], samples, metric) for seeds in columns))[0]


def _on_shared_samples(rows: Sequence[Cells], metric: Metric) -> tuple[Samples, list[Seeds]]:
    """The samples that every record of some rows has, and what the metric needs of them, for each row's seeds."""
    if len({record.samples_key for row in rows for record in row}) == 1:
        return _samples(rows[0][0]), [[record.columns(metric.needs) for record in row] for row in rows]
    tables = [[record.sorted_table for record in row] for row in rows]
    names = sorted(set.intersection(*(set(table.index) for row in tables for table in row)))
    samples = Samples.of(names, list(tables[0][0].loc[names, "cluster"]))
    return samples, [[bare_columns(table.loc[names]) for table in row] for row in tables]


def _alike(rows: Sequence[Cells]) -> Iterator[tuple[list[int], Samples]]:
    """Numbers of the rows that were scored on the same samples, with these."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        keys = {record.samples_key for record in row}
        if len(keys) == 1:
            groups[keys.pop()].append(number)
    for numbers in groups.values():
        yield numbers, _samples(rows[numbers[0]][0])


def _in_parts(
    rows: Sequence[Cells], numbers: list[int], n_samples: int, work: Callable[[list[int]], list[Outcome]]
) -> Iterator[Outcome]:
    """Work on as many rows of as many seeds as a block takes, on every core."""
    by_seeds: dict[int, list[int]] = defaultdict(list)
    for number in numbers:
        by_seeds[len(rows[number])].append(number)
    parts = []
    for seeds, some in by_seeds.items():
        size = max(1, BLOCK_ELEMENTS // (seeds * max(1, n_samples)))
        parts += [some[first : first + size] for first in range(0, len(some), size)]
    if len(parts) < 2:
        for part in parts:
            yield from work(part)
        return
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        for outcomes in pool.map(work, parts):
            yield from outcomes


def _blocks(
    rows: Sequence[Cells],
    part: list[int],
    columns: Sequence[Seeds],
    samples: Samples,
    metrics: Mapping[str, Metric],
) -> Iterator[tuple[str, list[int], Block]]:
    """A block for each metric, of the rows that have it, and their numbers."""
    for name, metric in metrics.items():
        having = [place for place, number in enumerate(part) if _have(rows[number], name)]
        if having:
            block = block_of([columns[place] for place in having], samples, metric)
            yield name, [part[place] for place in having], block


def _have(row: Cells, name: str) -> bool:
    return all(name in record.metrics for record in row)


def _seeds(row: Cells) -> Seeds:
    return [record.columns() for record in row]


def _samples(record: Record) -> Samples:
    key = record.samples_key
    if key not in _KNOWN:
        table = record.sorted_table
        _KNOWN[key] = Samples.of(list(table.index), list(table["cluster"]))
    return _KNOWN[key]

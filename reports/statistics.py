"""Aggregation, once and here: means over test samples with intervals, paired differences, ranks, spread over seeds.

Two error bars exist and are never mixed: the interval over test samples and the standard deviation over training
seeds. Every mean is frame-weighted, as the official scripts are: a cluster counts by the number of its samples. A
sample whose value is not finite is a hole: it is left out of the mean and counted. A sample that a metric's ``where``
column does not name is neither.

Everything works on many rows at once. A block of rows is an array of values (R, T, K, n): R rows of T seeds each, the
K columns of a metric, n samples sorted by name, in clusters numbered by their first sample. One row is a block of one,
and gets the same bits: values are rounded to a grid on which every sum of a resample is exact, so that no order of
adding, no batch and no BLAS changes a digit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from reports.record import bare_columns
from tasks.base import Metric

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
POWER = 0.8
"""How often the smallest difference that a comparison is said to show would be found."""
RESAMPLES = 2000
FEW_CLUSTERS = 10
"""With fewer clusters than this, percentiles of a bootstrap are too narrow: a t interval is used."""
SEED = 20_230_618
MANTISSA_BITS = 52
CHUNK_ELEMENTS = 1 << 21
CACHED_ELEMENTS = 1 << 24
_PLAIN = Metric("value", "", "lower", "", "", "")


class Summary(NamedTuple):
    """One number of a table. ``low`` and ``high`` bound the mean over test samples at 95 %.

    ``n`` samples are defined for every seed, ``nan`` are holes. ``median`` and ``p95`` are of the samples' values
    (the mean of what a sample has, where a metric has several columns), the mean over the seeds; NaN for a metric
    with levels, which no sample has by itself.
    """

    value: float
    low: float
    high: float
    n: int
    nan: int
    clusters: int
    median: float
    p95: float

    @property
    def coverage(self) -> float:
        """Share of the test samples for which the metric is defined."""
        return self.n / max(1, self.n + self.nan)


class Difference(NamedTuple):
    """``a - b`` on the ``n`` samples that both rows have, with its interval over test samples.

    ``p`` is two-sided and belongs to the interval: it is below 0.05 where the interval leaves out zero.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    p: float = float("nan")


class Effect(NamedTuple):
    """``a - b`` of two settings with the same seeds, uncertain through both sources: test samples and training seeds.

    ``low``, ``high`` and the two-sided ``p`` hold both, with ``freedom`` degrees; ``detectable`` is the smallest true
    difference that so many seeds and samples show at 5 %, two-sided, four times in five. All of them are NaN where a
    source is unknown: with one seed, or fewer than two clusters. ``sample_low`` and ``sample_high`` bound the
    difference over test samples alone, as those of a ``Difference`` do; ``seed_sd`` (ddof=1) is that of the seeds'
    differences.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    p: float
    seeds: int
    sample_low: float
    sample_high: float
    seed_sd: float
    freedom: float
    detectable: float


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (ddof=1; NaN for one seed) of a metric over ``n`` training seeds."""

    mean: float
    sd: float
    n: int


class Rank(NamedTuple):
    """A row's place by its value, and the places it may have; over ``n`` samples that all ranked rows share."""

    value: int
    low: int
    high: int
    n: int


@dataclass(frozen=True)
class Samples:
    """The samples of a block: sorted names, and the number of each one's cluster, by the cluster's first sample."""

    names: tuple[str, ...]
    codes: np.ndarray
    n_clusters: int

    @classmethod
    def of(cls, names: Sequence[str], clusters: Sequence[str]) -> Samples:
        """Samples that are sorted already, with their clusters' names."""
        import pandas as pd

        codes, found = pd.factorize(np.asarray(clusters, dtype=object))
        return cls(tuple(names), codes, len(found))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(..., n) -> (..., C) sums over clusters."""
        if self.n_clusters == len(self.codes):
            return values
        flat = values.reshape(-1, len(self.codes))
        return (flat @ _membership(self.codes.tobytes(), self.n_clusters)).reshape(*values.shape[:-1], -1)


class Block(NamedTuple):
    """A metric of R rows on the same samples: values (R, T, K, n), holes NaN; ``counted`` (R, n) samples count."""

    values: np.ndarray
    counted: np.ndarray
    samples: Samples
    metric: Metric


def summarise(per_sample: Sequence[pd.DataFrame], metric: Metric) -> Summary:
    """The metric of a row: the mean over its training seeds of the metric of each seed's table.

    Tables have a ``cluster`` column and the metric's columns, and the sample id as index. With several seeds the
    interval still speaks of test samples alone: every resample holds the same frames for all seeds.
    """
    return summaries(_block(per_sample, metric))[0]


def summarise_all(per_sample: pd.DataFrame, metrics: Mapping[str, Metric]) -> dict[str, Summary]:
    """``summarise`` of one table for many metrics; those that are plain means of a column share a block."""
    table = per_sample.sort_index()
    samples, columns = Samples.of(list(table.index), list(table["cluster"])), bare_columns(table)
    plain = [
        name for name, metric in metrics.items() if metric == replace(metric, columns=(), levels=(), where="")
    ]
    found: dict[str, Summary] = {}
    if plain:
        values = [[{"value": columns[name]}] for name in plain]
        found = dict(zip(plain, summaries(block_of(values, samples, _PLAIN)), strict=True))
    for name in set(metrics).difference(plain):
        found[name] = summaries(block_of([[columns]], samples, metrics[name]))[0]
    return {name: found[name] for name in metrics}


def point_value(per_sample: Sequence[pd.DataFrame], metric: Metric) -> float:
    """The value of ``summarise`` alone, without its interval."""
    return float(seed_values(_block(per_sample, metric))[0].mean())


def paired_difference(a: Sequence[pd.DataFrame], b: Sequence[pd.DataFrame], metric: Metric) -> Difference:
    """``a - b`` of two rows (one table per seed) over the samples that are defined in every table of both.

    With ``per_column`` this holds for each column by itself. The interval and p are Student's t on the cluster
    jackknife, whatever the number of clusters: a percentile of 2,000 resamples cannot tell p below 1/2000, which
    Holm's correction over a table asks for; differences on the same samples are close enough to symmetric for t to
    cover as often as it says (simulated in the tests); and interval and p are then two readings of one quantity. For
    equal clusters and a plain mean it is the paired t test of the cluster means. A sign-flip test of 4 clusters, as
    HO-3D has, could never say less than p = 1/8.
    """
    shared = sorted(set.intersection(*(set(table.index) for table in (*a, *b))))
    if not shared:
        return Difference(np.nan, np.nan, np.nan, 0, 0)
    of_a, of_b = ([table.loc[shared] for table in tables] for tables in (a, b))
    return differences(_block(of_a, metric), _block(of_b, metric))[0]


def verdict(
    difference: Difference,
    direction: Literal["lower", "higher"],
    a: str,
    b: str,
    corrected_p: float | None = None,
) -> str:
    """A sentence: which of the two is better, or that the interval holds zero.

    With ``corrected_p`` a difference must also hold after the correction for the other comparisons of its family.
    """
    if not (isfinite(difference.low) and isfinite(difference.high)):
        return "not decidable: too few clusters"
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    if corrected_p is not None and not corrected_p < ALPHA:
        return "no clear difference among so many comparisons"
    return f"{a if (difference.value < 0) == (direction == 'lower') else b} is better"


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the family-wise p of each test, in the order given.

    A NaN, a test that could not be made, stays one and does not count.
    """
    p = np.asarray(p_values, dtype=np.float64)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]


def spread_over_seeds(values: Sequence[float]) -> Spread:
    """Mean and sd (ddof=1) of one metric over training seeds."""
    array = np.asarray(values, dtype=np.float64)
    sd = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
    return Spread(float(array.mean()) if len(array) else float("nan"), sd, len(array))


def block_of(rows: Sequence[Sequence[Mapping[str, np.ndarray]]], samples: Samples, metric: Metric) -> Block:
    """The block of rows that are given as columns (name -> (n,)) of each of their seeds."""
    values = np.array([[[seed[name] for name in metric.sample_columns] for seed in row] for row in rows])
    values[~np.isfinite(values)] = np.nan
    if not metric.per_column and values.shape[2] > 1:
        values[np.isnan(values).any(axis=2, keepdims=True).repeat(values.shape[2], axis=2)] = np.nan
    counted = np.ones((len(values), values.shape[-1]), dtype=bool)
    if metric.where:
        here = np.array([[seed[metric.where] for seed in row] for row in rows]) == 1
        values[~here[:, :, None].repeat(values.shape[2], axis=2)] = np.nan
        counted = here.any(axis=1)
    return Block(values, counted, samples, metric)


def summaries(block: Block) -> list[Summary]:
    """The summary of each row of a block."""
    defined = ~np.isnan(block.values)
    has = defined.any(axis=2)
    n = has.all(axis=1).sum(axis=-1)
    clusters = (block.samples.sums(defined.any(axis=(1, 2)).astype(float)) > 0).sum(axis=-1)
    value = seed_values(block).mean(axis=1)
    bounds, middles = _intervals(block, value), _middles(block)
    columns = (value, *bounds, n, block.counted.sum(axis=-1) - n, clusters, *middles)
    return [Summary(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def seed_values(block: Block) -> np.ndarray:
    """(R, T): the metric of each seed by itself."""
    defined = ~np.isnan(block.values)
    means = _divide(np.where(defined, block.values, 0.0).sum(axis=-1), defined.sum(axis=-1))
    if block.metric.levels:
        means = np.abs(means - np.asarray(block.metric.levels))
    return means.mean(axis=-1)


def differences(a: Block, b: Block) -> list[Difference]:
    """Each row of ``a`` minus the row of ``b``, or minus its only one, on the samples that both have."""
    shared = _shared(a, b)
    value = _shared_values(a, shared).mean(axis=1) - _shared_values(b, shared).mean(axis=1)
    error, n, clusters = _sample_errors(a, b, shared)
    low, high, p = _t_test(value, error, clusters - 1)
    columns = (value, low, high, n, clusters, p)
    return [Difference(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def effects(a: Block, b: Block) -> list[Effect]:
    """Each row of ``a`` minus the row of ``b``, or minus its only one; seeds are paired in their order.

    The squared error of a difference is that over test samples (the cluster jackknife of the seeds' mean) plus that
    over trainings (the variance of the seeds' paired differences, over their number), with the degrees of freedom of
    Satterthwaite (1946). What a sample does with one seed alone counts in both parts, which widens intervals a little;
    a sd of two seeds that is small by chance narrows them: simulated in the tests, 95 % intervals cover 91 to 99 % of
    the time from three seeds on, and with two as little as 85 %.
    """
    shared = _shared(a, b)
    of_a, of_b = _shared_values(a, shared), _shared_values(b, shared)
    value, n_seeds = of_a.mean(axis=1) - of_b.mean(axis=1), of_a.shape[1]
    sd = (of_a - of_b).std(axis=1, ddof=1) if n_seeds > 1 else np.full(len(value), np.nan)
    sample_error, n, clusters = _sample_errors(a, b, shared)
    seeds = np.full(len(value), n_seeds)
    error, freedom = _combined(
        np.stack([sample_error, sd / np.sqrt(n_seeds)]), np.stack([clusters - 1, seeds - 1])
    )
    low, high, p = _t_test(value, error, freedom)
    sample_low, sample_high, _ = _t_test(value, sample_error, clusters - 1)
    tested, apart = (low, high, n, clusters, p), (seeds, sample_low, sample_high, sd)
    columns = (value, *tested, *apart, freedom, _detectable(error, freedom))
    return [Effect(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _shared(a: Block, b: Block) -> np.ndarray:
    """(R or 1, K or 1, n): defined for every seed of both."""
    shared = _common(a) & _common(b)
    return shared[:1] if (shared == shared[:1]).all() else shared


def _shared_values(block: Block, shared: np.ndarray) -> np.ndarray:
    """(R, T) the exact value of each seed on shared samples alone."""
    return seed_values(block._replace(values=np.where(shared[:, None], block.values, np.nan)))


def _sample_errors(a: Block, b: Block, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(R,) each: the error over test samples, NaN for fewer than two clusters, and how many samples and clusters."""
    n_rows = len(a.values)
    parts_a, parts_b = _parts(a, shared), _parts(b, shared)
    error = np.full(n_rows, np.nan)
    for rows, kept in parts_a.groups():
        if kept.sum() > 1:
            of_a, of_b = (part.take(rows).left_out(kept) for part in (parts_a, parts_b))
            error[rows] = _jackknife_error(of_a - of_b)
    n = np.broadcast_to(shared.any(axis=1).sum(axis=-1), n_rows)
    clusters = np.broadcast_to(parts_a.counts().any(axis=1).sum(axis=-1), n_rows)
    return error, n, clusters


def _combined(errors: np.ndarray, freedoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R,) each: the error of the sum of independent parts (P, R), and Satterthwaite's degrees of freedom."""
    variances = np.square(errors)
    whole = variances.sum(axis=0)
    freedom = _divide(np.square(whole), _divide(np.square(variances), freedoms).sum(axis=0))
    return np.sqrt(whole), np.where(whole == 0, freedoms.sum(axis=0), freedom)


def _detectable(error: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """The smallest true difference that a test at 5 % finds with 80 % power."""
    from scipy.special import stdtrit

    return (stdtrit(freedom, 1 - ALPHA / 2) + stdtrit(freedom, POWER)) * error


def ranks(blocks: Sequence[Block]) -> list[Rank]:
    """The place of every row of some blocks on the same samples, 1 the best, on the samples that all of them share.

    The interval holds the places of 95 % of the seeded cluster resamples, every row resampled alike (the least place
    among equals, and the greatest). Below 10 clusters, where resamples are too few: one more than the rows that are
    clearly better by the paired t interval, up to those that are not clearly worse. Rank 0 where nothing is shared.
    """
    shared = np.logical_and.reduce([_common(block).all(axis=0) for block in blocks])
    n_rows, n = sum(len(block.values) for block in blocks), int(shared.any(axis=0).sum())
    if not n:
        return [Rank(0, 1, n_rows, 0)] * n_rows
    sign = -1.0 if blocks[0].metric.direction == "higher" else 1.0
    parts = [_parts(block, shared[None]) for block in blocks]
    kept = parts[0].counts()[0].any(axis=0)
    place = _places(sign * np.concatenate([part.whole() for part in parts])[:, None])[0][0]
    find = _resampled_places if kept.sum() >= FEW_CLUSTERS else _tested_places
    low, high = find(parts, kept, sign)
    return [Rank(*row, n) for row in zip(place.tolist(), low.tolist(), high.tolist(), strict=True)]


class _Parts(NamedTuple):
    """What resampling needs of R rows: ``values`` (R, P, n) on a grid, zero outside ``mask`` (R or 1, P or 1, n).

    The statistic of a row is the mean over P of its parts' means, each divided by how many values were ``added`` into
    one, or of their gaps to the ``levels`` (P,).
    """

    values: np.ndarray
    mask: np.ndarray
    added: int
    levels: np.ndarray | None
    samples: Samples

    def take(self, rows: np.ndarray) -> _Parts:
        """Some of the rows."""
        if len(self.values) in (1, len(rows)):
            return self
        mask = self.mask[rows] if len(self.mask) > 1 else self.mask
        return self._replace(values=self.values[rows], mask=mask)

    def counts(self) -> np.ndarray:
        """(R or 1, P or 1, C) how many samples of each cluster are defined."""
        return self.samples.sums(self.mask.astype(np.float64))

    def groups(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows (their numbers) that are defined in the same clusters, and which (C,) those are."""
        kept: np.ndarray = np.any(self.counts(), axis=1)
        rows_of: dict[bytes, list[int]] = {}
        for number in range(len(self.values)):
            pattern = kept[number] if len(kept) > 1 else kept[0]
            rows_of.setdefault(pattern.tobytes(), []).append(number)
        for pattern_bytes, rows in rows_of.items():
            yield np.array(rows), np.frombuffer(pattern_bytes, dtype=bool)

    def whole(self) -> np.ndarray:
        """(R,) the statistic of the samples as they are."""
        counts = self.mask.sum(axis=-1, keepdims=True)
        return self._statistic(self.values.sum(axis=-1, keepdims=True), counts)[:, 0]

    def _of_clusters(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums and counts of the clusters that are kept."""
        sums, counts = self.samples.sums(self.values), self.counts()
        return (sums, counts) if kept.all() else (sums[..., kept], counts[..., kept])

    def left_out(self, kept: np.ndarray) -> np.ndarray:
        """(R, C) the statistic without each of the clusters in turn."""
        sums, counts = self._of_clusters(kept)
        rest = sums.sum(axis=-1, keepdims=True) - sums
        return self._statistic(rest, counts.sum(axis=-1, keepdims=True) - counts)

    def resampled(self, kept: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(R, B) the statistic of resamples: ``weights`` (B, C) says how often each cluster was drawn."""
        sums, counts = self._of_clusters(kept)
        return self._statistic(_times(sums, weights), _times(counts, weights))

    def _statistic(self, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        means = _divide(sums, counts * self.added)
        if self.levels is not None:
            means = np.abs(means - self.levels[:, None])
        return means[:, 0] if means.shape[1] == 1 else means.mean(axis=1)


def _parts(block: Block, shared: np.ndarray | None = None) -> _Parts:
    """The parts of a block: of its ``shared`` (R or 1, K or 1, n) samples, or of all where its rows' seeds agree.

    A mean of means over the same samples is one mean: seeds, and columns unless each keeps what it has, are added up
    first where they are defined alike.
    """
    values, metric, n = block.values, block.metric, block.values.shape[-1]
    mask = _defined(values, metric) if shared is None else shared[:, None]
    if len(mask) > 1 and (mask == mask[:1]).all():
        mask = mask[:1]
    exact = np.where(mask, _on_grid(values, block.samples), 0.0)
    if mask.shape[1] > 1 and (mask == mask[:, :1]).all():
        mask = mask[:, :1]
    if metric.levels or mask.shape[1] > 1:
        levels = np.tile(np.asarray(metric.levels), values.shape[1]) if metric.levels else None
        shape = (len(mask), *values.shape[1:]) if mask.shape[1:3] != (1, 1) else mask.shape
        parts = exact.reshape(len(exact), -1, n)
        return _Parts(parts, np.broadcast_to(mask, shape).reshape(len(mask), -1, n), 1, levels, block.samples)
    axes: tuple[int, ...] = (1,) if metric.per_column else (1, 2)
    added = values.shape[1] * (1 if metric.per_column else values.shape[2])
    return _Parts(exact.sum(axis=axes).reshape(len(exact), -1, n), mask[:, 0], added, None, block.samples)


def _agreeing(block: Block) -> Iterator[tuple[np.ndarray, Block]]:
    """The rows whose seeds are defined alike, then the others, each as a block with its rows' numbers."""
    mask = _defined(block.values, block.metric)
    alike = (mask == mask[:, :1]).all(axis=(1, 2, 3))
    for rows in (np.flatnonzero(alike), np.flatnonzero(~alike)):
        if len(rows) == len(block.values):
            yield rows, block
        elif len(rows):
            yield rows, block._replace(values=block.values[rows])


def _defined(values: np.ndarray, metric: Metric) -> np.ndarray:
    """(R, T, K or 1, n): a sample has all columns or none, unless each keeps what it has."""
    compared = values if metric.per_column else values[:, :, :1]
    return np.equal(compared, compared)  # which NaN is not


def _common(block: Block) -> np.ndarray:
    """(R, K or 1, n): defined for every seed."""
    return np.all(_defined(block.values, block.metric), axis=1)


def _on_grid(values: np.ndarray, samples: Samples) -> np.ndarray:
    """Values rounded so that every sum over seeds, columns and a resample is exact in float64, in any order.

    The grid is a power of two, about 2^-42 of a row's greatest value for a thousand samples.
    """
    largest_cluster = int(np.bincount(samples.codes).max(initial=1))
    terms = values.shape[1] * values.shape[2] * samples.n_clusters * largest_cluster
    top = np.fmax.reduce(np.abs(values), axis=(1, 2, 3), keepdims=True)
    exponent = np.clip(np.frexp(np.nan_to_num(top))[1], -900, 900)
    scale = np.ldexp(1.0, MANTISSA_BITS - max(terms - 1, 1).bit_length() - exponent)
    return np.rint(values * scale) / scale


def _intervals(block: Block, value: np.ndarray) -> np.ndarray:
    """(2, R) bounds of each row's statistic at 95 %.

    From 10 clusters on, the percentiles of a seeded bootstrap that draws whole clusters; with fewer, the t interval
    around the cluster jackknife (for equal clusters and a plain mean: the textbook interval of the cluster means); NaN
    with fewer than two.
    """
    bounds = np.full((2, len(value)), np.nan)
    for numbers, agreeing in _agreeing(block):
        whole = _parts(agreeing)
        for rows, kept in whole.groups():
            parts, place = whole.take(rows), numbers[rows]
            if (n_clusters := int(kept.sum())) >= FEW_CLUSTERS:
                drawn = [parts.resampled(kept, weights) for weights in _weights(n_clusters)]
                bounds[:, place] = _percentiles(np.concatenate(drawn, axis=1), (ALPHA / 2, 1 - ALPHA / 2))
            elif n_clusters > 1:
                error = _jackknife_error(parts.left_out(kept))
                bounds[:, place] = _t_test(value[place], error, n_clusters - 1)[:2]
    return bounds


def _middles(block: Block) -> np.ndarray:
    """(2, R) median and 95th percentile of what samples have, the mean over seeds."""
    if block.metric.levels:
        return np.full((2, len(block.values)), np.nan)
    defined = ~np.isnan(block.values)
    per_sample = _divide(np.where(defined, block.values, 0.0).sum(axis=2), defined.sum(axis=2))
    return _percentiles(per_sample, (0.5, 0.95)).mean(axis=-1)


def _percentiles(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """(len(shares), ...) linear percentiles over the last axis of what is not NaN; NaN where nothing is."""
    ordered = np.sort(values, axis=-1)
    last = (~np.isnan(values)).sum(axis=-1) - 1
    found = []
    for share in shares:
        position = np.maximum(last, 0) * share
        below = np.floor(position).astype(np.intp)
        above = np.minimum(below + 1, np.maximum(last, 0))
        low, high = (np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (below, above))
        found.append(low + (high - low) * (position - below))
    return np.stack(found)


def _jackknife_error(left_out: np.ndarray) -> np.ndarray:
    """(R,) standard errors from (R, C) statistics without each cluster."""
    left_out = np.ascontiguousarray(left_out)  # one order of adding, however it was made
    n_clusters = left_out.shape[-1]
    around = left_out - left_out.mean(axis=-1, keepdims=True)
    return np.sqrt((n_clusters - 1) / n_clusters * np.square(around).sum(axis=-1))


def _t_test(value: np.ndarray, error: np.ndarray, freedom: int | np.ndarray) -> np.ndarray:
    """(3, R): the bounds of a t interval, and the two-sided p against zero."""
    from scipy.special import stdtr, stdtrit

    half = stdtrit(freedom, 1 - ALPHA / 2) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where((value == 0) & (error == 0), 1.0, 2 * stdtr(freedom, -np.abs(value / error)))
    return np.stack([value - half, value + half, p])


def _resampled_places(
    parts: Sequence[_Parts], kept: np.ndarray, sign: float
) -> tuple[np.ndarray, np.ndarray]:
    n_rows = sum(len(part.values) for part in parts)
    least, greatest = np.empty((2, RESAMPLES, n_rows), dtype=np.int32)

    def place(first: int, some: np.ndarray) -> None:
        here = slice(first, first + len(some))
        drawn = np.concatenate([part.resampled(kept, some) for part in parts])
        least[here], greatest[here] = _places(sign * drawn)

    first = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for weights in _weights(int(kept.sum())):
            pieces = np.array_split(weights, -(-len(weights) * n_rows // CHUNK_ELEMENTS))
            firsts = first + np.cumsum([0, *map(len, pieces)])
            list(pool.map(place, firsts[:-1], pieces))
            first = firsts[-1]
    tail = int(RESAMPLES * ALPHA / 2)
    return np.sort(least, axis=0)[tail], np.sort(greatest, axis=0)[-1 - tail]


def _places(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R, B) values, small is good -> (B, R) least and greatest place among equals, from 1; NaN comes last."""
    columns = np.ascontiguousarray(values.T)
    order = np.argsort(columns, axis=-1)
    ordered = np.take_along_axis(columns, order, axis=-1)
    number = np.arange(columns.shape[-1], dtype=np.int32)
    new = np.ones(columns.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(new, number, 0), axis=-1)
    ends = np.roll(new, -1, axis=-1)
    ends[:, -1] = True
    last = np.minimum.accumulate(np.where(ends, number, len(number))[:, ::-1], axis=-1)[:, ::-1]
    least, greatest = np.empty((2, *columns.shape), dtype=np.int32)
    np.put_along_axis(least, order, first + 1, axis=-1)
    np.put_along_axis(greatest, order, last + 1, axis=-1)
    return least, greatest


def _tested_places(parts: Sequence[_Parts], kept: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import stdtrit

    value = sign * np.concatenate([part.whole() for part in parts])
    n_rows, n_clusters = len(value), int(kept.sum())
    if n_clusters < 2:
        return np.ones(n_rows, dtype=int), np.full(n_rows, n_rows)
    left_out = sign * np.concatenate([part.left_out(kept) for part in parts])
    factor = stdtrit(n_clusters - 1, 1 - ALPHA / 2)
    better, worse = np.empty((2, n_rows), dtype=int)
    for rows in np.array_split(np.arange(n_rows), -(-n_rows * n_rows * n_clusters // CHUNK_ELEMENTS)):
        gap = value[rows, None] - value
        half = factor * _jackknife_error(left_out[rows, None] - left_out)
        better[rows], worse[rows] = (gap > half).sum(axis=1), (gap < -half).sum(axis=1)
    return better + 1, n_rows - worse


def _weights(n_clusters: int) -> Iterator[np.ndarray]:
    """How often each cluster is drawn, (B, C) in pieces: the same draws for whatever has as many clusters."""
    if RESAMPLES * n_clusters <= CACHED_ELEMENTS:
        yield _kept_weights(n_clusters)
    else:
        yield from _drawn_weights(n_clusters)


@lru_cache(maxsize=4)
def _kept_weights(n_clusters: int) -> np.ndarray:
    return np.concatenate(list(_drawn_weights(n_clusters)))


def _drawn_weights(n_clusters: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(SEED)
    rows = max(1, CHUNK_ELEMENTS // n_clusters)
    for first in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - first)
        drawn = rng.integers(0, n_clusters, (size, n_clusters)) + np.arange(size)[:, None] * n_clusters
        counts = np.bincount(drawn.ravel(), minlength=size * n_clusters)
        yield counts.reshape(size, n_clusters).astype(np.float64)


@lru_cache(maxsize=8)
def _membership(codes: bytes, n_clusters: int) -> Any:
    """Sparse (n, C): 1 where a sample is in a cluster."""
    from scipy.sparse import csr_array

    of = np.frombuffer(codes, dtype=np.intp)
    return csr_array((np.ones(len(of)), of, np.arange(len(of) + 1)), shape=(len(of), n_clusters))


def _times(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R, P, C) and (B, C) -> (R, P, B), as one product of matrices."""
    flat = values.reshape(-1, values.shape[-1]) @ weights.T
    return flat.reshape(*values.shape[:-1], -1)


def _divide(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means; NaN where nothing is counted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums / counts


def _block(tables: Sequence[pd.DataFrame], metric: Metric) -> Block:
    """The block of one row from its seeds' tables, over the union of their samples."""
    names = sorted(set().union(*(table.index for table in tables)))
    cluster_of: dict[str, str] = {}
    for table in tables:
        cluster_of.update(zip(table.index, table["cluster"], strict=True))
    samples = Samples.of(names, [cluster_of[name] for name in names])
    return block_of([[bare_columns(table.reindex(names)) for table in tables]], samples, metric)

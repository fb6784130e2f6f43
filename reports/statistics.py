"""Aggregation, once and here: means over test samples with intervals, paired differences, spread over seeds.

Two error bars exist and are never mixed: the interval over test samples (a cluster bootstrap) and the
standard deviation over training seeds. Every mean is frame-weighted, as the official scripts are: a cluster
counts by the number of its samples. A sample whose value is not finite is a hole: it is left out of the mean
and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tasks.base import Metric

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
RESAMPLES = 2000
FEW_CLUSTERS = 10
"""With fewer clusters than this, percentiles of a bootstrap are too narrow: a t interval is used."""
SEED = 20_230_618
CHUNK_ELEMENTS = 1 << 21

Statistic = Callable[[np.ndarray], np.ndarray]
"""Column means (..., K) -> value (...)."""


@dataclass(frozen=True)
class Summary:
    """One number of a table. ``low`` and ``high`` bound the mean over test samples at 95 %.

    ``n`` samples are defined, ``nan`` are holes; ``median`` and ``p95`` are NaN for a metric of several
    columns.
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


@dataclass(frozen=True)
class Difference:
    """``a - b`` on the ``n`` samples that both rows have, with its interval over test samples."""

    value: float
    low: float
    high: float
    n: int
    clusters: int


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (ddof=1; NaN for one seed) of a metric over ``n`` training seeds."""

    mean: float
    sd: float
    n: int


def summarise(per_sample: Sequence[pd.DataFrame], metric: Metric) -> Summary:
    """The metric of a row: the mean over its training seeds of the metric of each seed's table.

    Tables have a ``cluster`` column and the metric's sample columns, and the sample id as index. With several
    seeds the interval still speaks of test samples alone: every resample holds the same frames for all seeds.
    """
    columns, clusters = _stack(per_sample, metric)
    statistic = _mean_over_seeds(metric, len(per_sample))
    low, high = cluster_interval(columns, clusters, statistic)
    defined = np.isfinite(columns).all(axis=1)
    value = float(statistic(_column_means(columns)))
    single = columns[defined].mean(axis=1) if len(metric.sample_columns) == 1 else np.empty(0)
    median, p95 = np.percentile(single, [50, 95]) if len(single) else (np.nan, np.nan)
    n = int(defined.sum())
    n_clusters = len(np.unique(clusters[np.isfinite(columns).any(axis=1)]))
    return Summary(value, low, high, n, len(defined) - n, n_clusters, float(median), float(p95))


def point_value(per_sample: Sequence[pd.DataFrame], metric: Metric) -> float:
    """The value of ``summarise`` alone, without its interval."""
    columns, _ = _stack(per_sample, metric)
    return float(_mean_over_seeds(metric, len(per_sample))(_column_means(columns)))


def paired_difference(a: Sequence[pd.DataFrame], b: Sequence[pd.DataFrame], metric: Metric) -> Difference:
    """``a - b`` of two rows (one table per seed) over the samples that are defined in every table of both."""
    tables = [*a, *b]
    shared = sorted(set.intersection(*(set(table.index) for table in tables)))
    columns, clusters = _stack([table.loc[shared] for table in tables], metric)
    whole = np.isfinite(columns).all(axis=1)
    columns, clusters = columns[whole], clusters[whole]
    split = len(a) * len(metric.sample_columns)
    of_a, of_b = _mean_over_seeds(metric, len(a)), _mean_over_seeds(metric, len(b))

    def statistic(means: np.ndarray) -> np.ndarray:
        return of_a(means[..., :split]) - of_b(means[..., split:])

    low, high = cluster_interval(columns, clusters, statistic)
    value = float(statistic(_column_means(columns)))
    return Difference(value, low, high, len(columns), len(np.unique(clusters)))


def verdict(difference: Difference, direction: Literal["lower", "higher"], a: str, b: str) -> str:
    """A sentence: which of the two is better, or that the interval holds zero."""
    if not np.isfinite([difference.low, difference.high]).all():
        return "not decidable: too few clusters"
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    return f"{a if (difference.value < 0) == (direction == 'lower') else b} is better"


def spread_over_seeds(values: Sequence[float]) -> Spread:
    """Mean and sd (ddof=1) of one metric over training seeds."""
    array = np.asarray(values, dtype=np.float64)
    sd = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
    return Spread(float(array.mean()) if len(array) else float("nan"), sd, len(array))


def cluster_interval(columns: np.ndarray, clusters: np.ndarray, statistic: Statistic) -> tuple[float, float]:
    """95 % interval of a statistic of frame-weighted column means, (n, K) values in (n,) clusters.

    From 10 clusters on, the percentiles of a seeded bootstrap that draws whole clusters; with fewer, the t
    interval around the cluster jackknife (for equal clusters and a plain mean: the textbook interval of the
    cluster means); NaN with fewer than two. The order of the samples does not matter.
    """
    sums, counts = _cluster_sums(columns, clusters)
    if len(sums) < 2:
        return float("nan"), float("nan")
    if len(sums) < FEW_CLUSTERS:
        return _jackknife_t_interval(sums, counts, statistic)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(statistic(_resampled_means(sums, counts)), [tail, 100 - tail])
    return float(low), float(high)


def metric_statistic(metric: Metric) -> Statistic:
    """How a metric follows from its columns' means: their mean, or their mean gap to the levels."""
    if not metric.levels:
        return lambda means: means.mean(axis=-1)
    levels = np.asarray(metric.levels)
    return lambda means: np.abs(means - levels).mean(axis=-1)


def _mean_over_seeds(metric: Metric, seeds: int) -> Statistic:
    statistic = metric_statistic(metric)

    def over_seeds(means: np.ndarray) -> np.ndarray:
        return statistic(means.reshape(*means.shape[:-1], seeds, -1)).mean(axis=-1)

    return over_seeds


def _stack(tables: Sequence[pd.DataFrame], metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """(n, tables x columns) values over the union of the samples, holes as NaN, and (n,) cluster names."""
    names = list(metric.sample_columns)
    samples = sorted(set().union(*(table.index for table in tables)))
    blocks = []
    cluster_of: dict[str, str] = {}
    for table in tables:
        values = table.reindex(samples)[names].to_numpy(np.float64)
        blocks.append(np.where(np.isfinite(values).all(axis=1, keepdims=True), values, np.nan))
        cluster_of.update(zip(table.index, table["cluster"], strict=True))
    return np.hstack(blocks), np.array([str(cluster_of[sample]) for sample in samples])


def _column_means(columns: np.ndarray) -> np.ndarray:
    defined = np.isfinite(columns)
    with np.errstate(invalid="ignore"):
        return np.where(defined, columns, 0.0).sum(axis=0) / np.where(
            defined.any(axis=0), defined.sum(axis=0), np.nan
        )


def _cluster_sums(columns: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, K) sums and counts of the defined values, for the clusters that have any."""
    defined = np.isfinite(columns)
    names, of = np.unique(clusters, return_inverse=True)
    sums = [
        np.bincount(of, np.where(d, v, 0.0), len(names)) for v, d in zip(columns.T, defined.T, strict=True)
    ]
    counts = [np.bincount(of, d, len(names)) for d in defined.T]
    sums_ck, counts_ck = np.stack(sums, axis=1), np.stack(counts, axis=1)
    kept = counts_ck.any(axis=1)
    return sums_ck[kept], counts_ck[kept]


def _resampled_means(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B, K) column means of B resamples: how often each cluster was drawn, as a matrix, times the sums."""
    n_clusters = len(sums)
    rng = np.random.default_rng(SEED)
    rows = max(1, CHUNK_ELEMENTS // n_clusters)
    means = []
    for first in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - first)
        drawn = rng.integers(0, n_clusters, (size, n_clusters)) + np.arange(size)[:, None] * n_clusters
        weights = (
            np.bincount(drawn.ravel(), minlength=size * n_clusters)
            .reshape(size, n_clusters)
            .astype(np.float64)
        )
        with np.errstate(invalid="ignore"):
            means.append((weights @ sums) / (weights @ counts))
    return np.concatenate(means)


def _jackknife_t_interval(sums: np.ndarray, counts: np.ndarray, statistic: Statistic) -> tuple[float, float]:
    from scipy.special import stdtrit

    n_clusters = len(sums)
    with np.errstate(invalid="ignore"):
        left_out = statistic((sums.sum(axis=0) - sums) / (counts.sum(axis=0) - counts))
        value = float(statistic(sums.sum(axis=0) / counts.sum(axis=0)))
    error = np.sqrt((n_clusters - 1) / n_clusters * np.square(left_out - left_out.mean()).sum())
    half = float(stdtrit(n_clusters - 1, 0.5 + CONFIDENCE / 2) * error)
    return value - half, value + half

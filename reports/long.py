"""The long tables, for programs: every number of every row a line of a CSV file, unrounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from reports.boards import Board, Row
from reports.statistics import verdict

_WHERE = ("task", "layout", "split", "synthetic", "data_fingerprint", "protocol", "method", "setting", "kind")
_METRIC = ("metric", "unit", "direction")
METRICS_HEADING = (
    *_WHERE, *_METRIC, "value", "value_low", "value_high", "value_n", "value_seeds_sd", "median", "p95",
    "coverage", "nan", "clusters", "rank", "rank_low", "rank_high", "rank_n", "seeds", "cells",
)  # fmt: skip
DIFFERENCES_HEADING = (
    *_WHERE, "reference", *_METRIC, "difference", "difference_low", "difference_high", "difference_n", "clusters",
    "p", "p_holm", "family", "verdict",
)  # fmt: skip

NAN = float("nan")
_NO_RANK = ("", "", "", "")


def metrics_csv(boards: Sequence[Board]) -> str:
    """Every metric of every row; ranks stand with the metric that ranks."""
    return csv_text(METRICS_HEADING, (line for board in boards for line in _metric_lines(board)))


def differences_csv(boards: Sequence[Board]) -> str:
    """Every paired difference to the reference. Two families are corrected, each by itself: headline and further."""
    return csv_text(DIFFERENCES_HEADING, (line for board in boards for line in _difference_lines(board)))


def exact(*values: float) -> list[str]:
    """Ten significant digits each, as far as sums over samples are the same on every machine; nothing for NaN."""
    texts = (",".join(["%.10g"] * len(values)) % values).split(",")
    return ["" if text == "nan" else text for text in texts] if "nan" in texts else texts


def where(board: Board, row: Row) -> tuple[str, ...]:
    """What every line begins with."""
    header = board.header
    protocol = f"{header['protocol']['name']}/{header['protocol']['version']}"
    data = (str(header["layout"]), str(header["split"]), str(board.synthetic).lower())
    fingerprint = str(header["identity"].get("data_fingerprint", ""))
    return (board.task.name, *data, fingerprint, protocol, row.title, row.setting, str(row.header["kind"]))


def _metric_lines(board: Board) -> Iterator[tuple[Any, ...]]:
    for row in board.rows:
        first, ends = where(board, row), (" ".join(map(str, row.seeds)), " ".join(row.cells))
        for name in board.present:
            summary = row.summary(name)
            if summary is None:
                continue
            metric = board.metrics[name]
            rank = board.ranks.get(row) if name == board.ranking_metric else None
            sd = row.spread(name).sd if len(row.seeds) > 1 else NAN
            value, low, high, n, nan, clusters, *middles = summary
            bounds, after = exact(value, low, high), exact(sd, *middles, summary.coverage)
            yield (
                *first, name, metric.unit, metric.direction, *bounds, n, *after, nan, clusters,
                *(rank or _NO_RANK), *ends,
            )  # fmt: skip


def _difference_lines(board: Board) -> Iterator[tuple[Any, ...]]:
    for row in board.rows:
        other = board.reference_for(row)
        if other is None:
            continue
        first = (*where(board, row), other.label)
        for name in board.present:
            found = board.difference(row, other, name)
            if found is None:
                continue
            metric, corrected = board.metrics[name], board.corrected[row, name]
            words = verdict(found, metric.direction, row.label, other.label, corrected)
            value, low, high, n, clusters, p = found
            family = "headline" if name in board.task.headline else "further"
            yield (
                *first, name, metric.unit, metric.direction, *exact(value, low, high), n, clusters,
                *exact(p, corrected), family, words,
            )  # fmt: skip


def csv_text(heading: Sequence[str], lines: Iterable[tuple[Any, ...]]) -> str:
    """Heading and lines as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows(lines)
    return out.getvalue()

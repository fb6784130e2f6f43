"""The long tables, for programs: every number of every row a line of a CSV file, unrounded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

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
QUOTE, SPECIAL = '"', re.compile(r'[",\r\n]')
_NO_RANK = ",,,"


def metrics_csv(boards: Sequence[Board]) -> str:
    """Every metric of every row; ranks stand with the metric that ranks."""
    return csv_text(METRICS_HEADING, (line for board in boards for line in _metric_lines(board)))


def differences_csv(boards: Sequence[Board]) -> str:
    """Every paired difference to the reference. Two families are corrected, each by itself: headline and further."""
    return csv_text(DIFFERENCES_HEADING, (line for board in boards for line in _difference_lines(board)))


def exact(*values: float) -> str:
    """Ten significant digits each, as far as sums over samples are the same on every machine; nothing for NaN."""
    text = _ten_digits(len(values)) % values
    return ",".join("" if part == "nan" else part for part in text.split(",")) if "nan" in text else text


def escaped(*fields: str) -> str:
    """Fields as CSV has them, with quotes where they are needed (RFC 4180)."""
    return ",".join(
        f'"{field.replace(QUOTE, 2 * QUOTE)}"' if SPECIAL.search(field) else field for field in fields
    )


def where(board: Board, row: Row) -> tuple[str, ...]:
    """What every line begins with."""
    header = board.header
    protocol = f"{header['protocol']['name']}/{header['protocol']['version']}"
    data = (str(header["layout"]), str(header["split"]), str(board.synthetic).lower())
    fingerprint = str(header["identity"].get("data_fingerprint", ""))
    return (board.task.name, *data, fingerprint, protocol, row.title, row.setting, str(row.header["kind"]))


def csv_text(heading: Sequence[str], lines: Iterable[str]) -> str:
    """Heading and lines, whose fields are escaped already: 300,000 lines are written in a second."""
    return "\n".join([escaped(*heading), *lines, ""])


def _metric_lines(board: Board) -> Iterator[str]:
    named = _names(board)
    for row in board.rows:
        first = escaped(*where(board, row))
        ends = escaped(" ".join(map(str, row.seeds)), " ".join(row.cells))
        for name in board.present:
            summary = row.summary(name)
            if summary is None:
                continue
            rank = board.ranks.get(row) if name == board.ranking_metric else None
            sd = row.spread(name).sd if len(row.seeds) > 1 else NAN
            value, low, high, n, nan, clusters, *middles = summary
            bounds, after = exact(value, low, high), exact(sd, *middles, summary.coverage)
            places = ",".join(map(str, rank)) if rank else _NO_RANK
            yield f"{first},{named[name]},{bounds},{n},{after},{nan},{clusters},{places},{ends}"


def _difference_lines(board: Board) -> Iterator[str]:
    named = _names(board)
    families = {name: "headline" if name in board.task.headline else "further" for name in board.present}
    for row in board.rows:
        other = board.reference_for(row)
        if other is None:
            continue
        first = escaped(*where(board, row), other.label)
        for name in board.present:
            found = board.difference(row, other, name)
            if found is None:
                continue
            corrected = board.corrected[row, name]
            words = verdict(found, board.metrics[name].direction, row.label, other.label, corrected)
            value, low, high, n, clusters, p = found
            bounds, tested = exact(value, low, high), exact(p, corrected)
            yield f"{first},{named[name]},{bounds},{n},{clusters},{tested},{families[name]},{escaped(words)}"


def _names(board: Board) -> dict[str, str]:
    """Name, unit and direction of each metric."""
    metrics = board.metrics
    return {name: escaped(name, metrics[name].unit, metrics[name].direction) for name in board.present}


@cache
def _ten_digits(count: int) -> str:
    return ",".join(["%.10g"] * count)

"""Two rows against each other: found by the names a person would give, paired on the samples that both have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.boards import Board, Row, make_boards
from reports.leaderboard import interval, signed
from reports.record import PLAIN_VARIANTS, read_records
from reports.statistics import Difference, verdict
from tasks.base import Metric
from tasks.errors import RequestError, unknown_name
from tasks.registry import TASKS

SHORTEST_PREFIX = 4
"""Fewer hexadecimal digits than this are no cell's id."""
SHOWN_CANDIDATES = 8
TRUTH = "truth"
"""Where the keypoints of a row come from that no method predicted: ``truth+METHOD`` is METHOD."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two rows of a board and their difference in a metric."""

    board: Board
    a: Row
    b: Row
    metric: Metric
    difference: Difference

    @property
    def labels(self) -> tuple[str, str]:
        """What tells the rows apart: their labels, with seeds or cells where those are the same."""
        for names in ((self.a.label, self.b.label), (_with_seeds(self.a), _with_seeds(self.b))):
            if names[0] != names[1]:
                return names
        return f"{self.a.label} {self.a.cells[0]}", f"{self.b.label} {self.b.cells[0]}"

    @property
    def verdict(self) -> str:
        """Which is better, or that nothing can be said."""
        return verdict(self.difference, self.metric.direction, *self.labels)

    @property
    def _n_samples(self) -> int:
        """How many test samples at least one of the rows was scored on."""
        records = (*self.a.records, *self.b.records)
        return len(set().union(*(record.sorted_table.index for record in records)))

    @property
    def note(self) -> str:
        """On what the difference rests: shared samples, clusters, and what the rows saw."""
        found, total = self.difference, self._n_samples
        shared = (
            f"{found.n} of {total} test samples, those that both have"
            if found.n < total
            else f"{found.n} test samples"
        )
        sees = [", ".join(row.flags) or "the image alone" for row in (self.a, self.b)]
        unlike = f" Not alike: {self.labels[0]} saw {sees[0]}, {self.labels[1]} {sees[1]}." * (
            sees[0] != sees[1]
        )
        return f"Paired over {shared}, in {found.clusters} clusters; {self.board.data_label}.{unlike}"


def compare(records_root: Path, a: str, b: str, metric: str | None = None) -> dict[str, Any]:
    """Row ``a`` minus row ``b``: a cell's id or the beginning of one, a method, ``method@variant`` or a label.

    Cells of several seeds are one row; a cell's id means that cell alone. Returns ``metric, a, b, difference, low,
    high, verdict`` and ``p, n, clusters, unit, note, a_cells, b_cells``. Raises RequestError for a name that is
    unknown or means several rows, for rows that do not stand on one board, and for a metric that one of them lacks.
    """
    found = find(records_root, a, b, metric)
    numbers = found.difference._asdict()
    numbers["difference"] = numbers.pop("value")
    return {
        "metric": found.metric.name,
        "a": found.labels[0],
        "b": found.labels[1],
        **{name: None if math.isnan(number) else number for name, number in numbers.items()},
        "verdict": found.verdict,
        "unit": found.metric.unit,
        "note": found.note,
        "a_cells": list(found.a.cells),
        "b_cells": list(found.b.cells),
    }


def compare_text(records_root: Path, a: str, b: str, metric: str | None = None) -> str:
    """``compare`` for people: the difference, the verdict, and on what they rest, a line each."""
    found = find(records_root, a, b, metric)
    difference, digits = found.difference, found.metric.digits
    parts = (signed(difference.value, digits), found.metric.unit, interval(difference, digits))
    value = " ".join(part for part in parts if part)
    p = "" if math.isnan(difference.p) else f", p = {difference.p:.2g}"
    names = f"{found.labels[0]} minus {found.labels[1]}"
    return f"{names}: {found.metric.title} {value}{p}\n{found.verdict}.\n{found.note}"


def find(records_root: Path, a: str, b: str, metric: str | None = None) -> Comparison:
    """The comparison that two names mean. Raises RequestError as ``compare`` does."""
    boards = make_boards(read_records(Path(records_root)), TASKS)
    board, row, other = _pair(boards, a, b)
    name = metric or next((n for n in board.task.headline if row.summary(n) and other.summary(n)), None)
    if name is None:
        raise RequestError(f"'{a}' and '{b}' share no headline metric: name one with --metric.")
    if name not in board.metrics:
        raise unknown_name("metric", name, board.metrics)
    difference = board.difference(row, other, name)
    if difference is None:
        lacking = row if row.summary(name) is None else other
        raise RequestError(
            f"{lacking.label} has no {name}: {lacking.why_absent(name)}; name another --metric."
        )
    return Comparison(board, row, other, board.metrics[name], difference)


Candidate = tuple[Board, Row]


def _pair(boards: Sequence[Board], a: str, b: str) -> tuple[Board, Row, Row]:
    """The one pair of rows on one board that the names mean."""
    meant_a, meant_b = _candidates(boards, a), _candidates(boards, b)
    pairs = [(board, one, two) for board, one in meant_a for its, two in meant_b if its is board]
    if len(pairs) == 1:
        _, one, two = pairs[0]
        if one.cells == two.cells:
            raise RequestError(f"'{a}' and '{b}' are the same row, {one.label}: name two.")
        return pairs[0]
    if not pairs:
        raise RequestError(_why_not_together(meant_a[0], meant_b[0], a, b))
    name, meant = (a, meant_a) if len(meant_a) > 1 else (b, meant_b)
    listed = ", ".join(_described(*candidate) for candidate in meant[:SHOWN_CANDIDATES])
    more = f" and {len(meant) - SHOWN_CANDIDATES} more" if len(meant) > SHOWN_CANDIDATES else ""
    raise RequestError(f"'{name}' means several rows: {listed}{more}; name one by its variant or cell.")


def _candidates(boards: Sequence[Board], name: str) -> list[Candidate]:
    """Rows that may be meant: one cell by its id, else rows by name, the plain one before its variants."""
    rows = [(board, row) for board in boards for row in board.rows]
    if cells := _cells(rows, name):
        return cells
    called = [(board, row) for board, row in rows if name.lower() in _names(row)]
    plain = [(board, row) for board, row in called if row.header.get("variant") in PLAIN_VARIANTS]
    if not called:
        raise unknown_name(
            "row", name, {known for _, row in rows for known in (row.method, _short_name(row))}
        )
    return plain or called


def _cells(rows: Sequence[Candidate], name: str) -> list[Candidate]:
    if len(name) < SHORTEST_PREFIX:
        return []
    cells = [(board, row, record) for board, row in rows for record in row.records]
    begun = [
        (board, Row((record,), row.metrics)) for board, row, record in cells if record.cell.startswith(name)
    ]
    exact = [(board, row) for board, row in begun if row.cells == (name,)]
    return exact or begun


def _names(row: Row) -> set[str]:
    """Everything that a row is called, in lower case."""
    variant, preset = row.header.get("variant"), row.header.get("preset")
    settings = (None if variant in PLAIN_VARIANTS else variant, preset, row.setting)
    methods = (row.method, *(f"{TRUTH}+{row.method}",) * (row.keypoints_from == TRUTH))
    at = (f"{method}@{setting}" for method in methods for setting in settings if setting)
    return {name.lower() for name in (*methods, row.title, row.label, *at)}


def _described(board: Board, row: Row) -> str:
    """A row's name with its cell and board."""
    return f"{_short_name(row)} ({row.cells[0]}, {board.header['layout']}, {_protocol(board)})"


def _short_name(row: Row) -> str:
    variant = row.header.get("variant")
    setting = row.header.get("preset") if variant in PLAIN_VARIANTS else variant
    return f"{row.method}@{setting}" if setting else row.method


def _why_not_together(one: Candidate, two: Candidate, a: str, b: str) -> str:
    """What differs between two boards, as the reason of a refusal."""
    first, second = one[0], two[0]
    facts = (
        ("task", first.task.name, second.task.name),
        ("layout", first.header["layout"], second.header["layout"]),
        ("split", first.header["split"], second.header["split"]),
        ("protocol", _protocol(first), _protocol(second)),
        ("data", _fingerprint(first), _fingerprint(second)),
    )
    kind, here, there = next(
        fact for fact in (*facts, ("board", first.key, second.key)) if fact[1] != fact[2]
    )
    return (
        f"'{a}' and '{b}' do not compare: their {kind} differs ({here} and {there}); "
        "compare rows that were measured alike, or rescore one."
    )


def _with_seeds(row: Row) -> str:
    return f"{row.label}, seed{'s' * (len(row.seeds) > 1)} {', '.join(map(str, row.seeds))}"


def _protocol(board: Board) -> str:
    protocol = board.header["protocol"]
    return f"{protocol['name']}/{protocol['version']}"


def _fingerprint(board: Board) -> str:
    return str(board.header["identity"].get("data_fingerprint", ""))

"""How values and ranks move with the protocol: the same error under every alignment, the same predictions rescored.

Two tables. The ladder of a board: one joint error from no alignment to the most forgiving one. And, where stored
predictions were scored again under other protocols, one ranking metric per protocol. Ranks count among the rows of a
table that saw the same at test time; a row that lacks samples which others have has none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

from reports.boards import SHOWN_ROWS, Board, Row
from reports.leaderboard import fixed, metric_column
from reports.long import csv_text, escaped, exact, where
from reports.table import Cell, Column, Number, Table

LADDER = (
    "The same joint error of the same predictions, from no alignment to the most forgiving one; beneath each value the "
    "row's rank in that column. Alignment hides what it removes: place, scale, rotation, and at last the side of the "
    "hand."
)
RESCORED = (
    "The same stored predictions under each protocol, by the protocol's ranking metric; beneath each value the row's "
    "rank in that column, among the rows of this table. Columns differ in what they measure: compare ranks, not values."
)
HEADING = (
    "table", "task", "layout", "split", "synthetic", "data_fingerprint", "protocol", "method", "setting", "kind",
    "metric", "title", "unit", "value", "low", "high", "n", "rank", "cells",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Place:
    """A row's value in a column: the board and row it stands on there, the metric, and its rank."""

    board: Board
    row: Row
    metric: str
    rank: int | None


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """A table of places before it is shown: (heading, metric on a board) columns, and rows of places or None."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Row, tuple[Place | None, ...]], ...]
    note: str


@lru_cache(maxsize=64)
def ladder(board: Board) -> Sensitivity | None:
    """The board's rows by the metrics of the task's ladder; None when the records have less than two of them."""
    names = [name for name in board.task.ladder if name in board.present]
    if len(names) < 2:
        return None
    ranks = {name: _ranks([(board, row) for row in board.rows], name) for name in names}
    rows = tuple(
        (
            row,
            tuple(
                Place(board, row, name, ranks[name].get(row)) if name in row.present else None
                for name in names
            ),
        )
        for row in board.rows
    )
    columns = tuple(_rung(metric_column(board.metrics[name])) for name in names)
    title = f"{board.task.name}: one error under every alignment, {board.data_label}"
    return Sensitivity("ladder", title, columns, rows, LADDER)


def rescored(boards: Sequence[Board]) -> list[Sensitivity]:
    """A table for each data set whose predictions were scored under several protocols."""
    groups: dict[tuple[str, ...], list[Board]] = defaultdict(list)
    for board in boards:
        header = board.header
        data = (header["layout"], header["split"], str(board.synthetic), _fingerprint(board))
        groups[board.task.name, *map(str, data)].append(board)
    return [found for same in groups.values() if (found := _rescored(same))]


def sensitivity_table(found: Sensitivity) -> Table:
    """As people read it: value, rank beneath it, and the ranks that the row moves through."""
    columns = (Column("method", "Method"), Column("setting", "Setting"), *found.columns)
    columns += (Column("moves", "Ranks"),)
    rows = []
    for row, places in found.rows[:SHOWN_ROWS]:
        first = (Cell(row.title), Cell(row.setting))
        rows.append((*first, *map(_cell, places), Cell(_moves(places))))
    total = len(found.rows)
    more = (f"The first {SHOWN_ROWS} of {total:,} rows; the CSV files hold all of them.",) * (
        total > SHOWN_ROWS
    )
    return Table(found.key, found.title, columns, tuple(rows), (*more, found.note, *_swaps(found)))


def sensitivity_csv(boards: Sequence[Board]) -> str:
    """Every value of every table a line."""
    ladders = (found for board in boards if (found := ladder(board)))
    return csv_text(HEADING, (line for found in (*ladders, *rescored(boards)) for line in _lines(found)))


def _lines(found: Sensitivity) -> Iterator[str]:
    for _, places in found.rows:
        for place in filter(None, places):
            metric, summary = place.board.metrics[place.metric], place.row.summary(place.metric)
            assert summary is not None
            first = escaped(found.key, *where(place.board, place.row), metric.name, metric.title, metric.unit)
            rank = "" if place.rank is None else place.rank
            bounds = exact(summary.value, summary.low, summary.high)
            yield f"{first},{bounds},{summary.n},{rank},{' '.join(place.row.cells)}"


def _rescored(boards: Sequence[Board]) -> Sensitivity | None:
    """Rows that stand on several of the boards, known again by the cells that predicted."""
    scored: dict[tuple[str, ...], dict[Board, Row]] = defaultdict(dict)
    for board in boards:
        for row in board.rows:
            scored[_origin(row)].setdefault(board, row)
    several = [on for on in scored.values() if len(on) > 1]
    shown = [board for board in boards if any(board in on for on in several)]
    if not several:
        return None
    ranks = {
        board: _ranks([(board, on[board]) for on in several if board in on], board.ranking_metric)
        for board in shown
    }
    rows = []
    for on in several:
        places = [
            Place(board, on[board], board.ranking_metric, ranks[board].get(on[board]))
            if board in on
            else None
            for board in shown
        ]
        rows.append((next(iter(on.values())), tuple(places)))
    rows.sort(key=lambda item: [place.rank or len(rows) + 1 if place else len(rows) + 1 for place in item[1]])
    title = f"{boards[0].task.name}: the same predictions under several protocols, {boards[0].data_label}"
    return Sensitivity("protocols", title, tuple(map(_protocol_column, shown)), tuple(rows), RESCORED)


def _origin(row: Row) -> tuple[str, ...]:
    """The cells whose predictions were scored."""
    return tuple(sorted(str(record.header.get("rescored_from") or record.cell) for record in row.records))


def _rung(column: Column) -> Column:
    """The heading without what all of them share: ``MPJPE (rigid)`` is ``rigid``."""
    return replace(column, title=column.title.partition("(")[2].removesuffix(")") or column.title)


def _protocol_column(board: Board) -> Column:
    protocol = board.header["protocol"]
    heading = metric_column(board.metrics[board.ranking_metric])
    title = f"{protocol['name']}/{protocol['version']}: {heading.title}"
    return Column(board.key, title, heading.unit, heading.arrow, True, f"{protocol['text']} {heading.note}")


def _ranks(rows: Sequence[tuple[Board, Row]], name: str) -> Mapping[Row, int]:
    """1 + how many of the rows that saw the same are better, among those that lack no sample that others have."""
    by_flags: dict[tuple[str, ...], list[tuple[float, int, Row]]] = defaultdict(list)
    for board, row in rows:
        summary = row.summary(name)
        if summary and summary.value == summary.value:
            sign = -1 if board.metrics[name].direction == "higher" else 1
            by_flags[row.flags].append((sign * summary.value, summary.n, row))
    found: dict[Row, int] = {}
    for group in by_flags.values():
        most = max(n for _, n, _ in group)
        values = sorted(value for value, n, _ in group if n == most)
        first: dict[float, int] = {}
        for place, value in enumerate(values, start=1):
            first.setdefault(value, place)
        found |= {row: first[value] for value, n, row in group if n == most}
    return found


def _cell(place: Place | None) -> Cell:
    if place is None:
        return Cell("n/a", note="not recorded", mark="absent")
    summary, metric = place.row.summary(place.metric), place.board.metrics[place.metric]
    assert summary is not None
    number = Number(metric.name, place.row.cells, summary, rank=place.rank)
    rank = "not ranked" if place.rank is None else f"rank {place.rank}"
    return Cell(fixed(summary.value, metric.digits), rank, note=f"{summary.n} samples", number=number)


def _moves(places: Sequence[Place | None]) -> str:
    """From the best to the worst rank that a row has."""
    ranks = [place.rank for place in places if place and place.rank]
    if not ranks:
        return ""
    return str(ranks[0]) if len(set(ranks)) == 1 else f"{min(ranks)} to {max(ranks)}"


def _swaps(found: Sensitivity) -> tuple[str, ...]:
    """How many pairs of shown rows change places somewhere in the table."""
    ranked = [[place.rank if place else None for place in places] for _, places in found.rows[:SHOWN_ROWS]]
    flags = [row.flags for row, _ in found.rows[:SHOWN_ROWS]]
    pairs = [(a, b) for a, b in combinations(range(len(ranked)), 2) if flags[a] == flags[b]]
    swapped = 0
    for a, b in pairs:
        order = {(x > y) - (x < y) for x, y in zip(ranked[a], ranked[b], strict=True) if x and y}
        swapped += {-1, 1} <= order
    return (
        (f"{swapped} of {len(pairs)} pairs of rows change places somewhere in this table.",) if pairs else ()
    )


def _fingerprint(board: Board) -> str:
    return str(board.header["identity"].get("data_fingerprint", ""))

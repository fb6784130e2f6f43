"""The tables of a board: leaderboard, paired differences, every metric, published numbers. Numbers become
text here.

Every number that is shown keeps its ``Number``: the metric and the records it comes from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

from reports.boards import SHOWN_ROWS, Board, Row
from reports.statistics import CONFIDENCE, FEW_CLUSTERS, RESAMPLES, Difference, Effect, Summary, verdict
from reports.table import Cell, Column, Mark, Number, Table, to_text
from tasks.base import Metric

SHOWN_DETAILS = 24
"""Rows of a board that have a column of all metrics, a place in figures, pictures and run details on the page."""
ARROWS = {"lower": "↓", "higher": "↑"}
MINUS = "\N{MINUS SIGN}"
HOW_TO_READ = (
    f"Means over test samples, each counted once (frame-weighted), with {CONFIDENCE:.0%} intervals in brackets: "
    f"percentiles of {RESAMPLES} bootstrap resamples of whole clusters (t interval below {FEW_CLUSTERS} clusters). "
    "The interval says nothing about training; the sd over training seeds stands apart from it. "
    "Rank in the first metric among the rows that saw the same at test time, with the ranks that the resamples give in "
    "brackets, on the samples that all of them share. Best of those rows: bold, never one that lacks samples which "
    "others have; ≈: the paired difference to the best may be zero."
)
RANK_NOTE = "place in the first metric among the rows that saw the same, and the places that resamples give"
DIFFERENCES = (
    f"Row minus reference on the test samples that both have, with the {CONFIDENCE:.0%} interval of the paired "
    "difference over test samples (Student's t on the cluster jackknife). Coloured where the difference holds after "
    "Holm's correction for all {} differences of this table, one family (rows by headline metrics)."
)
EXTERNAL = (
    "External rows were scored from a file of predictions: how they were trained, on what, and what they saw at test "
    "time is as whoever handed them in says, and could not be checked."
)
SYNTHETIC = "Measured on synthetic data: these values do not compare with published ones."


def leaderboard_table(board: Board, published: Sequence[Mapping[str, Any]] = ()) -> Table:
    """The headline metrics of every row, the best first.

    Published numbers in last columns that are not ranked, one for each setting they are published for.
    """
    names, shown = board.headline, board.rows[:SHOWN_ROWS]
    quoted = {row: published_texts(row, board, published) for row in shown}
    settings = _in_order(setting for texts in quoted.values() for setting in texts)
    columns = [Column("method", "Method"), Column("setting", "Setting")]
    differ = len({row.flags for row in board.rows}) > 1
    columns += [Column("sees", "Also sees")] * differ
    sources = len({row.keypoints_from for row in board.rows}) > 1
    columns += [Column("keypoints", "Keypoints from")] * sources
    columns += [Column("rank", "Rank", numeric=True, note=RANK_NOTE)]
    columns += [Column("seeds", "Seeds", numeric=True), Column("n", "n", numeric=True)]
    columns += [metric_column(board.metrics[name]) for name in names]
    columns += [_published_column(setting) for setting in settings]
    rows = []
    for row in shown:
        cells = [Cell(row.title, note=about_text(row)), Cell(row.setting)]
        cells += [Cell(", ".join(row.flags))] * differ
        cells += [Cell(row.keypoints_from)] * sources
        cells += [
            rank_cell(board, row),
            Cell(str(len(row.seeds)), note=f"seeds {', '.join(map(str, row.seeds))}"),
            _n_cell(row, board),
        ]
        cells += [metric_cell(board, row, name) for name in names]
        cells += [Cell(quoted[row].get(setting, "")) for setting in settings]
        rows.append(tuple(cells))
    title = f"{board.task.name}: {board.data_label}"
    return Table("leaderboard", title, tuple(columns), tuple(rows), (*shown_note(board), *notes(board)))


def difference_table(board: Board) -> Table | None:
    """Paired differences of every row to the task's reference method.

    None when there is nothing to compare.
    """
    names = board.compared
    if not names:
        return None
    every = ((row, board.reference_for(row)) for row in board.rows)
    pairs = list(islice(((row, other) for row, other in every if other), SHOWN_ROWS))
    references = _in_order(other.label for _, other in pairs)
    several = len(references) > 1
    columns = [
        Column("method", "Method"),
        Column("setting", "Setting"),
        *[Column("reference", "minus")] * several,
    ]
    columns += [metric_column(board.metrics[name]) for name in names]
    rows = []
    for row, other in pairs:
        first = (Cell(row.title), Cell(row.setting), *[Cell(other.label)] * several)
        rows.append((*first, *(difference_cell(board, row, other, name) for name in names)))
    title = f"{board.task.name}: row minus {' or '.join(references)}, {board.data_label}"
    return Table(
        "differences",
        title,
        tuple(columns),
        tuple(rows),
        (*shown_note(board), DIFFERENCES.format(board.family)),
    )


def every_metric_table(board: Board) -> Table:
    """Every recorded metric as a row, every setting as a column."""
    shown = board.rows[:SHOWN_DETAILS]
    columns = [Column("metric", "Metric"), *(Column(row.cells[0], row.label, numeric=True) for row in shown)]
    rows = []
    for name in board.present:
        heading = metric_column(board.metrics[name])
        first = Cell(heading.heading, note=heading.note)
        rows.append((first, *(metric_cell(board, row, name) for row in shown)))
    title = f"{board.task.name}: every metric, {board.data_label}"
    return Table("every-metric", title, tuple(columns), tuple(rows), shown_note(board, SHOWN_DETAILS))


def absent_table(board: Board) -> Table | None:
    """Which headline metrics a row does not have, and the reason its record gives."""
    rows = []
    for row in board.rows[:SHOWN_ROWS]:
        reasons: dict[str, list[str]] = defaultdict(list)
        for name, why in sorted((row.header.get("not_applicable") or {}).items()):
            reasons[str(why)].append(board.metrics[name].title if name in board.metrics else name)
        rows += [
            (Cell(row.label), Cell(", ".join(titles)), Cell(why)) for why, titles in sorted(reasons.items())
        ]
    columns = (
        Column("method", "Method"),
        Column("metrics", "Metrics"),
        Column("reason", "Not applicable because"),
    )
    return (
        Table("not-applicable", f"{board.task.name}: not applicable", columns, tuple(rows)) if rows else None
    )


def published_tables(board: Board, published: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Published numbers, a table per real data set and setting, with their sources. Never ranked, never beside ours."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for entry in _about_board(board, published):
        groups[str(entry["layout"]), str(entry.get("setting", ""))].append(entry)
    layouts = sorted({layout for layout, _ in groups})
    in_order = [key for layout in layouts for key in groups if key[0] == layout]
    return [_published_table(board, *key, groups[key]) for key in in_order]


def _published_table(board: Board, layout: str, setting: str, entries: Sequence[Mapping[str, Any]]) -> Table:
    names = [name for name in board.metrics if any(entry["metric"] == name for entry in entries)]
    told = any("inputs" in entry for entry in entries)
    columns = [Column("method", "Method"), *[Column("inputs", "Inputs")] * told]
    columns += [metric_column(board.metrics[name]) for name in names]
    columns.append(Column("source", "Source", wide=True))
    methods = _in_order(entry["method"] for entry in entries)
    rows = [_published_row([e for e in entries if e["method"] == m], entries, names, told) for m in methods]
    title = ", ".join(filter(None, (f"{board.task.name}: published on {layout}", "real data", setting)))
    return Table(_slug("published", layout, setting), title, tuple(columns), tuple(rows))


def _about_board(board: Board, published: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The entries on data of the board's task, of metrics that it has, and by no other protocol than its own."""
    protocol = board.header["protocol"]["name"]
    return [
        entry
        for entry in published
        if entry["metric"] in board.metrics
        and entry["layout"] in board.task.layouts
        and entry.get("protocol", protocol) == protocol
    ]


def _published_column(setting: str) -> Column:
    title = ", ".join(filter(None, ("Published, real data", setting)))
    return Column(_slug("published", setting), title, wide=True)


def _slug(*parts: str) -> str:
    return "-".join(part.replace(" ", "-") for part in parts if part)


def leaderboard_text(boards: Sequence[Board]) -> str:
    """The leaderboards for a terminal, each with its protocol and the difference to the reference."""
    return (
        "\n".join(_board_text(board) for board in boards)
        or "No records yet: 'palmares run' makes the first.\n"
    )


def lead_sentence(board: Board) -> str:
    """The board in two sentences: who ranks first, and what that is against the reference."""
    metric, first = board.metrics[board.ranking_metric], board.rows[0]
    if first.summary(metric.name) is None:
        return ""
    cell = metric_cell(board, first, metric.name)
    value = " ".join(filter(None, (cell.text, metric.unit, cell.interval)))
    extreme = "lowest" if metric.direction == "lower" else "highest"
    return " ".join(
        [f"{first.label} has the {extreme} {metric.title}: {value}.", *_against_reference(board, first)]
    )


def metric_column(metric: Metric) -> Column:
    """The heading of a metric."""
    note = f"{metric.definition} ({metric.source})"
    return Column(metric.name, metric.title, metric.unit, ARROWS[metric.direction], True, note)


def metric_cell(board: Board, row: Row, name: str) -> Cell:
    """A row's value in a metric, with its place among the others of the board: the best, or not to be told from it."""
    mark: Mark = "tied" if board.tied_with_best(row, name) else ""
    return value_cell(row, name, "best" if board.best(name, row.flags) is row else mark)


def value_cell(row: Row, name: str, mark: Mark = "") -> Cell:
    """A value with its interval over samples and, apart from it, its spread over seeds."""
    summary = row.summary(name)
    if summary is None:
        return Cell("n/a", note=row.why_absent(name), mark="absent")
    digits, spread = row.metrics[name].digits, row.spread(name)
    over_seeds = f"sd {signless(spread.sd, digits)}" if spread.n > 1 else ""
    number = Number(name, row.cells, summary, spread=spread)
    return Cell(
        fixed(summary.value, digits),
        interval(summary, digits),
        over_seeds,
        _summary_note(summary),
        mark,
        number,
    )


def difference_cell(board: Board, row: Row, other: Row, name: str) -> Cell:
    """A paired difference with its interval and what follows."""
    difference = board.difference(row, other, name)
    if difference is None:
        lacking = row if row.summary(name) is None else other
        return Cell("n/a", note=f"{lacking.label}: {lacking.why_absent(name)}", mark="absent")
    metric = board.metrics[name]
    corrected = board.corrected.get((row, name))
    words = verdict(difference, metric.direction, row.label, other.label, corrected)
    mark: Mark = (
        "" if not words.endswith("is better") else "better" if words.startswith(row.label) else "worse"
    )
    number = Number(name, row.cells, difference, reference=other.cells, corrected=corrected)
    after = "" if corrected is None else f", {corrected:.2g} after Holm's correction"
    on = f"{difference.n} shared samples in {difference.clusters} clusters; p {difference.p:.2g}{after}"
    digits = metric.digits
    return Cell(
        signed(difference.value, digits), interval(difference, digits), "", f"{words}; {on}", mark, number
    )


def rank_cell(board: Board, row: Row) -> Cell:
    """A row's place among those that saw the same, with the places it may have."""
    rank, summary = board.ranks.get(row), row.summary(board.ranking_metric)
    if rank is None or not rank.value or summary is None:
        return Cell("n/a", note="not ranked: too few samples shared with the others", mark="absent")
    number = Number("rank", row.cells, rank)
    note = f"on the {rank.n} samples that every ranked row has"
    return Cell(str(rank.value), f"[{rank.low}, {rank.high}]", note=note, number=number)


def about_text(row: Row) -> str:
    """What whoever handed in a row says of it."""
    about = row.header.get("about") or {}
    return "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in sorted(about.items()))


def shown_note(board: Board, most: int = SHOWN_ROWS) -> tuple[str, ...]:
    """That a table does not show every row, if so."""
    total = len(board.rows)
    return (f"The first {most} of {total:,} rows; the CSV files hold all of them.",) if total > most else ()


def protocol_note(board: Board) -> str:
    """The protocol of a board by name and version, and in words."""
    return protocol_text(board.header["protocol"])


def protocol_text(protocol: Mapping[str, Any]) -> str:
    """A protocol by name and version, and in words."""
    return f"Protocol {protocol['name']}/{protocol['version']}: {protocol['text']}"


def notes(board: Board) -> tuple[str, ...]:
    """What must stand under a table of a board."""
    shown = board.rows[:SHOWN_ROWS]
    told = [f"{row.label}, as handed in: {about_text(row)}." for row in shown if about_text(row)]
    external = (EXTERNAL,) * any(row.external for row in board.rows)
    synthetic = (SYNTHETIC,) * board.synthetic
    return (*synthetic, protocol_note(board), HOW_TO_READ, *external, *told)


def published_texts(row: Row, board: Board, published: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What a row's method is published with on the real data of this layout: setting -> the text of one cell.

    An entry that says what the method saw at test time is about rows that saw the same; one that names no variant is
    about the method as it is.
    """
    known: dict[str, dict[str, float]] = defaultdict(dict)
    for entry in _about_board(board, published):
        if is_about(entry, row, (row.variant,)):
            known[str(entry.get("setting", ""))][entry["metric"]] = entry["value"]
    return {
        setting: ", ".join(f"{board.metrics[n].title} {values[n]:g}" for n in board.metrics if n in values)
        for setting, values in known.items()
    }


def is_about(entry: Mapping[str, Any], row: Row, variants: Collection[str | None]) -> bool:
    """Whether an entry is about a row's method under one of these variants, on its layout, from what it saw."""
    return (
        entry["layout"] == row.header["layout"]
        and str(entry["method"]).lower() in {row.method.lower(), row.title.lower()}
        and tuple(sorted(entry.get("flags", row.flags))) == row.flags
        and entry.get("variant") in variants
    )


def fixed(value: float, digits: int) -> str:
    """A number with a fixed count of decimals and a true minus sign."""
    text = f"{value:.{digits}f}"
    text = text.lstrip("-") if float(text or 0) == 0 else text
    return text.replace("-", MINUS) if value == value else "undefined"


def signed(value: float, digits: int) -> str:
    """The same with a sign."""
    text = fixed(value, digits)
    return text if text.startswith((MINUS, "u")) or float(text) == 0 else f"+{text}"


def signless(value: float, digits: int) -> str:
    """A spread."""
    return fixed(abs(value), digits)


def interval(result: Summary | Difference | Effect, digits: int) -> str:
    """``[low, high]``, or nothing when there is none: too few clusters, or one seed where seeds count."""
    return bounds(result.low, result.high, digits)


def bounds(low: float, high: float, digits: int) -> str:
    """``[low, high]``, or nothing for NaN."""
    return "" if low != low else f"[{fixed(low, digits)}, {fixed(high, digits)}]"


def _summary_note(summary: Summary) -> str:
    holes = f", {summary.nan} undefined (coverage {summary.coverage:.1%})" if summary.nan else ""
    tail = (
        f"; median {summary.median:.4g}, 95th percentile {summary.p95:.4g}"
        if summary.median == summary.median
        else ""
    )
    return f"{summary.n} samples in {summary.clusters} clusters{holes}{tail}"


def _n_cell(row: Row, board: Board) -> Cell:
    summary = row.summary(board.ranking_metric)
    if summary is None:
        return Cell("n/a", note=row.why_absent(board.ranking_metric), mark="absent")
    total = summary.n + summary.nan
    text = str(summary.n) if not summary.nan else f"{summary.n}/{total}"
    return Cell(text, note=f"test samples in {summary.clusters} clusters")


def _published_row(
    own: Sequence[Mapping[str, Any]],
    entries: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    told: bool,
) -> tuple[Cell, ...]:
    """One method's row of a table of entries."""
    mine = {entry["metric"]: entry for entry in own}
    cells = []
    for name in names:
        digits = max(_decimals(entry["value"]) for entry in entries if entry["metric"] == name)
        shown = name in mine
        cells.append(
            Cell(fixed(mine[name]["value"], digits), note=str(mine[name]["source"])) if shown else Cell("")
        )
    sources = _in_order(str(entry["source"]) for entry in mine.values())
    inputs = ", ".join(_in_order(str(entry["inputs"]) for entry in own if "inputs" in entry))
    return (Cell(str(own[0]["method"])), *[Cell(inputs)] * told, *cells, Cell("; ".join(sources)))


def _decimals(value: float) -> int:
    """How many decimals a published number was printed with, as far as the number still tells."""
    return len(f"{value:g}".partition(".")[2])


def _in_order(items: Any) -> list[str]:
    return list(dict.fromkeys(items))


def _board_text(board: Board) -> str:
    table = leaderboard_table(board)
    shown = to_text(table, intervals=("rank", board.ranking_metric))
    protocol = board.header["protocol"]
    lines = [
        shown,
        f"Protocol {protocol['name']}/{protocol['version']}. * best, ≈ tied with it; [95 % interval].",
    ]
    return "\n".join([*lines, *_difference_lines(board)]) + "\n"


def _difference_lines(board: Board) -> list[str]:
    """One sentence per row: its paired difference to the reference in the ranking metric."""
    return [line for row in board.rows[:SHOWN_ROWS] for line in _against_reference(board, row)]


def _against_reference(board: Board, row: Row) -> list[str]:
    other, name = board.reference_for(row), board.ranking_metric
    if other is None or (cell := difference_cell(board, row, other, name)).number is None:
        return []
    value = " ".join(filter(None, (cell.text, board.metrics[name].unit, cell.interval)))
    return [f"{row.label} minus {other.label}: {value}, {cell.note.split(';')[0]}."]

"""A report of records: built whole, the same bytes for the same records, and verifiable number by number.

``report.json`` beside the tables names every number of the report with the metric, the records and the value.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.record import Record, read_records, to_json
from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from reports.boards import Board
    from reports.table import Number, Table

SCHEMA = 1
FORMATS = ("html", "md", "tex", "csv")
DRAWN_FORMATS = {"html", "tex"}
"""The formats that figures belong to."""
INDEX = "report.json"
DRAWN_WITH = ("matplotlib", "pillow")
RELATIVE_TOLERANCE = 1e-9
Published = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ReportOutcome:
    """The files of a report, and its leaderboard for a terminal."""

    paths: list[Path]
    leaderboard_text: str


def build_report(
    records_root: Path,
    out: Path,
    published: Published = (),
    task: str | None = None,
    formats: Sequence[str] = FORMATS,
) -> ReportOutcome:
    """Write the report of every record under a folder to ``out``; the files of an older report there are
    replaced.

    ``published`` holds dicts ``{method, layout, metric, value, source}``. Raises RequestError for an unknown
    format or task, or an ``out`` that cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown_name("report format", name, FORMATS)
    boards = _boards(read_records(records_root), task)
    files = _render(boards, published, formats)
    files[INDEX] = to_json(_index(boards, published, task, formats, files)).encode()
    from reports.leaderboard import leaderboard_text

    return ReportOutcome(_write(Path(out), files), leaderboard_text(boards))


def leaderboard(records_root: Path, task: str | None = None) -> str:
    """The leaderboards of every record under a folder, as text for a terminal. Writes nothing."""
    from reports.leaderboard import leaderboard_text

    return leaderboard_text(_boards(read_records(records_root), task))


def verify_report(out: Path, records_root: Path) -> list[str]:
    """Recompute every number of a report from the per-sample files of its records; returns what does not
    agree.

    The files are rendered again as well and compared byte by byte; figures only when the versions that drew
    them are installed. Raises RequestError when ``out`` holds no report.
    """
    index = _read_index(Path(out))
    found = {record.cell: record for record in read_records(records_root)}
    missing = [f"record {cell} is missing or not whole" for cell in index["cells"] if cell not in found]
    if missing:
        return missing
    records = [found[cell] for cell in index["cells"]]
    problems = [problem for record in records for problem in _header_mismatches(record)]
    problems += [p for entry in index["numbers"] for p in _number_mismatches(entry, found)]
    files = _render(_boards(records, index["task"]), index["published"], index["formats"])
    same_tools = index["drawn_with"] == _drawn_with()
    for name in sorted({*files, *index["files"]}):
        problems += _file_mismatches(Path(out) / name, files.get(name), same_tools)
    return problems


def _boards(records: Sequence[Record], task: str | None) -> list[Board]:
    from reports.boards import make_boards
    from tasks.registry import TASKS

    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS)
    wanted = [record for record in records if task in (None, record.header["task"])]
    return make_boards(wanted, TASKS)


def _render(boards: Sequence[Board], published: Published, formats: Sequence[str]) -> dict[str, bytes]:
    """File name -> bytes."""
    from reports.figures import board_figures
    from reports.site.page import render_page, view_board
    from reports.table import to_latex, to_markdown

    drawn = set(formats) & DRAWN_FORMATS
    drawings = [board_figures(board) if drawn else [] for board in boards]
    csv_files = _csv_files(boards)
    files: dict[str, bytes] = {}
    if "md" in formats:
        parts = [to_markdown(table) for board in boards for table in _shown_tables(board, published)]
        files["leaderboard.md"] = "\n".join(["# Palmares report\n", *parts]).encode()
    if "tex" in formats:
        head = "% Needs \\usepackage{booktabs,graphicx}.\n"
        parts = [to_latex(table) for board in boards for table in _shown_tables(board, published)]
        files["leaderboard.tex"] = "\n".join([head, *parts]).encode()
    if "csv" in formats:
        files |= {name: text.encode() for name, text in csv_files.items()}
    if "html" in formats:
        views = [
            view_board(board, published, figures) for board, figures in zip(boards, drawings, strict=True)
        ]
        files["index.html"] = render_page(views, csv_files).encode()
    for board, figures in zip(boards, drawings, strict=True):
        for drawing in figures:
            files[f"figures/{board.key}-{drawing.name}.svg"] = drawing.svg.encode()
            files[f"figures/{board.key}-{drawing.name}.png"] = drawing.png
    return files


def _shown_tables(board: Board, published: Published) -> Iterator[Table]:
    from reports.leaderboard import absent_table, difference_table, leaderboard_table, published_tables

    yield leaderboard_table(board, published)
    for table in (difference_table(board), absent_table(board)):
        if table is not None:
            yield table
    yield from published_tables(board, published)


def _csv_files(boards: Sequence[Board]) -> dict[str, str]:
    """The long tables of all boards, under one heading each."""
    from reports.leaderboard import differences_long_table, metrics_table
    from reports.table import to_csv

    files = {}
    for name, make in (("leaderboard.csv", metrics_table), ("differences.csv", differences_long_table)):
        texts = [to_csv(make(board)) for board in boards]
        files[name] = "".join(text if i == 0 else text.split("\n", 1)[1] for i, text in enumerate(texts))
    return files


def _index(
    boards: Sequence[Board],
    published: Published,
    task: str | None,
    formats: Sequence[str],
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "task": task,
        "formats": list(formats),
        "published": [dict(entry) for entry in published],
        "cells": sorted(cell for board in boards for row in board.rows for cell in row.cells),
        "drawn_with": _drawn_with(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        "numbers": [number for board in boards for number in _numbers(board)],
    }


def _numbers(board: Board) -> Iterator[dict[str, Any]]:
    """Every number of a board's tables, once per place."""
    from reports.leaderboard import difference_table, every_metric_table, leaderboard_table

    for table in (leaderboard_table(board), difference_table(board), every_metric_table(board)):
        for row in table.rows if table else ():
            for column, cell in zip(table.columns if table else (), row, strict=True):
                if cell.number:
                    place = {"board": board.key, "table": table.key if table else "", "column": column.key}
                    yield {**place, "row": row[0].text, "text": cell.text, **_number_json(cell.number)}


def _number_json(number: Number) -> dict[str, Any]:
    result = {
        name: value
        for name, value in number.result._asdict().items()
        if name in ("value", "low", "high", "n")
    }
    sd = {"sd": number.spread.sd} if number.spread and number.spread.n > 1 else {}
    return {
        "metric": number.metric,
        "cells": list(number.cells),
        "reference": list(number.reference),
        **result,
        **sd,
    }


def _number_mismatches(entry: Mapping[str, Any], records: Mapping[str, Record]) -> Iterator[str]:
    from reports.statistics import paired_difference, point_value, spread_over_seeds, summarise
    from tasks.registry import metrics_of

    header = records[entry["cells"][0]].header
    metric = metrics_of(header["protocol"]["name"])[entry["metric"]]
    mine = [records[cell].per_sample for cell in entry["cells"]]
    reference = [records[cell].per_sample for cell in entry["reference"]]
    result = paired_difference(mine, reference, metric) if reference else summarise(mine, metric)
    again: dict[str, Any] = result._asdict()
    if "sd" in entry:
        again["sd"] = spread_over_seeds([point_value([table], metric) for table in mine]).sd
    where = f"{entry['table']}: {entry['row']}, {entry['metric']}"
    yield from _differing(where, entry, again, ("value", "low", "high", "n", "sd"))


def _header_mismatches(record: Record) -> Iterator[str]:
    """Where a record's own header says another number than its samples."""
    from reports.statistics import summarise
    from tasks.registry import metrics_of

    metrics = metrics_of(record.header["protocol"]["name"])
    for name, entry in sorted(record.metrics.items()):
        if name in metrics:
            again = summarise([record.per_sample], metrics[name])._asdict()
            yield from _differing(f"record {record.cell}: {name}", entry, again, tuple(again))


def _differing(
    where: str, said: Mapping[str, Any], again: Mapping[str, Any], names: Sequence[str]
) -> Iterator[str]:
    for name in names:
        if name in said and not _same(said[name], again[name]):
            yield f"{where}: {name} is {said[name]}, its samples give {again[name]}"


def _same(said: float | None, again: float) -> bool:
    if said is None or again != again:
        return said is None and again != again
    return isclose(said, again, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)


def _file_mismatches(path: Path, again: bytes | None, same_tools: bool) -> Iterator[str]:
    if again is None:
        yield f"{path.name}: the records give no such file"
    elif not path.is_file():
        yield f"{path.name} is missing"
    elif not same_tools and path.suffix in (".svg", ".png"):
        return
    elif _comparable(path.read_bytes(), path, same_tools) != _comparable(again, path, same_tools):
        yield f"{path.name} is not what the records give"


def _comparable(content: bytes, path: Path, same_tools: bool) -> bytes:
    """The file without its figures when other versions drew them."""
    if same_tools or path.suffix != ".html":
        return content
    return re.sub(rb"<figure.*?</figure>", b"", content, flags=re.DOTALL)


def _drawn_with() -> dict[str, str]:
    return {name: version(name) for name in DRAWN_WITH}


def _read_index(out: Path) -> dict[str, Any]:
    try:
        index = json.loads((out / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{out} holds no report ({error}): 'palmares report --out {out}' writes one."
        ) from None
    if index.get("schema") != SCHEMA:
        raise RequestError(
            f"{out / INDEX} has schema {index.get('schema')}, expected {SCHEMA}: build the report again."
        )
    return dict(index)


def _write(out: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Every file is written beside and renamed over, the index last.

    What only an older report had is removed.
    """
    try:
        old = set(_read_index(out)["files"]) if (out / INDEX).is_file() else set()
        with tempfile.TemporaryDirectory(prefix=".report-", dir=_made(out)) as beside:
            for name, content in files.items():
                _made((Path(beside) / name).parent)
                (Path(beside) / name).write_bytes(content)
            for name in sorted(files, key=lambda name: name == INDEX):
                _made((out / name).parent)
                os.replace(Path(beside) / name, out / name)
        for name in old - set(files):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise RequestError(
            f"the report cannot be written to '{out}' ({error.strerror}): give a writable folder."
        ) from None
    return [out / name for name in files]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

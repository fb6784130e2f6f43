"""A report of records: built whole, the same bytes for the same records, and verifiable number by number.

``report.json`` beside the tables names every number of the report with the metric, the records and the value.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.record import Record, read_records, to_json
from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from reports.ablations.study import Ablation, Study
    from reports.boards import Board
    from reports.figures import Drawing
    from reports.table import Number, Table

SCHEMA = 2
FORMATS = ("html", "md", "tex", "csv")
DRAWN_FORMATS = {"html", "tex"}
"""The formats that figures belong to."""
INDEX = "report.json"
DRAWN_WITH = ("matplotlib", "pillow")
RELATIVE_TOLERANCE = 1e-9
PLACE = ("board", "table", "column", "row", "metric")
RESULT = ("value", "low", "high", "n", "p", "sample_low", "sample_high", "detectable")
NUMBERS = (*RESULT, "sd", "p_holm", "rank")
"""What ``report.json`` says of a number: where it stands, and what of it is checked."""
Published = Sequence[Mapping[str, Any]]
Sweeps = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ReportOutcome:
    """The files of a report, and its leaderboard for a terminal."""

    paths: list[Path]
    leaderboard_text: str


@dataclass(frozen=True, eq=False)
class _Contents:
    """What a report is made of."""

    boards: Sequence[Board]
    studies: Sequence[Study]
    published: Published


def build_report(
    records_root: Path,
    out: Path,
    published: Published = (),
    task: str | None = None,
    formats: Sequence[str] = FORMATS,
    sweeps: Sweeps = (),
) -> ReportOutcome:
    """Write the report of every record under a folder to ``out``; the files of an older report there are
    replaced.

    ``published`` holds dicts ``{method, layout, metric, value, source}``, ``sweeps`` the declarations of sweeps
    (``reports.ablations.declared.read_sweeps``) whose ablations are to have a section. Raises RequestError for an
    unknown format or task, a declaration that is none, or an ``out`` that cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown_name("report format", name, FORMATS)
    from reports.leaderboard import leaderboard_text

    with _no_collector():
        contents = _contents(read_records(records_root), task, published, sweeps)
        files = _render(contents, formats)
        files[INDEX] = to_json(_index(contents, task, formats, files)).encode()
        return ReportOutcome(_write(Path(out), files), leaderboard_text(contents.boards))


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without the cycle collector, which of millions of small parts that all stay would only take count."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
    doubted = [replace(found[cell], trusted=False) for cell in index["cells"]]
    contents = _contents(doubted, index["task"], index["published"], index.get("sweeps", ()))
    problems = [*_header_mismatches(doubted), *_number_mismatches(index["numbers"], contents)]
    files = _render(contents, index["formats"])
    same_tools = index["drawn_with"] == _drawn_with()
    for name in sorted({*files, *index["files"]}):
        problems += _file_mismatches(Path(out) / name, files.get(name), same_tools)
    return problems


def _contents(records: Sequence[Record], task: str | None, published: Published, sweeps: Sweeps) -> _Contents:
    from reports.ablations.study import make_studies

    boards = _boards(records, task)
    return _Contents(
        boards, make_studies((s for s in sweeps if task in (None, s["task"])), records), published
    )


def _boards(records: Sequence[Record], task: str | None) -> list[Board]:
    from reports.boards import make_boards
    from tasks.registry import TASKS

    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS)
    wanted = [record for record in records if task in (None, record.header["task"])]
    return make_boards(wanted, TASKS)


def _render(contents: _Contents, formats: Sequence[str]) -> dict[str, bytes]:
    """File name -> bytes."""
    from reports.table import to_latex, to_markdown

    of_boards, of_ablations = _drawings(contents, bool(set(formats) & DRAWN_FORMATS))
    csv_files = _csv_files(contents) if {"csv", "html"} & set(formats) else {}
    files: dict[str, bytes] = {}
    if "md" in formats:
        parts = map(to_markdown, _shown_tables(contents))
        files["leaderboard.md"] = "\n".join(["# Palmares report\n", *parts]).encode()
    if "tex" in formats:
        head = "% Needs \\usepackage{booktabs,graphicx}.\n"
        files["leaderboard.tex"] = "\n".join([head, *map(to_latex, _shown_tables(contents))]).encode()
    if "csv" in formats:
        files |= {name: text.encode() for name, text in csv_files.items()}
    if "html" in formats:
        page = _page(contents, of_boards, of_ablations, csv_files, "csv" in formats)
        files["index.html"] = page.encode()
    for board, drawings in of_boards.items():
        files |= _figure_files(board.key, drawings)
    for study in contents.studies:
        for ablation in study.ablations:
            files |= _figure_files(study.key, of_ablations[ablation])
    return files


def _drawings(
    contents: _Contents, drawn: bool
) -> tuple[dict[Board, list[Drawing]], dict[Ablation, list[Drawing]]]:
    """The figures of every board and of every question; none of them where they are not ``drawn``."""
    from reports.ablations.figures import ablation_figures
    from reports.figures import board_figures

    ablations = [ablation for study in contents.studies for ablation in study.ablations]
    return (
        {board: board_figures(board) if drawn else [] for board in contents.boards},
        {each: ablation_figures(each, contents.published) if drawn else [] for each in ablations},
    )


def _figure_files(key: str, drawings: Sequence[Drawing]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for drawing in drawings:
        files[f"figures/{key}-{drawing.name}.svg"] = drawing.svg.encode()
        files[f"figures/{key}-{drawing.name}.png"] = drawing.png
    return files


def _page(
    contents: _Contents,
    of_boards: Mapping[Board, list[Drawing]],
    of_ablations: Mapping[Ablation, list[Drawing]],
    csv_files: Mapping[str, str],
    beside: bool,
) -> str:
    from reports.site.page import render_page, view_board, view_study

    published = contents.published
    return render_page(
        [view_board(board, published, drawings) for board, drawings in of_boards.items()],
        list(_rescored_tables(contents.boards)),
        csv_files,
        beside,
        [view_study(study, published, of_ablations) for study in contents.studies],
    )


def _shown_tables(contents: _Contents) -> Iterator[Table]:
    from reports.ablations.tables import study_tables
    from reports.leaderboard import absent_table, difference_table, leaderboard_table, published_tables

    for board in contents.boards:
        yield leaderboard_table(board, contents.published)
        for table in (difference_table(board), _ladder_table(board), absent_table(board)):
            if table is not None:
                yield table
        yield from published_tables(board, contents.published)
    yield from _rescored_tables(contents.boards)
    for study in contents.studies:
        yield from study_tables(study, contents.published)


def _ladder_table(board: Board) -> Table | None:
    from reports.sensitivity import ladder, sensitivity_table

    found = ladder(board)
    return sensitivity_table(found) if found else None


def _rescored_tables(boards: Sequence[Board]) -> Iterator[Table]:
    from reports.sensitivity import rescored, sensitivity_table

    return map(sensitivity_table, rescored(boards))


def _csv_files(contents: _Contents) -> dict[str, str]:
    """The long tables of all boards and sweeps, under one heading each."""
    from reports.ablations.long import ablations_csv
    from reports.long import differences_csv, metrics_csv
    from reports.sensitivity import sensitivity_csv

    boards, studies = contents.boards, contents.studies
    files = {
        "leaderboard.csv": metrics_csv(boards),
        "differences.csv": differences_csv(boards),
        "sensitivity.csv": sensitivity_csv(boards),
    }
    return files | ({"ablations.csv": ablations_csv(studies, contents.published)} if studies else {})


def _index(
    contents: _Contents, task: str | None, formats: Sequence[str], files: Mapping[str, bytes]
) -> dict[str, Any]:
    sweeps = [dict(study.declaration.said) for study in contents.studies]
    return {
        "schema": SCHEMA,
        "task": task,
        "formats": list(formats),
        "published": [dict(entry) for entry in contents.published],
        "cells": sorted(cell for board in contents.boards for row in board.rows for cell in row.cells),
        "drawn_with": _drawn_with(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        "numbers": list(_numbers(contents)),
        **({"sweeps": sweeps} if sweeps else {}),
    }


def _numbers(contents: _Contents) -> Iterator[dict[str, Any]]:
    """Every number of the tables that are shown, once per place. (The CSV files are numbers and nothing else.)"""
    from reports.ablations.tables import study_tables
    from reports.leaderboard import difference_table, every_metric_table, leaderboard_table

    for board in contents.boards:
        tables = (
            leaderboard_table(board),
            difference_table(board),
            every_metric_table(board),
            _ladder_table(board),
        )
        for table in tables:
            yield from _numbers_of(table, board.key) if table else ()
    for table in _rescored_tables(contents.boards):
        yield from _numbers_of(table, table.title)
    for study in contents.studies:
        for shown in study_tables(study):
            yield from _numbers_of(shown, study.key)


def _numbers_of(table: Table, board: str) -> Iterator[dict[str, Any]]:
    for row in table.rows:
        for column, cell in zip(table.columns, row, strict=True):
            if cell.number:
                place = {"board": board, "table": table.key, "column": column.key, "row": row[0].text}
                yield {**place, "text": cell.text, **_number_json(cell.number)}


def _number_json(number: Number) -> dict[str, Any]:
    result: dict[str, Any] = number.result._asdict()
    found: dict[str, Any] = {name: result[name] for name in RESULT if name in result}
    found |= {"sd": number.spread.sd} if number.spread and number.spread.n > 1 else {}
    found |= {"p_holm": number.corrected} if number.corrected is not None else {}
    found |= {"rank": number.rank} if number.rank is not None else {}
    return {
        "metric": number.metric,
        "cells": list(number.cells),
        "reference": list(number.reference),
        **found,
    }


def _number_mismatches(numbers: Sequence[Mapping[str, Any]], contents: _Contents) -> Iterator[str]:
    """Where a report's numbers are not those that the samples give."""
    again = {_place(entry): entry for entry in _numbers(contents)}
    for entry in numbers:
        where = f"{entry['table']}: {entry['row']}, {entry['metric']}"
        if (recomputed := again.get(_place(entry))) is None:
            yield f"{where}: its samples give no such number"
        else:
            yield from _differing(where, entry, recomputed, NUMBERS)


def _place(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(entry[key] for key in PLACE), *entry["cells"], "minus", *entry["reference"])


def _header_mismatches(records: Sequence[Record]) -> list[str]:
    """Where a record's own header says another number than its samples."""
    from reports.bulk import row_summaries
    from tasks.registry import metrics_of

    problems: list[str] = []
    for protocol in sorted({record.header["protocol"]["name"] for record in records}):
        mine = [record for record in records if record.header["protocol"]["name"] == protocol]
        for number, name, summary, _ in row_summaries([(record,) for record in mine], metrics_of(protocol)):
            record, again = mine[number], summary._asdict()
            # before schema 2, resamples were drawn in another order
            checked = [key for key in again if record.header["schema"] > 1 or key not in ("low", "high")]
            where = f"record {record.cell}: {name}"
            problems += _differing(where, record.metrics[name], again, checked)
    return sorted(problems)


def _differing(
    where: str, said: Mapping[str, Any], again: Mapping[str, Any], names: Sequence[str]
) -> Iterator[str]:
    for name in names:
        if name in said and not _same(said[name], again.get(name)):
            yield f"{where}: {name} is {said[name]}, its samples give {again.get(name)}"


def _same(said: float | None, again: float | None) -> bool:
    if said is None or again is None or again != again:
        return said is None and (again is None or again != again)
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
        old = _old_files(out)
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


def _old_files(out: Path) -> set[str]:
    """The files of the report that stands there, of whatever schema."""
    try:
        return set(json.loads((out / INDEX).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""From boards to the page. Everything that is text or a number arrives finished; here it is only arranged."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.ablations.study import Ablation, Study
from reports.ablations.tables import ablation_table, answer_notes, verdict_table
from reports.boards import Board, Row
from reports.figures import Drawing
from reports.leaderboard import (
    HOW_TO_READ,
    SHOWN_DETAILS,
    SYNTHETIC,
    absent_table,
    difference_table,
    every_metric_table,
    lead_sentence,
    leaderboard_table,
    protocol_note,
    published_tables,
)
from reports.record import Record, flatten
from reports.sensitivity import ladder, sensitivity_table
from reports.table import Table

FOLDER = Path(__file__).parent
RENDER_QUALITY = 82
EMBEDDED_CHARACTERS = 1 << 20
FACTS = ("kind", "keypoints_from", "rescored_from", "hand_name", "git_commit")


@dataclass(frozen=True)
class Picture:
    """A render of a row, as a data URI."""

    label: str
    name: str
    seed: int
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Run:
    """What the page tells of one record."""

    record: Record
    label: str
    facts: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    environment: list[tuple[str, str]]
    stages: list[dict[str, str]]


@dataclass(frozen=True)
class BoardView:
    """A board with its tables, figures and pictures."""

    board: Board
    lead: str
    leaderboard: Table
    differences: Table | None
    ladder: Table | None
    every_metric: Table
    absent: Table | None
    published: list[Table]
    drawings: list[Drawing]
    pictures: list[Picture]
    runs: list[Run]
    notes: list[str]


@dataclass(frozen=True)
class AblationView:
    """One question of a sweep with its table, figures and notes."""

    ablation: Ablation
    table: Table
    drawings: list[Drawing]
    notes: list[str]


@dataclass(frozen=True)
class StudyView:
    """A sweep with the verdicts on its questions."""

    study: Study
    verdicts: Table
    parts: list[AblationView]


def view_board(board: Board, published: Sequence[Mapping[str, Any]], drawings: list[Drawing]) -> BoardView:
    """Everything that the page shows of a board."""
    table, found, detailed = leaderboard_table(board, published), ladder(board), board.rows[:SHOWN_DETAILS]
    told = (HOW_TO_READ, SYNTHETIC, protocol_note(board))
    return BoardView(
        board,
        lead_sentence(board),
        table,
        difference_table(board),
        sensitivity_table(found) if found else None,
        every_metric_table(board),
        absent_table(board),
        published_tables(board, published),
        drawings,
        [picture for row in detailed for picture in _pictures(row)],
        [_run(row, record) for row in detailed for record in row.records],
        [note for note in table.notes if note not in told],
    )


def view_study(
    study: Study, published: Sequence[Mapping[str, Any]], drawings: Mapping[Ablation, list[Drawing]]
) -> StudyView:
    """Everything that a page shows of a sweep."""
    parts = []
    for ablation in study.ablations:
        table = ablation_table(ablation, published)
        told = [SYNTHETIC, *answer_notes(ablation)]
        notes = [note for note in table.notes if note not in told]
        parts.append(AblationView(ablation, table, drawings[ablation], notes))
    return StudyView(study, verdict_table(study), parts)


def render_page(
    views: Sequence[BoardView],
    rescored: Sequence[Table],
    downloads: Mapping[str, str],
    beside: bool,
    studies: Sequence[StudyView] = (),
) -> str:
    """The page. ``downloads`` maps a file name to its text, embedded so that the page is whole by itself.

    A text that is too long for that is linked instead where it lies ``beside`` the page.
    """
    return _render(
        "page.html.j2",
        title="Palmares report",
        style=_style(with_ablations=bool(studies)),
        views=views,
        rescored=rescored,
        studies=studies,
        downloads=_links(downloads, beside),
        how_to_read=HOW_TO_READ,
        synthetic_note=SYNTHETIC,
    )


def render_sweep_page(view: StudyView, downloads: Mapping[str, str]) -> str:
    """The page of one sweep by itself; ``downloads`` as in ``render_page``."""
    return _render(
        "sweep.html.j2",
        title=f"Palmares: {view.study.declaration.title}",
        style=_style(with_ablations=True),
        view=view,
        downloads=_links(downloads, beside=True),
    )


def _render(template: str, **parts: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(script=script, **parts)


def _style(with_ablations: bool) -> str:
    names = ("page.css", "ablations.css") if with_ablations else ("page.css",)
    return "".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def _links(downloads: Mapping[str, str], beside: bool) -> dict[str, str]:
    """File name -> what its link leads to."""
    embedded = {name: text for name, text in downloads.items() if len(text) <= EMBEDDED_CHARACTERS}
    links = {name: _uri("text/csv", text.encode()) for name, text in embedded.items()}
    return links | {name: name for name in downloads if beside and name not in links}


def _pictures(row: Row) -> list[Picture]:
    """The renders of a row's first seed, compressed for the page; the record keeps the originals."""
    from PIL import Image

    pictures = []
    for name, file in row.records[0].renders.items():
        with Image.open(file) as image:
            out = io.BytesIO()
            image.convert("RGB").save(out, "WEBP", quality=RENDER_QUALITY, method=4)
            pictures.append(
                Picture(row.label, name, row.seeds[0], _uri("image/webp", out.getvalue()), *image.size)
            )
    return pictures


def _run(row: Row, record: Record) -> Run:
    header = record.header
    facts = [("cell", record.cell), ("state", str(header.get("state"))), ("seed", str(header["seed"]))]
    facts += [(key.replace("_", " "), str(header[key])) for key in FACTS if header.get(key)]
    facts += [
        (key.replace("_", " "), str(value)) for key, value in sorted((header.get("about") or {}).items())
    ]
    facts += [
        (key.replace("_", " "), _text(value)) for key, value in sorted((header.get("cost") or {}).items())
    ]
    identity = dict(flatten(header["identity"]))
    stages = [{key: _text(value) for key, value in stage.items()} for stage in header.get("stages") or ()]
    columns = dict.fromkeys(["name", *(key for stage in stages for key in stage)])
    return Run(
        record,
        f"{row.label}, seed {header['seed']}",
        facts,
        sorted(identity.items()),
        sorted(flatten(header.get("environment") or {})),
        [{key: stage.get(key, "") for key in columns} for stage in stages],
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        parts = ((re.sub("[._]", " ", key), text) for key, text in flatten(value) if text != "{}")
        return ", ".join(f"{key} {text}" for key, text in parts)
    return "" if value is None else str(value)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

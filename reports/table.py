"""A table as data, and its renderers: Markdown, LaTeX, CSV and plain text. No renderer computes or rounds
anything.

The cells arrive finished: text to show, and the number behind it with the records that it comes from.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.statistics import Difference, Effect, Rank, Spread, Summary

Mark = Literal["", "best", "tied", "better", "worse", "absent"]

LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}", "↓": r"$\downarrow$", "↑": r"$\uparrow$",
    "\N{MINUS SIGN}": "$-$", "\N{MULTIPLICATION SIGN}": r"$\times$", "\N{EN DASH}": r"\textendash{}",
    "\N{EM DASH}": r"\textemdash{}", "±": r"$\pm$", "≈": r"$\approx$", "·": r"$\cdot$", "…": r"\ldots{}",
    "Δ": r"$\Delta$",
}  # fmt: skip

FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
"""Scales a table that is wider than the page down to it, and no other."""
WIDE = r"p{0.22\linewidth}"


@dataclass(frozen=True)
class Number:
    """A number of a report and where it comes from: a metric of records (one per seed), a difference or a rank."""

    metric: str
    cells: tuple[str, ...]
    result: Summary | Difference | Effect | Rank
    reference: tuple[str, ...] = ()
    spread: Spread | None = None
    corrected: float | None = None
    """p of a difference after the correction for its family."""
    rank: int | None = None
    """Place of the value in its column."""


@dataclass(frozen=True)
class Cell:
    """What one cell shows. ``interval`` is over test samples, ``spread`` over training seeds."""

    text: str
    interval: str = ""
    spread: str = ""
    note: str = ""
    mark: Mark = ""
    number: Number | None = None

    @property
    def sort_value(self) -> float | None:
        """The unrounded number, for sorting."""
        return self.number.result.value if self.number else None


@dataclass(frozen=True)
class Column:
    """A heading: title, unit, and the arrow that points to better. A ``wide`` column holds sentences."""

    key: str
    title: str
    unit: str = ""
    arrow: str = ""
    numeric: bool = False
    note: str = ""
    wide: bool = False

    @property
    def heading(self) -> str:
        """Title, arrow and unit in a line."""
        return " ".join(part for part in (self.title, self.arrow, self.unit) if part)


@dataclass(frozen=True)
class Table:
    """Columns, rows of cells, and the notes that must stand under it."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table '{self.key}': a row has not as many cells as there are columns")


def to_markdown(table: Table) -> str:
    """A GitHub table with its notes. The best of a column is bold."""
    rule = ["---:" if column.numeric else "---" for column in table.columns]
    head = [_markdown_escape(column.heading) for column in table.columns]
    body = [[_markdown_cell(cell) for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *body)]
    notes = [f"{_markdown_escape(note)}\n" for note in table.notes]
    return "\n".join([f"### {_markdown_escape(table.title)}\n", *lines, "", *notes]).rstrip() + "\n"


def to_latex(table: Table) -> str:
    """A ``table`` environment that needs the packages booktabs and graphicx. Everything that is text is escaped."""
    alignment = "".join("r" if column.numeric else WIDE if column.wide else "l" for column in table.columns)
    head = " & ".join(_latex_heading(column) for column in table.columns)
    body = [" & ".join(_latex_cell(cell) for cell in row) + r" \\ \addlinespace" for row in table.rows]
    notes = [rf"\par\smallskip {{\footnotesize {latex_escape(note)}}}" for note in table.notes]
    lines = [
        r"\begin{table}", r"\centering", r"\small", r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{latex_escape(table.title)}}}",
        FIT, rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", rf"{head} \\", r"\midrule",
        *body, r"\bottomrule", r"\end{tabular}}", *notes, r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """One line per row; a numeric column becomes value, low, high, n and the sd over seeds, unrounded."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for column in table.columns for name in _csv_names(column)])
    for row in table.rows:
        pairs = zip(table.columns, row, strict=True)
        writer.writerow([value for column, cell in pairs for value in _csv_values(column, cell)])
    return out.getvalue()


def to_text(table: Table, intervals: Sequence[str] = ()) -> str:
    """Aligned plain text for a terminal; ``intervals`` names the columns that show theirs."""
    titles = [column.title for column in table.columns]
    units = [f"{column.arrow} {column.unit}".strip() for column in table.columns]
    body = [
        [_text_cell(cell, column.key in intervals) for column, cell in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]
    widths = [max(len(line[i]) for line in (titles, units, *body)) for i in range(len(titles))]
    numeric = [column.numeric for column in table.columns]

    def aligned(line: list[str]) -> str:
        cells = zip(line, widths, numeric, strict=True)
        return "  ".join(text.rjust(w) if right else text.ljust(w) for text, w, right in cells).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([table.title, "", aligned(titles), aligned(units), rule, *map(aligned, body)]) + "\n"


def latex_escape(text: str) -> str:
    """Text with every character that LaTeX reads as a command, and those its fonts lack, made safe.

    Two hyphens stay two hyphens instead of becoming a dash.
    """
    parts = re.split(r"(?<=-)(?=-)", text)
    return "{}".join("".join(LATEX.get(character, character) for character in part) for part in parts)


def _markdown_escape(text: str) -> str:
    for character in ("\\", "|", "*", "_", "`", "<", ">"):
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _markdown_cell(cell: Cell) -> str:
    text = _markdown_escape(cell.text)
    text = f"**{text}**" if cell.mark == "best" and text else text
    rest = [_markdown_escape(part) for part in (cell.interval, cell.spread) if part]
    return " ".join([_tied(cell) + text, *rest])


def _latex_cell(cell: Cell) -> str:
    text = latex_escape(cell.text)
    text = rf"\textbf{{{text}}}" if cell.mark == "best" and text else text
    under = [rf"\scriptsize {latex_escape(part)}" for part in (cell.interval, cell.spread) if part]
    return _stacked([latex_escape(_tied(cell)) + text, *under])


def _latex_heading(column: Column) -> str:
    unit = " ".join(part for part in (column.arrow, column.unit) if part)
    return _stacked([latex_escape(part) for part in (column.title, unit) if part])


def _stacked(lines: list[str]) -> str:
    """Lines above each other, aligned to the right: a value over its interval keeps a table narrow."""
    if len(lines) == 1:
        return lines[0]
    return r"\begin{tabular}[t]{@{}r@{}}" + r" \\ ".join(lines) + r"\end{tabular}"


def _text_cell(cell: Cell, with_interval: bool) -> str:
    star = "*" if cell.mark == "best" else ""
    return _tied(cell) + star + cell.text + (f" {cell.interval}" if with_interval and cell.interval else "")


def _tied(cell: Cell) -> str:
    return "≈ " if cell.mark == "tied" else ""


def _csv_names(column: Column) -> list[str]:
    if not column.numeric:
        return [column.key]
    return [column.key, *(f"{column.key}_{part}" for part in ("low", "high", "n", "seeds_sd"))]


def _csv_values(column: Column, cell: Cell) -> list[str]:
    if not column.numeric:
        return [cell.text]
    if cell.number is None:
        return [cell.text if cell.mark != "absent" else "", "", "", "", ""]
    result, spread = cell.number.result, cell.number.spread
    sd = _exact(spread.sd) if spread and spread.n > 1 else ""
    return [_exact(result.value), _exact(result.low), _exact(result.high), str(result.n), sd]


def _exact(value: float) -> str:
    """Ten significant digits, as far as a sum over samples is the same on every machine."""
    return "" if value != value else f"{value:.10g}"

"""Renderers: golden files, and escaping that no text gets through."""

import csv
import io
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.statistics import Spread, Summary
from reports.table import (
    LATEX,
    Cell,
    Column,
    Number,
    Table,
    latex_escape,
    to_csv,
    to_latex,
    to_markdown,
    to_text,
)

GOLDEN = Path(__file__).parent / "golden"
RENDERERS = {"table.md": to_markdown, "table.tex": to_latex, "table.csv": to_csv}


def number(value):
    summary = Summary(value, value - 0.5, value + 0.5, 320, 4, 160, value, 2 * value)
    return Number("mpjpe_mm", ("a" * 16,), summary, spread=Spread(value, 0.125, 3))


@pytest.fixture
def table():
    columns = (
        Column("method", "Method"),
        Column("seeds", "Seeds", numeric=True),
        Column("mpjpe_mm", "MPJPE", "mm", "↓", numeric=True),
        Column("auc", "AUC_J", "", "↑", numeric=True),
    )
    rows = (
        (
            Cell("AMVUR"),
            Cell("3"),
            Cell("11.24", "[10.78, 11.73]", "sd 0.13", "", "best", number(11.24)),
            Cell("0.733"),
        ),
        (
            Cell("R&D 50% | *x*"),
            Cell("1"),
            Cell("\N{MINUS SIGN}0.10", "[\N{MINUS SIGN}0.2, 0.1]", mark="tied", number=number(-0.1)),
            Cell(""),
        ),
        (Cell("Mean hand"), Cell("1"), Cell("n/a", note="no such head", mark="absent"), Cell("0.5")),
    )
    return Table(
        "board", "single_hand: synthetic data", columns, rows, ("Protocol freihand/1: 50 mm & more.",)
    )


@pytest.mark.parametrize("name", RENDERERS)
def test_renderer_gives_the_golden_file(table, name):
    text = RENDERERS[name](table)
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_plain_text_is_aligned_and_shows_intervals_where_asked(table):
    lines = to_text(table, intervals=("mpjpe_mm",)).splitlines()
    assert lines[0] == "single_hand: synthetic data"
    rows = lines[5:]
    assert rows[0] == "AMVUR              3  *11.24 [10.78, 11.73]  0.733"
    assert rows[1].split("  ")[0] == "R&D 50% | *x*"
    assert "≈ \N{MINUS SIGN}0.10 [\N{MINUS SIGN}0.2, 0.1]" in rows[1]


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="as many cells"):
        Table("t", "t", (Column("a", "A"),), ((Cell("1"), Cell("2")),))


def unescape(latex):
    """The reverse of the table of escapes, longest first, by a scanner of its own."""
    back = {escaped: character for character, escaped in LATEX.items()} | {"-{}": "-"}
    pattern = "|".join(re.escape(escaped) for escaped in sorted(back, key=len, reverse=True))
    return re.sub(pattern, lambda match: back[match[0]], latex)


@given(st.text(alphabet=st.sampled_from([*LATEX, *"abc 019.,:-"]), max_size=40))
def test_latex_escape_leaves_no_command_and_can_be_read_back(text):
    escaped = latex_escape(text)
    rest = re.sub(r"-\{\}|\\[a-zA-Z]+\{\}|\\[{}$&#%_]|\$\\?[a-zA-Z-]+\$|\{\[\}|\{\]\}", "", escaped)
    assert not set(rest) & set("\\{}$&#%_~^[]")
    assert unescape(escaped) == text


@pytest.mark.parametrize("text", [r"\input{secret}", "50% & 60 $", "a_b^c~d", "#1 {x}", r"\\ \hline"])
def test_latex_tables_stay_tables_whatever_the_names(text):
    latex = to_latex(
        Table("t", text, (Column("a", text), Column("b", "B")), ((Cell(text), Cell(text)),), (text,))
    )
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0].strip()
    assert body.endswith(r"\\ \addlinespace")
    assert len(re.findall(r"(?<!\\)&", body)) == 1
    assert "%" not in latex.replace(r"\%", "").replace("{!}{%\n", "")
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))), min_size=1, max_size=4)
)
def test_markdown_cells_never_break_the_row(texts):
    table = Table("t", "t", tuple(Column(str(i), "x") for i in range(len(texts))), (tuple(map(Cell, texts)),))
    row = to_markdown(table).splitlines()[4]
    assert len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) == len(texts) + 1


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00")), min_size=2, max_size=4))
def test_csv_reads_back_what_was_written(texts):
    table = Table("t", "t", tuple(Column(str(i), "x") for i in range(len(texts))), (tuple(map(Cell, texts)),))
    assert list(csv.reader(io.StringIO(to_csv(table), newline="")))[1] == texts


def test_csv_holds_the_unrounded_number_and_blank_for_absent(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert (rows[0]["mpjpe_mm"], rows[0]["mpjpe_mm_low"], rows[0]["mpjpe_mm_n"]) == ("11.24", "10.74", "320")
    assert rows[0]["mpjpe_mm_seeds_sd"] == "0.125"
    assert rows[2]["mpjpe_mm"] == ""

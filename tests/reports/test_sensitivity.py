"""How rows move with the protocol, and external rows beside the others."""

import csv
import io
import json
import re

import pytest

from reports.boards import make_boards
from reports.leaderboard import leaderboard_table
from reports.record import read_record, read_records
from reports.report import build_report, verify_report
from reports.sensitivity import ladder, rescored, sensitivity_csv, sensitivity_table
from tasks.registry import PROTOCOLS, TASKS


def boards_of(root):
    return make_boards(read_records(root), TASKS)


def test_the_ladder_shows_value_and_rank_under_every_alignment(board):
    table = sensitivity_table(ladder(board))
    names = TASKS["single_hand"].ladder
    assert [column.key for column in table.columns][2:-1] == list(names)
    for name, cells in zip(names, zip(*(row[2:-1] for row in table.rows), strict=True), strict=True):
        values = [row.summary(name).value for row in board.rows]
        assert [cell.number.result.value for cell in cells] == values
        assert [cell.number.rank for cell in cells] == [
            1 + sum(v < value for v in values) for value in values
        ]
        assert [cell.interval for cell in cells] == [f"rank {cell.number.rank}" for cell in cells]


def test_the_last_column_says_through_which_ranks_a_row_moves(board):
    for row in sensitivity_table(ladder(board)).rows:
        ranks = {cell.number.rank for cell in row[2:-1]}
        assert row[-1].text == (str(ranks.pop()) if len(ranks) == 1 else f"{min(ranks)} to {max(ranks)}")


def test_records_without_the_ladder_have_no_such_table(tmp_path, fabricate):
    fabricate(tmp_path, without=TASKS["single_hand"].ladder)
    assert ladder(boards_of(tmp_path)[0]) is None


@pytest.fixture
def rescored_root(tmp_path, fabricate):
    """Two methods under FreiHAND's protocol and, by the same predictions, the house's, where they change places."""
    root, house = tmp_path / "records", PROTOCOLS["house"].header()
    for method, level, strict in (("amvur", 10.0, 20.0), ("halo", 14.0, 12.0)):
        cell = read_record(fabricate(root, level, method=method)).cell
        fabricate(root, strict, method=method, protocol=house, rescored_from=cell, cell=f"{cell[:12]}beef")
    fabricate(root, 12.0, method="mean_hand")
    return root


def test_the_same_predictions_under_several_protocols_stand_in_one_table(rescored_root):
    (found,) = rescored(boards_of(rescored_root))
    table = sensitivity_table(found)
    assert [column.title for column in table.columns][2:-1] == ["freihand/1: MPJPE", "house/1: MPJPE"]
    shown = {row[0].text: [cell.number.rank for cell in row[2:-1]] for row in table.rows}
    assert shown == {"AMVUR": [1, 2], "HALO": [2, 1]}
    assert {row[-1].text for row in table.rows} == {"1 to 2"}
    assert table.notes[-1].startswith("1 of 1 pairs of rows change places")


def test_without_a_second_protocol_there_is_no_such_table(board):
    assert rescored([board]) == []


def test_every_format_the_index_and_verify_hold_the_sensitivity(rescored_root, tmp_path):
    out = tmp_path / "report"
    build_report(rescored_root, out)
    for name in ("index.html", "leaderboard.md", "leaderboard.tex"):
        text = re.sub(r"<[^>]+>", "", (out / name).read_text(encoding="utf-8"))
        assert "under several protocols" in text
        assert "similarity or reflection" in text
    lines = list(csv.DictReader(io.StringIO((out / "sensitivity.csv").read_text(encoding="utf-8"))))
    assert {line["table"] for line in lines} == {"ladder", "protocols"}
    index = json.loads((out / "report.json").read_text())
    entry = next(number for number in index["numbers"] if number["table"] == "protocols")
    assert verify_report(out, rescored_root) == []
    entry["rank"] += 1
    (out / "report.json").write_text(json.dumps(index))
    (problem,) = verify_report(out, rescored_root)
    assert "rank is" in problem


def test_the_long_form_holds_every_value_and_rank(board):
    lines = list(csv.DictReader(io.StringIO(sensitivity_csv([board]))))
    assert len(lines) == len(board.rows) * len(TASKS["single_hand"].ladder)
    assert {line["rank"] for line in lines} == {"1", "2", "3", "4"}


def test_an_external_row_is_ranked_and_says_what_it_is(tmp_path, fabricate):
    about = {"training_data": "FreiHAND and 10 more", "test_time": "flip average"}
    fabricate(tmp_path / "records", 8.0, method="Acme <v2>", method_title="Acme <v2>", kind="external", preset=None,
              stages=[], about=about)  # fmt: skip
    fabricate(tmp_path / "records", 10.0, method="amvur")
    (board,) = boards_of(tmp_path / "records")
    table = leaderboard_table(board)
    assert [(row[0].text, row[1].text) for row in table.rows] == [
        ("Acme <v2>", "external"),
        ("AMVUR", "tiny"),
    ]
    assert board.ranks[board.rows[0]].value == 1
    said = "Acme <v2> (external), as handed in: test time: flip average; training data: FreiHAND and 10 more."
    assert said in table.notes
    assert any(note.startswith("External rows were scored from a file") for note in table.notes)
    build_report(tmp_path / "records", tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Acme &lt;v2&gt; (external), as handed in" in page
    assert verify_report(tmp_path / "report", tmp_path / "records") == []

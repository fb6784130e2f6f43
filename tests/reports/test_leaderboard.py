"""What the tables say."""

import csv
import io

import pytest

from reports.boards import make_boards
from reports.leaderboard import (
    absent_table,
    difference_table,
    fixed,
    lead_sentence,
    leaderboard_table,
    leaderboard_text,
    published_tables,
    signed,
)
from reports.long import metrics_csv
from reports.record import PLAIN_VARIANTS, read_records
from reports.statistics import paired_difference
from reports.table import to_markdown
from tasks.registry import METRICS, PROTOCOLS, TASKS

PUBLISHED = [
    {"method": "AMVUR", "layout": "freihand", "metric": "pa_mpjpe_mm", "value": 6.2, "source": "Table 3"},
    {"method": "METRO", "layout": "freihand", "metric": "pa_mpjpe_mm", "value": 0.1, "source": "Table 3"},
    {"method": "AMVUR", "layout": "ho3d_v2", "metric": "pa_mpjpe_mm", "value": 8.3, "source": "Table 4"},
    {"method": "METRO", "layout": "ho3d_v2", "metric": "pa_mpjpe_mm", "value": 10, "source": "Table 4"},
    {"method": "AMVUR", "layout": "ho3d_v2", "metric": "unheard_of", "value": 1, "source": "Table 4"},
]


def column(table, key):
    index = [c.key for c in table.columns].index(key)
    return [row[index] for row in table.rows]


def test_headline_metrics_stand_in_the_tasks_order_the_best_row_first(board):
    table = leaderboard_table(board)
    shown = [c.key for c in table.columns if c.key in METRICS]
    assert shown == [name for name in TASKS["single_hand"].headline if name in shown]
    values = [cell.number.result.value for cell in column(table, "mpjpe_mm")]
    assert values == sorted(values)
    assert [cell.mark for cell in column(table, "mpjpe_mm")] == ["best", "", "", ""]


def test_a_cell_shows_value_interval_and_apart_from_it_the_spread_over_seeds(board):
    first, second, *_ = column(leaderboard_table(board), "mpjpe_mm")
    records = board.rows[0].records
    mean = sum(record.metrics["mpjpe_mm"]["value"] for record in records) / 3
    assert first.text == f"{mean:.2f}"
    assert first.spread.startswith("sd 0.")
    assert second.spread == ""
    assert first.number.cells == tuple(record.cell for record in records)
    low, high = first.interval.strip("[]").split(", ")
    assert float(low) < mean < float(high)


def test_an_absent_metric_says_why_and_has_no_number(board):
    cells = column(leaderboard_table(board), "psnr_db")
    assert [(cell.text, cell.note) for cell in cells[1::2]] == [("n/a", "no texture head")] * 2
    reasons = absent_table(board)
    assert {(row[0].text, row[2].text) for row in reasons.rows} == {
        ("MANO regressor (tiny)", "no texture head"),
        ("Mean hand (tiny)", "no texture head"),
    }


def test_protocol_and_synthetic_label_stand_under_and_on_the_table(board):
    table, protocol = leaderboard_table(board), PROTOCOLS["freihand"]
    assert "synthetic data" in table.title
    assert any(note == f"Protocol {protocol.label}: {protocol.text}" for note in table.notes)
    assert any("synthetic" in note for note in table.notes)


def test_differences_are_paired_and_coloured_by_their_verdict(board):
    table = difference_table(board)
    weak, mean_hand = column(table, "mpjpe_mm")[1:]
    rows = {row.label: [record.per_sample for record in row.records] for row in board.rows}
    expected = paired_difference(rows["Mean hand (tiny)"], rows["MANO regressor (tiny)"], METRICS["mpjpe_mm"])
    assert mean_hand.number.result == expected
    assert (weak.mark, mean_hand.mark) == ("worse", "worse")
    assert mean_hand.text == f"+{expected.value:.2f}"
    assert "MANO regressor (tiny) is better; 48 shared samples in 16 clusters" in mean_hand.note
    assert "psnr_db" not in [c.key for c in table.columns]


def test_no_reference_no_difference_table(tmp_path, fabricate):
    fabricate(tmp_path, method="amvur")
    (board,) = make_boards(read_records(tmp_path), TASKS)
    assert difference_table(board) is None


def test_published_numbers_stand_apart_and_are_never_ranked(board):
    table = leaderboard_table(board, PUBLISHED)
    assert [cell.text for cell in column(table, "published")] == ["PA-MPJPE 6.2", "", "", ""]
    assert all(cell.number is None for cell in column(table, "published"))
    assert not any("METRO" in cell.text for row in table.rows for cell in row)
    assert column(table, "pa_mpjpe_mm")[0].mark == "best"
    freihand, ho3d = published_tables(board, PUBLISHED)
    assert [row[0].text for row in freihand.rows] == ["AMVUR", "METRO"]
    assert all(cell.mark == "" for row in freihand.rows for cell in row)
    assert freihand.rows[0][-1].text == "Table 3"
    assert ho3d.title.endswith("published on ho3d_v2, real data")
    assert [row[1].text for row in ho3d.rows] == ["8.3", "10.0"]
    assert "unheard_of" not in to_markdown(ho3d)


def test_what_was_published_for_a_variant_stands_beside_that_variant_alone(board):
    variant = board.rows[2].header["variant"]
    assert variant not in PLAIN_VARIANTS
    of_variant = {**PUBLISHED[0], "value": 7.5, "variant": variant}
    table = leaderboard_table(board, [*PUBLISHED, of_variant])
    assert [cell.text for cell in column(table, "published")] == ["PA-MPJPE 6.2", "", "PA-MPJPE 7.5", ""]


def entry(method, value, **more):
    return {
        "method": method,
        "layout": "freihand",
        "metric": "mpjpe_mm",
        "value": value,
        "source": "S",
        **more,
    }


GIVEN, ALONE = "image and true keypoints", "image only"
SETTINGS = [
    entry("Mean hand", 9.5),
    entry("AMVUR", 5.5, setting=GIVEN, inputs="keypoints", flags=["true keypoints"]),
    entry("AMVUR", 7.5, setting=ALONE, inputs="image", flags=[]),
    entry("METRO", 6.5, setting=GIVEN, inputs="image, L", flags=["true hand length"]),
    entry("METRO", 8.5, setting=ALONE, inputs="image", flags=[]),
]


def test_what_was_published_for_a_setting_stands_beside_the_rows_that_saw_the_same(tmp_path, fabricate):
    for title, flags in (("AMVUR", ["true keypoints"]), ("AMVUR", []), ("METRO", []), ("Mean hand", [])):
        fabricate(tmp_path, method=title.lower(), method_title=title, flags=flags, config={"flags": flags})
    (board,) = make_boards(read_records(tmp_path), TASKS)
    table = leaderboard_table(board, SETTINGS)
    columns = {c.title: c.key for c in table.columns if c.title.startswith("Published")}
    assert set(columns) == {f"Published, real data{end}" for end in ("", f", {GIVEN}", f", {ALONE}")}
    seen = zip(*(column(table, key) for key in ("method", "sees", *sorted(columns.values()))), strict=True)
    assert {tuple(cell.text for cell in row) for row in seen} == {
        ("AMVUR", "true keypoints", "", "MPJPE 5.5", ""),
        ("AMVUR", "", "", "", "MPJPE 7.5"),
        ("METRO", "", "", "", "MPJPE 8.5"),
        ("Mean hand", "", "MPJPE 9.5", "", ""),
    }


def test_every_setting_has_a_table_of_its_own_with_its_inputs(board):
    plain, given, alone = published_tables(board, SETTINGS)
    assert [t.title.split("real data")[1] for t in (plain, given, alone)] == ["", f", {GIVEN}", f", {ALONE}"]
    assert len({table.key for table in (plain, given, alone)}) == 3
    assert [c.key for c in plain.columns] == ["method", "mpjpe_mm", "source"]
    assert [c.key for c in given.columns] == ["method", "inputs", "mpjpe_mm", "source"]
    shown = [[tuple(cell.text for cell in row[:3]) for row in table.rows] for table in (given, alone)]
    assert shown[0] == [("AMVUR", "keypoints", "5.5"), ("METRO", "image, L", "6.5")]
    assert shown[1] == [("AMVUR", "image", "7.5"), ("METRO", "image", "8.5")]


def test_numbers_by_another_protocol_or_on_another_tasks_data_are_not_shown(board):
    others = [entry("AMVUR", 1.5, protocol="house"), entry("AMVUR", 2.5) | {"layout": "interhand26m"}]
    assert published_tables(board, others) == []
    assert not any(c.key.startswith("published") for c in leaderboard_table(board, others).columns)
    (table,) = published_tables(board, [*others, entry("AMVUR", 3.5, protocol="freihand")])
    assert [cell.text for cell in column(table, "mpjpe_mm")] == ["3.5"]


def test_the_long_table_holds_every_metric_of_every_row_once(board):
    rows = list(csv.DictReader(io.StringIO(metrics_csv([board]))))
    keys = [(row["method"], row["setting"], row["metric"]) for row in rows]
    assert len(keys) == len(set(keys))
    amvur = next(row for row in rows if row["metric"] == "mpjpe_mm")
    assert float(amvur["value"]) == pytest.approx(board.rows[0].summary("mpjpe_mm").value, rel=1e-9)
    assert (amvur["seeds"], amvur["synthetic"], amvur["value_n"]) == ("0 1 2", "true", "48")


def test_the_terminal_sees_leaderboard_protocol_and_paired_difference(board):
    text = leaderboard_text([board])
    assert "synthetic data" in text.splitlines()[0]
    assert f"Protocol {PROTOCOLS['freihand'].label}" in text
    assert "AMVUR (tiny) minus MANO regressor (tiny): " in text
    assert max(map(len, text.splitlines())) <= 160


def test_the_page_begins_with_who_leads_and_by_how_much(board):
    lead = lead_sentence(board)
    best, reference = board.rows[0].summary("mpjpe_mm"), board.rows[1].label
    assert lead.startswith(f"AMVUR (tiny) has the lowest MPJPE: {best.value:.2f} mm [")
    assert f"AMVUR (tiny) minus {reference}: " in lead


def test_without_records_the_terminal_is_told_what_to_do():
    assert "palmares run" in leaderboard_text([])


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.005, "1.00"), (-0.001, "0.00"), (-1.5, "\N{MINUS SIGN}1.50"), (float("nan"), "undefined")],
)
def test_numbers_have_fixed_decimals_and_no_negative_zero(value, text):
    assert fixed(value, 2) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.5, "+1.5"), (-1.5, "\N{MINUS SIGN}1.5"), (0.0, "0.0"), (float("nan"), "undefined")]
)
def test_differences_carry_their_sign(value, text):
    assert signed(value, 1) == text

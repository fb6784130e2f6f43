"""What the tables of a sweep say, number by number, and their golden files."""

import csv
import io
import os
from pathlib import Path

import pytest

from reports.ablations.long import HEADING, ablations_csv
from reports.ablations.tables import ablation_table, study_tables, verdict_table
from reports.record import read_records
from reports.statistics import Effect, Summary
from reports.table import to_latex, to_markdown

GOLDEN = Path(__file__).parents[1] / "golden"
PUBLISHED = [
    {"method": "AMVUR", "layout": "freihand", "metric": "mpjpe_mm", "value": 9.4, "source": "Table 5"},
    {"method": "amvur", "layout": "freihand", "metric": "mpjpe_mm", "value": 12.5, "source": "Table 5",
     "variant": "layers=0", "setting": "50 epochs"},
    {"method": "AMVUR", "layout": "freihand", "metric": "pa_mpjpe_mm", "value": 1.5, "source": "another metric"},
    {"method": "AMVUR", "layout": "ho3d_v2", "metric": "mpjpe_mm", "value": 2.5, "source": "other data"},
    {"method": "AMVUR", "layout": "freihand", "metric": "mpjpe_mm", "value": 3.5, "source": "another protocol",
     "protocol": "house"},
    {"method": "METRO", "layout": "freihand", "metric": "mpjpe_mm", "value": 4.5, "source": "another method"},
    {"method": "AMVUR", "layout": "freihand", "metric": "mpjpe_mm", "value": 5.5, "source": "saw something else",
     "flags": ["true keypoints"]},
]  # fmt: skip
STAGE = {
    "name": "regressor",
    "train_s": 900.0,
    "workers": 2,
    "device": "x86_64 CPU, 3 threads",
    "cached": True,
}
COST = {"train_s": 0.0, "workers": 1, "cpus_per_worker": 4, "gpus_per_worker": 0.0}
TOLD = {"stages": [STAGE], "cost": COST}


def column(table, key):
    index = [column.key for column in table.columns].index(key)
    return [row[index] for row in table.rows]


def texts(table, key):
    return [cell.text for cell in column(table, key)]


def only(study):
    (ablation,) = study.ablations
    return ablation


@pytest.fixture
def mixed(sweep):
    """A value with every seed, one without any, one with a single seed, and the default."""
    changes = {0: TOLD, 1: {"seeds": ()}, 2: {"seeds": (0,)}}
    return sweep.default(**TOLD).axis(
        "depth", "layers", {0: 14.0, 1: 12.0, 2: 11.0, 4: 10.0}, changes=changes
    )


@pytest.mark.parametrize(("name", "renderer"), [("ablation.md", to_markdown), ("ablation.tex", to_latex)])
def test_a_table_of_a_sweep_under_way_is_the_golden_file(mixed, name, renderer):
    text = "\n".join(map(renderer, study_tables(mixed.study(), PUBLISHED)))
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_values_stand_as_they_were_written_in_declared_order(mixed):
    table = ablation_table(only(mixed.study()))
    assert texts(table, "depth") == ["0", "1", "2", "4"]
    assert texts(table, "setting") == ["", "", "", "reference"]
    assert table.columns[0].title == "layers"
    assert "synthetic data" in table.title


def test_a_value_shows_both_error_bars_apart(mixed):
    ablation = only(mixed.study())
    cell = column(ablation_table(ablation), "mpjpe_mm")[0]
    values = ablation.row(ablation.variants[0], "mpjpe_mm").seed_values("mpjpe_mm")
    assert isinstance(cell.number.result, Summary)
    assert cell.text == f"{sum(values) / 3:.2f}"
    assert cell.interval == f"[{cell.number.result.low:.2f}, {cell.number.result.high:.2f}]"
    assert cell.spread == f"sd {cell.number.spread.sd:.2f}"


def test_a_difference_holds_both_sources_and_names_the_cells_that_it_is_of(mixed):
    ablation = only(mixed.study())
    clear, missing, single, reference = column(ablation_table(ablation), "mpjpe_mm-difference")
    effect = clear.number.result
    assert isinstance(effect, Effect)
    assert (clear.text, clear.mark) == (f"+{effect.value:.2f}", "worse")
    assert clear.interval == f"[{effect.low:.2f}, {effect.high:.2f}]"
    assert clear.spread == f"sd {effect.seed_sd:.2f}, 3 seeds"
    assert "48 shared samples in 16 clusters, 3 shared seeds; p " in clear.note
    assert clear.number.cells == tuple(record.cell for record in ablation.variants[0].records)
    assert clear.number.reference == tuple(record.cell for record in ablation.reference.records)
    assert (missing.text, missing.mark, missing.number) == ("n/a", "absent", None)
    assert single.interval.endswith("] over samples alone")
    assert (single.mark, single.spread) == ("", "")
    assert (reference.text, reference.number) == ("", None)


def test_each_row_says_what_follows_and_what_could_have_been_shown(mixed):
    table = ablation_table(only(mixed.study()))
    words = ["clearly worse", "not comparable yet", "undecided: one seed", ""]
    assert texts(table, "mpjpe_mm-verdict") == words
    effect = column(table, "mpjpe_mm-difference")[0].number.result
    assert texts(table, "mpjpe_mm-detectable") == [f"{effect.detectable:.2f}", "", "", ""]


def test_seeds_done_of_seeds_asked_and_those_to_come(mixed):
    cells = column(ablation_table(only(mixed.study())), "seeds")
    assert [cell.text for cell in cells] == ["3/3", "0/3", "1/3", "3/3"]
    assert [cell.note for cell in cells[1:3]] == [
        "seeds none done; to come: 0, 1, 2",
        "seeds 0 done; to come: 1, 2",
    ]


def test_training_counts_stages_that_were_reused(mixed):
    assert texts(ablation_table(only(mixed.study())), "cost") == ["2.0 CPU-h", "n/a", "n/a", "2.0 CPU-h"]


def test_published_numbers_stand_beside_the_variant_that_they_are_of_and_no_other(mixed):
    ablation = only(mixed.study())
    assert texts(ablation_table(ablation, PUBLISHED), "published") == [
        "MPJPE 12.5 (50 epochs)",
        "",
        "",
        "MPJPE 9.4",
    ]
    assert "published" not in [each.key for each in ablation_table(ablation, PUBLISHED[2:]).columns]


def test_a_metric_that_some_seeds_lack_says_over_how_many_it_is(sweep):
    changes = {0: {"lacking": (1,)}, 1: {"lacking": (0, 1, 2)}}
    sweep.default().axis("depth", "layers", {0: 14.0, 1: 12.0, 4: 10.0}, changes=changes)
    table = ablation_table(only(sweep.study()))
    some, none, _ = column(table, "mpjpe_mm")
    assert some.spread.endswith(", 2 of 3 seeds")
    assert some.note.endswith("; the others have none: no texture head")
    assert len(some.number.cells) == 2
    assert (none.text, none.note, none.mark) == ("n/a", "no texture head", "absent")
    assert texts(table, "seeds") == ["3/3", "3/3", "3/3"]
    assert column(table, "mpjpe_mm-difference")[0].number.result.seeds == 2


def test_rows_that_saw_different_things_say_so(sweep):
    changes = {0: {"flags": ["true scale"]}}
    table = ablation_table(
        only(sweep.default().axis("depth", "layers", {0: 14.0, 4: 10.0}, changes=changes).study())
    )
    assert texts(table, "sees") == ["true scale", "known intrinsics"]


def test_a_grid_has_a_column_for_each_axis_and_a_group_of_columns_for_each_metric(grid):
    table = ablation_table(only(grid.study(grid=True)))
    assert texts(table, "depth") == ["1", "1", "4", "4"]
    assert texts(table, "supervision") == ["full", "weak", "full", "weak"]
    headings = [each.title for each in table.columns]
    for title in (
        "MPJPE: minus 4 · full",
        "MPJPE: could show",
        "PA-MPVPE: minus 4 · full",
        "PA-MPVPE: verdict",
    ):
        assert title in headings
    assert texts(table, "setting") == ["", "", "reference", ""]
    assert any(
        note.startswith("MPJPE: 1 · full, 1 · weak and 4 · weak are clearly worse") for note in table.notes
    )


def test_the_table_of_verdicts_says_what_was_expected_on_whose_word_and_what_became_of_it(sweep):
    sweep.default().axis("depth", "layers", {0: 14.0, 4: 10.0})
    sweep.axis("supervision", "supervision", {"full": 10.0, "weak": 6.0}, metric="pa_mpjpe_mm")
    table = verdict_table(sweep.study())
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["depth", "What does depth do?", "MPJPE ↓ mm", "better", "the paper",
         "confirmed: 4 is clearly better than 0"],
        ["supervision", "What does supervision do?", "PA-MPJPE ↓ mm", "better", "the paper",
         "contradicted: weak is clearly better than full"],
    ]  # fmt: skip
    assert [cell.mark for cell in column(table, "verdict")] == ["better", "worse"]
    assert any(note.startswith("Protocol freihand/") for note in table.notes)


def lines_of(study, published=()):
    return list(csv.DictReader(io.StringIO(ablations_csv([study], published))))


def test_the_long_table_has_a_line_for_every_number(mixed):
    study = mixed.study()
    lines = lines_of(study, PUBLISHED)
    counts = {
        kind: sum(line["number"] == kind for line in lines) for kind in {line["number"] for line in lines}
    }
    assert counts == {"verdict": 1, "value": 3, "difference": 2, "training": 4, "published, real data": 2}
    assert tuple(lines[0]) == HEADING
    assert {line["synthetic"] for line in lines} == {"true"}
    (verdict,) = (line for line in lines if line["number"] == "verdict")
    assert verdict["verdict"] == f"better: {only(study).verdicts[only(study).axes[0]].sentence}"


def test_the_long_table_holds_unrounded_numbers_with_where_they_come_from(mixed):
    ablation = only(mixed.study())
    lines = lines_of(mixed.study())
    value, difference = (
        next(line for line in lines if (line["number"], line["setting"]) == (kind, "0"))
        for kind in ("value", "difference")
    )
    effect = ablation.comparison(ablation.variants[0], "mpjpe_mm").effect
    for name in (
        "value",
        "low",
        "high",
        "sample_low",
        "sample_high",
        "p",
        "freedom",
        "detectable",
        "seed_sd",
    ):
        assert float(difference[name]) == pytest.approx(getattr(effect, name), rel=1e-9)
    assert float(value["value"]) == pytest.approx(ablation.mean(ablation.variants[0], "mpjpe_mm"), rel=1e-9)
    assert (value["n"], value["seeds"], value["seeds_asked"], value["p"]) == ("48", "3", "3", "")
    cells = {record.cell for record in read_records(mixed.root / "records")}
    assert set(difference["cells"].split()) < cells
    assert difference["reference_cells"].split() == [record.cell for record in ablation.reference.records]


def test_what_one_seed_leaves_unknown_is_blank_and_never_zero(mixed):
    line = next(
        line for line in lines_of(mixed.study()) if line["setting"] == "2" and line["number"] == "difference"
    )
    assert [line[name] for name in ("low", "high", "p", "p_holm", "freedom", "detectable", "seed_sd")] == [
        ""
    ] * 7
    assert line["sample_low"]
    assert line["verdict"] == "undecided: one seed"

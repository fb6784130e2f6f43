"""Two rows by name: found, paired, and refused when they do not belong together."""

import json

import pytest

from reports.compare import compare, compare_text
from reports.record import read_records
from reports.statistics import paired_difference
from tasks.errors import RequestError
from tasks.registry import METRICS


def tables(root, method, variant="default"):
    found = [r for r in read_records(root) if (r.header["method"], r.header["variant"]) == (method, variant)]
    return [record.per_sample for record in sorted(found, key=lambda record: record.header["seed"])]


def test_methods_are_compared_over_all_their_seeds(records_root):
    found = compare(records_root, "amvur", "mean_hand", "pa_mpjpe_mm")
    expected = paired_difference(
        tables(records_root, "amvur"), tables(records_root, "mean_hand"), METRICS["pa_mpjpe_mm"]
    )
    numbers = [found[key] for key in ("difference", "low", "high", "n", "clusters", "p")]
    assert numbers == list(expected)
    assert (found["metric"], found["unit"], found["verdict"]) == (
        "pa_mpjpe_mm",
        "mm",
        "AMVUR (tiny) is better",
    )
    assert len(found["a_cells"]) == 3
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_first_headline_metric_is_compared_unless_one_is_named(records_root):
    assert compare(records_root, "amvur", "mean_hand")["metric"] == "mpjpe_mm"


@pytest.mark.parametrize(
    "name", ["amvur@supervision=weak", "AMVUR (tiny · supervision=weak)", "amvur@tiny · supervision=weak"]
)
def test_a_variant_is_named_by_method_and_variant_or_as_it_is_shown(records_root, name):
    assert compare(records_root, name, "amvur")["a"] == "AMVUR (tiny · supervision=weak)"


def test_a_cell_or_its_beginning_means_that_seed_alone(records_root):
    cells = [
        r.cell
        for r in read_records(records_root)
        if r.header["method"] == "amvur" and r.header["variant"] == "default"
    ]
    whole, begun = (
        compare(records_root, cells[0], "mean_hand"),
        compare(records_root, cells[0][:9], "mean_hand"),
    )
    assert whole == begun
    assert whole["a_cells"] == [cells[0]]
    seeds = compare(records_root, cells[0], cells[1])
    assert seeds["a"] != seeds["b"]


@pytest.mark.parametrize(
    ("a", "b", "metric", "words"),
    [
        ("amvr", "mean_hand", None, "did you mean 'amvur'"),
        ("amvur", "amvur", None, "the same row"),
        ("amvur", "mean_hand", "mpjpe", "did you mean 'mpjpe_mm'"),
        ("amvur", "mean_hand", "psnr_db", r"Mean hand \(tiny\) has no psnr_db: no texture head"),
    ],
)
def test_a_wrong_request_is_one_sentence(records_root, a, b, metric, words):
    with pytest.raises(RequestError, match=words) as error:
        compare(records_root, a, b, metric)
    assert "\n" not in str(error.value)


def test_a_name_that_means_several_rows_lists_them(tmp_path, fabricate):
    fabricate(tmp_path, method="mean_hand")
    for preset in ("tiny", "small"):
        fabricate(tmp_path, method="amvur", preset=preset, config={"size": preset})
    with pytest.raises(
        RequestError, match=r"means several rows: .*amvur@small.*amvur@tiny|amvur@tiny.*amvur@small"
    ):
        compare(tmp_path, "amvur", "mean_hand")
    assert compare(tmp_path, "amvur@small", "mean_hand")["a"] == "AMVUR (small)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"protocol": {"name": "house", "version": 1, "text": ""}},
            r"protocol differs \(freihand/1 and house/1\)",
        ),
        ({"data_fingerprint": "0" * 16}, "data differs"),
        ({"layout": "ho3d_v2"}, r"layout differs \(freihand and ho3d_v2\)"),
    ],
)
def test_rows_of_different_boards_are_refused_with_the_reason(tmp_path, fabricate, changes, words):
    fabricate(tmp_path, method="amvur")
    fabricate(tmp_path, method="mean_hand", **changes)
    with pytest.raises(RequestError, match=words):
        compare(tmp_path, "amvur", "mean_hand")


def test_people_read_difference_verdict_and_what_it_rests_on(records_root):
    first, second, third = compare_text(records_root, "amvur", "mean_hand").splitlines()
    assert first.startswith("AMVUR (tiny) minus Mean hand (tiny): MPJPE \N{MINUS SIGN}")
    assert "p = " in first
    assert second == "AMVUR (tiny) is better."
    assert (
        third == "Paired over 48 test samples, in 16 clusters; freihand layout, test split, synthetic data."
    )


def test_rows_that_saw_unlike_inputs_are_compared_and_it_is_said(tmp_path, fabricate):
    fabricate(tmp_path, method="amvur", flags=[])
    fabricate(tmp_path, method="oracle", flags=["true scale"], level=5.0)
    note = compare(tmp_path, "amvur", "oracle")["note"]
    assert "Not alike: AMVUR (tiny) saw the image alone, ORACLE (tiny) true scale." in note

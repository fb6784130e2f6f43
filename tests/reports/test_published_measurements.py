"""Measurements that are kept in the repository: every table for people is made from the numbers beside it."""

import json
from pathlib import Path

import pytest

import reports
from tests.benchmarks import bench_gpu_training, bench_sweep_sharing
from tests.benchmarks.publishing import markdown

PUBLISHED = Path(reports.__file__).parent / "published"
STEPS = sorted(PUBLISHED.glob("gpu_training_steps_*.json"))
SHARING = sorted(PUBLISHED.glob("sweep_sharing_*.json"))
MEASURED = [(path, bench_gpu_training.COLUMNS) for path in STEPS]
MEASURED += [(path, bench_sweep_sharing.COLUMNS) for path in SHARING]


def read(path):
    facts = json.loads(path.read_text())
    return facts, facts.pop("rows")


def test_there_are_some_and_no_others():
    assert STEPS
    assert SHARING
    assert sorted(PUBLISHED.glob("*.json")) == sorted(STEPS + SHARING)


@pytest.mark.parametrize(("path", "columns"), MEASURED, ids=lambda value: getattr(value, "stem", ""))
def test_a_table_is_made_from_the_numbers_beside_it(path, columns):
    facts, rows = read(path)
    assert path.with_suffix(".md").read_text() == markdown(facts, columns, rows)
    assert facts["device"]
    assert len(facts["commit"]) >= 40
    assert all(set(columns) <= set(row) for row in rows)


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_numbers_of_a_step_agree_with_each_other(path):
    for row in read(path)[1]:
        assert (row["precision"], row["compile"]) in bench_gpu_training.SETTINGS
        assert row["images_per_s"] == pytest.approx(1000 * row["batch_size"] / row["step_ms"], rel=0.01)


@pytest.mark.parametrize("path", SHARING, ids=lambda path: path.stem)
def test_cells_that_share_a_gpu_fit_on_it(path):
    for row in read(path)[1]:
        assert row["share"] * row["at_once"] <= 1
        assert row["packing"] <= 1
        assert row["cells_s"] < row["command_s"]

"""Measurements that are kept in the repository: every table for people is made from the numbers beside it."""

import json
from pathlib import Path

import pytest

import reports
from tests.benchmarks.bench_gpu_training import COLUMNS, SETTINGS, markdown

MEASURED = sorted((Path(reports.__file__).parent / "published").glob("gpu_training_steps_*.json"))


def test_there_are_some():
    assert MEASURED


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_a_table_is_made_from_the_numbers_beside_it(path):
    facts = json.loads(path.read_text())
    rows = facts.pop("rows")
    assert path.with_suffix(".md").read_text() == markdown(facts, rows)


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_its_numbers_agree_with_each_other_and_say_where_they_come_from(path):
    facts = json.loads(path.read_text())
    assert facts["device"]
    assert len(facts["commit"]) >= 40
    for row in facts["rows"]:
        assert set(COLUMNS) <= set(row)
        assert (row["precision"], row["compile"]) in SETTINGS
        assert row["images_per_s"] == pytest.approx(1000 * row["batch_size"] / row["step_ms"], rel=0.01)

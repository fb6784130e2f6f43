"""Rows in blocks: the same bits as row by row, whatever the records hold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports.boards import make_boards
from reports.bulk import row_differences, row_ranks, row_summaries
from reports.record import read_records, write_record
from reports.statistics import paired_difference, summarise
from tasks.registry import TASKS, metrics_of

METRICS = metrics_of("freihand")
NAMES = ("mpjpe_mm", "auc_joints", "calibration_error")


def punctured(table, seed):
    """Holes in every column, elsewhere for every seed."""
    rng = np.random.default_rng(seed)
    holes = rng.random((len(table), table.shape[1] - 1)) < 0.1
    return pd.concat([table[["cluster"]], table.drop(columns="cluster").mask(holes)], axis=1)


@pytest.fixture(params=[False, True], ids=["whole", "with holes"])
def rows(request, tmp_path, header, samples):
    """Five rows of one to three seeds."""
    found = []
    for number in range(5):
        for seed in range(1 + number % 3):
            table = samples(10 + number / 4, seed)
            table = punctured(table, 10 * number + seed) if request.param else table
            write_record(tmp_path, header(config={"width": number}, seed=seed), table, {})
    boards = make_boards(read_records(tmp_path), TASKS)
    found = sorted(boards[0].rows, key=lambda row: row.header["identity"]["config"]["width"])
    return [row.records for row in found]


def same(a, b):
    return np.array_equal(np.array(a, float), np.array(b, float), equal_nan=True)


def test_summaries_in_blocks_have_the_bits_of_one_row(rows):
    metrics = {name: METRICS[name] for name in NAMES}
    found = list(row_summaries(rows, metrics))
    assert len(found) == len(rows) * len(NAMES)
    for number, name, summary, seeds in found:
        tables = [record.per_sample for record in rows[number]]
        assert same(summary, summarise(tables, metrics[name]))
        assert len(seeds) == len(tables)


def test_differences_in_blocks_have_the_bits_of_one_pair(rows):
    metrics = {name: METRICS[name] for name in NAMES}
    reference = [record.per_sample for record in rows[2]]
    found = list(row_differences(rows, rows[2], metrics))
    assert len(found) == len(rows) * len(NAMES)
    for number, name, difference in found:
        tables = [record.per_sample for record in rows[number]]
        assert same(difference, paired_difference(tables, reference, metrics[name]))


def test_doubted_records_give_the_bits_of_trusted_ones(rows):
    doubted = [tuple(replace(record, trusted=False) for record in row) for row in rows]
    metrics = {name: METRICS[name] for name in NAMES}
    for ours, theirs in zip(row_summaries(rows, metrics), row_summaries(doubted, metrics), strict=True):
        assert ours[:2] == theirs[:2]
        assert same(ours[2], theirs[2])
    assert row_ranks(rows, METRICS["mpjpe_mm"]) == row_ranks(doubted, METRICS["mpjpe_mm"])


def test_the_header_holds_what_a_row_by_itself_gives(rows):
    (record,) = rows[0]
    for name in NAMES:
        entry = record.metrics[name]
        summary = summarise([record.per_sample], METRICS[name])._asdict()
        assert {key: entry[key] for key in summary} == {
            key: None if value != value else value for key, value in summary.items()
        }


def test_rows_on_other_samples_are_ranked_on_those_that_all_share(tmp_path, header, samples):
    whole, part = samples(10.0), samples(11.0).iloc[:30]
    write_record(tmp_path, header(method="amvur"), whole, {})
    write_record(tmp_path, header(method="halo"), part, {})
    (board,) = make_boards(read_records(tmp_path), TASKS)
    ranks = {row.method: rank for row, rank in board.ranks.items()}
    assert {rank.n for rank in ranks.values()} == {30}
    assert {rank.value for rank in ranks.values()} == {1, 2}
    amvur, halo = (next(row for row in board.rows if row.method == name) for name in ("amvur", "halo"))
    assert board.difference(amvur, halo, "mpjpe_mm").n == 30


def test_a_row_that_lacks_samples_which_others_have_is_never_best(tmp_path, header, samples):
    table = samples(1.0)
    table.iloc[:3, table.columns.get_loc("mpjpe_mm")] = np.nan
    write_record(tmp_path, header(method="halo"), table, {})
    write_record(tmp_path, header(method="amvur"), samples(10.0), {})
    (board,) = make_boards(read_records(tmp_path), TASKS)
    assert board.best("mpjpe_mm", ("known intrinsics",)).method == "amvur"


def test_a_row_with_few_of_the_samples_is_not_ranked(tmp_path, header, samples):
    table = samples(1.0)
    table.iloc[:30, table.columns.get_loc("mpjpe_mm")] = np.nan
    write_record(tmp_path, header(method="halo"), table, {})
    write_record(tmp_path, header(method="amvur"), samples(10.0), {})
    (board,) = make_boards(read_records(tmp_path), TASKS)
    assert [row.method for row in board.ranks] == ["amvur"]

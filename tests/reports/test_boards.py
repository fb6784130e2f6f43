"""Who may stand beside whom."""

import pytest

from reports.boards import make_boards
from reports.record import read_records
from tasks.registry import TASKS


def boards_of(root):
    return make_boards(read_records(root), TASKS)


def test_seeds_of_one_setting_are_one_row(records_root):
    (board,) = boards_of(records_root)
    assert [(row.title, row.setting, row.seeds) for row in board.rows] == [
        ("AMVUR", "tiny", [0, 1, 2]),
        ("MANO regressor", "tiny", [0]),
        ("AMVUR", "tiny · supervision=weak", [0]),
        ("Mean hand", "tiny", [0]),
    ]


def test_settings_that_differ_anywhere_are_not_seeds_of_each_other(tmp_path, fabricate):
    fabricate(tmp_path, seed=0, config={"width": 64})
    fabricate(tmp_path, seed=1, config={"width": 128})
    (board,) = boards_of(tmp_path)
    assert [row.seeds for row in board.rows] == [[0], [1]]


@pytest.mark.parametrize(
    "changes",
    [
        {"synthetic": False},
        {"data_fingerprint": "0" * 16},
        {"protocol": {"name": "freihand", "version": 2, "text": ""}},
        {"layout": "ho3d_v2"},
        {"split": "train"},
    ],
)
def test_what_cannot_be_compared_is_on_another_board(tmp_path, fabricate, changes):
    fabricate(tmp_path)
    fabricate(tmp_path, **changes, method="mean_hand", level=5.0)
    first, second = boards_of(tmp_path)
    assert (len(first.rows), len(second.rows)) == (1, 1)
    assert first.key != second.key or "synthetic" in changes


def test_a_record_of_an_unknown_task_is_left_out(tmp_path, fabricate):
    fabricate(tmp_path, task="juggling")
    assert boards_of(tmp_path) == []


def test_the_best_is_best_of_those_who_saw_the_same(tmp_path, fabricate):
    fabricate(tmp_path, method="oracle", level=1.0, flags=["true scale"])
    fabricate(tmp_path, method="amvur", level=10.0)
    fabricate(tmp_path, method="mean_hand", level=20.0)
    (board,) = boards_of(tmp_path)
    best = board.best("mpjpe_mm", ("known intrinsics",))
    assert best is not None
    assert best.method == "amvur"
    assert board.best("mpjpe_mm", ("true scale",)) is None


def test_direction_decides_what_is_best(tmp_path, fabricate):
    fabricate(tmp_path, method="amvur")
    fabricate(tmp_path, method="mean_hand", level=20.0)
    (board,) = boards_of(tmp_path)
    by_value = {row.method: row.summary("auc_joints").value for row in board.rows}
    assert board.best("auc_joints", ("known intrinsics",)).method == max(by_value, key=by_value.get)


def test_a_row_is_tied_when_the_paired_interval_to_the_best_holds_zero(tmp_path, fabricate):
    fabricate(tmp_path, method="amvur", level=10.0)
    fabricate(tmp_path, method="halo", level=10.02)
    fabricate(tmp_path, method="mean_hand", level=20.0)
    (board,) = boards_of(tmp_path)
    tied = {row.method for row in board.rows if board.tied_with_best(row, "mpjpe_mm")}
    best = board.best("mpjpe_mm", ("known intrinsics",))
    assert tied == {"amvur", "halo"} - {best.method}


def test_the_reference_is_the_one_with_the_nearest_setting(tmp_path, fabricate):
    fabricate(tmp_path, method="mano_regressor", preset="tiny", data_fingerprint="1" * 16)
    fabricate(
        tmp_path,
        method="mano_regressor",
        preset="small",
        data_fingerprint="1" * 16,
        config={"w": 2},
        level=5.0,
    )
    fabricate(tmp_path, method="amvur", preset="tiny", data_fingerprint="1" * 16, variant="supervision=weak")
    (board,) = boards_of(tmp_path)
    amvur = next(row for row in board.rows if row.method == "amvur")
    reference = board.reference_for(amvur)
    assert reference is not None
    assert reference.setting == "tiny"
    assert board.reference_for(reference) is None


def test_a_metric_that_one_seed_lacks_is_not_averaged_over_the_others(tmp_path, fabricate):
    fabricate(tmp_path, seed=0)
    fabricate(tmp_path, seed=1, without=("psnr_db",))
    (board,) = boards_of(tmp_path)
    assert board.rows[0].summary("psnr_db") is None
    assert board.rows[0].why_absent("psnr_db") == "no texture head"

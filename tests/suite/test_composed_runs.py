"""Cells that are given another cell's predictions: what is run, what is shared, and how they stand in a report."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from methods.registry import METHODS
from reports.boards import make_boards
from reports.compare import compare
from reports.leaderboard import leaderboard_table, published_texts
from reports.record import read_record, read_records
from reports.report import build_report
from suite.home import Home, read_json
from suite.keypoints import keypoints_shard
from suite.run import run_cells
from suite.shards import write_arrays
from suite.status import every_cell
from suite.stored import keypoints_of, predict, rescore
from suite.train import Resources
from tasks.errors import RequestError
from tasks.registry import TASKS
from tests.suite import standins
from tests.suite.pairs import counting, dying_after, pair_cells

HERE = Resources(workers=0)


def stages(header):
    return {stage["name"]: stage for stage in header["stages"]}


@pytest.fixture(scope="module")
def ready(tmp_path_factory, run_pairs):
    """A home with ``nudge+relay``, its source and ``relay``, and the headers of the three."""
    home = Home(tmp_path_factory.mktemp("home"))
    composed = run_pairs(home, "nudge+relay")
    plain = run_pairs(home, "relay")
    source = read_record(home.records / composed["identity"]["inputs"]["keypoints"]["cell"]).header
    return home, composed, source, plain


@pytest.fixture
def copied(ready, tmp_path):
    """The same home, to be changed."""
    home, *headers = ready
    return Home(shutil.copytree(home.root, tmp_path / "home")), *headers


def test_the_source_is_run_first_and_is_a_row_of_its_own(ready):
    home, composed, source, plain = ready
    assert (source["method"], source["state"]) == ("nudge", "done")
    assert composed["inputs"]["keypoints"] == source["identity"]
    assert {record.cell for record in read_records(home.records)} == {
        header["cell"] for header in (composed, source, plain)
    }


def test_the_header_says_where_the_keypoints_come_from(ready):
    _, composed, source, plain = ready
    assert (composed["method"], composed["method_title"]) == ("nudge+relay", "Nudge + Relay")
    assert composed["identity"]["method"] == "relay"
    assert [h["keypoints_from"] for h in (composed, source, plain)] == ["Nudge", None, "truth"]
    assert composed["flags"] == ["true joints", "true fits"]
    assert plain["flags"] == ["true keypoints", "true fits"]


def maps_of(home, header):
    """The trained stages of the relay, in order."""
    maps = []
    for stage in header["stages"]:
        maps.append(standins.Map())
        state = torch.load(home.stages / stage["key"] / "weights.pt", weights_only=True)
        maps[-1].load_state_dict(state)
    return maps


@torch.no_grad()
def test_the_method_is_given_what_the_sources_record_says_of_each_frame(ready):
    home, composed, source, _ = ready
    given, found = (
        read_record(home.records / header["cell"]).prediction("joints_cam_m") for header in (source, composed)
    )
    expected = torch.from_numpy(given)
    for stage in maps_of(home, composed):
        expected = stage(expected)
    assert np.isnan(given).any(), "hands are missing in some frames"
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_keypoints_come_by_id_whatever_the_order(ready):
    home, _, source, _ = ready
    record = read_record(home.records / source["cell"])
    ids = list(record.per_sample.index)
    reverse = keypoints_of(home, source["cell"], ids[::-1])
    np.testing.assert_array_equal(reverse[::-1], record.prediction("joints_cam_m"))
    with pytest.raises(RequestError, match="does not hold the predictions of the test set"):
        keypoints_of(home, source["cell"], [*ids[:-1], "another"])
    with pytest.raises(RequestError, match="does not hold the predictions of the test set"):
        keypoints_of(home, source["cell"], ids[:-1])


def test_stages_on_true_keypoints_are_shared_and_those_on_predicted_ones_are_not(copied, run_pairs):
    home, composed, _, plain = copied
    mine, others = stages(composed), stages(plain)
    assert list(mine) == ["polish", "first", "second"]
    assert list(others) == ["first", "second"]
    for name in others:
        assert mine[name]["key"] == others[name]["key"]
        assert (mine[name]["cached"], others[name]["cached"]) == (False, True)
    polished = stages(run_pairs(home, "relay", polish="on"))
    assert polished["polish"]["key"] != mine["polish"]["key"]
    assert "keypoints" not in polished["polish"]


def test_a_stage_that_reads_keypoints_learns_to_undo_what_the_source_does(copied, run_pairs):
    """The nudge moves every joint by a centimetre along each axis."""
    home, *_ = copied
    header = run_pairs(home, "nudge+relay", training__epochs=40, augment__flip=0)
    kept = np.load(home.keypoints / stages(header)["polish"]["keypoints"] / "train" / "joints_cam_m.npy")
    assert kept.shape == (16, 2, 21, 3)
    assert np.isnan(kept[:, :, 0, 0]).any(axis=1).sum() == 8, "frames of one hand have keypoints of one"
    given = torch.from_numpy(kept[np.isfinite(kept).all(axis=-1)])
    moved_m = maps_of(home, header)[0](given).detach() - given
    assert moved_m.mean(dim=0).tolist() == pytest.approx([-0.01] * 3, abs=0.004)


def test_another_source_setting_is_another_cell_with_a_stage_of_its_own(copied, run_pairs):
    home, composed, _, _ = copied
    other = run_pairs(home, "nudge+relay", nudge__offset_m=0.03)
    assert other["variant"] == "nudge.offset_m=0.03"
    assert other["cell"] != composed["cell"]
    assert other["inputs"]["keypoints"]["config"]["offset_m"] == 0.03
    mine, theirs = stages(composed), stages(other)
    assert mine["polish"]["key"] != theirs["polish"]["key"]
    assert mine["second"]["key"] == theirs["second"]["key"]
    row = read_record(home.records / other["identity"]["inputs"]["keypoints"]["cell"]).header
    assert (row["method"], row["variant"]) == ("nudge", "offset_m=0.03")


def test_nothing_of_the_source_is_run_again(copied, pairs_data, monkeypatch):
    """Neither predicted nor trained: without its weights, with its record and its kept keypoints alone."""
    home, composed, source, _ = copied
    shutil.move(home.records / composed["cell"], home.root / "aside")
    (weights,) = [home.stages / stage["key"] for stage in source["stages"]]
    shutil.move(weights, home.root / "weights")
    monkeypatch.setattr(standins.Nudge, "predict", lambda *arguments: pytest.fail("predicted again"))
    (again,) = run_cells(home, pair_cells(home, pairs_data, "nudge+relay"), HERE)
    assert again["metrics"] == composed["metrics"]
    assert all(stage["cached"] for stage in again["stages"])


def test_the_truth_as_a_source_is_the_same_cell(ready, pairs_data):
    home, _, _, plain = ready
    (cell,) = pair_cells(home, pairs_data, "truth+relay")
    assert cell.id == plain["cell"]


def test_kept_keypoints_are_predicted_once_and_go_on_after_a_kill(tmp_path, run_pairs, monkeypatch):
    home, count = Home(tmp_path), []
    monkeypatch.setattr("suite.shards.SHARD_SAMPLES", 4)
    monkeypatch.setattr("suite.keypoints.write_arrays", dying_after(3, write_arrays))
    with pytest.raises(KeyboardInterrupt):
        run_pairs(home, "nudge+relay")
    assert len(list(home.keypoints.glob("*/shards/*.npz"))) == 3
    assert not list(home.keypoints.glob("*/samples.json"))
    monkeypatch.undo()
    monkeypatch.setattr("suite.shards.SHARD_SAMPLES", 4)
    monkeypatch.setattr("suite.keypoints.keypoints_shard", counting(count, keypoints_shard))
    assert run_pairs(home, "nudge+relay")["state"] == "done"
    assert len(count) == 16 // 4 + 8 // 4 - 3
    assert not list(home.keypoints.glob("*/shards"))


def test_an_image_that_cannot_be_read_has_no_keypoints_and_stops_nothing(tmp_path, run_pairs, pairs_data):
    root = shutil.copytree(pairs_data, tmp_path / "data")
    image = sorted(root.glob("images/train/**/*.jpg"))[0]
    image.write_bytes(b"damaged")
    home = Home(tmp_path / "home")
    (header,) = run_cells(home, pair_cells(home, root, "nudge+relay"), HERE)
    assert header["state"] == "done", header["reason"]
    (kept,) = home.keypoints.glob("*/train/joints_cam_m.npy")
    assert np.isnan(np.load(kept)).all(axis=(1, 2, 3)).sum() == 1


def test_the_failure_of_the_source_is_the_failure_of_the_composed_cell(
    tmp_path, run_pairs, pairs_data, monkeypatch
):
    home, tried = Home(tmp_path), []

    def fails(self, module, batches):
        tried.append(module)
        raise ValueError("no light")

    monkeypatch.setattr(standins.NudgeStage, "fit", fails)
    cells = [
        *pair_cells(home, pairs_data, "nudge+relay"),
        *pair_cells(home, pairs_data, "nudge+relay", weight=1),
    ]
    headers = run_cells(home, cells, HERE)
    assert [header["state"] for header in headers] == ["failed", "failed"]
    for header in headers:
        assert "its source of keypoints, 'nudge'" in header["reason"]
        assert "no light" in header["reason"]
    assert len(tried) == 1, "a source that failed is not run again for the next cell"
    assert sorted(h["method"] for h in every_cell(home)) == ["nudge", "nudge+relay", "nudge+relay"]
    monkeypatch.undo()
    (healed,) = run_cells(home, cells[:1], HERE)
    assert healed["state"] == "done"


def test_a_source_that_another_process_runs_is_waited_for(tmp_path, run_pairs, pairs_data, monkeypatch):
    import os

    from suite.lease import Lease

    home = Home(tmp_path)
    (cell,) = pair_cells(home, pairs_data, "nudge+relay")
    with Lease(home.cells / cell.source.id):
        pid = os.getpid()
        monkeypatch.setattr("suite.lease.os.getpid", lambda: pid + 1)
        (header,) = run_cells(home, [cell], HERE)
    assert header["state"] == "planned"
    assert cell.source.id in header["reason"]


def test_a_cell_is_stale_when_its_sources_method_has_moved_on(ready, monkeypatch):
    home, composed, source, plain = ready
    spec = METHODS["nudge"]
    monkeypatch.setitem(METHODS, "nudge", replace(spec, version=2))
    states = {h["cell"]: h for h in every_cell(home)}
    assert states[composed["cell"]]["state"] == "stale"
    assert states[composed["cell"]]["reason"] == "method version of its keypoints ('nudge') 1 is now 2"
    assert states[source["cell"]]["reason"] == "method version 1 is now 2"
    assert states[plain["cell"]]["state"] == "done"
    monkeypatch.setitem(METHODS, "relay", replace(METHODS["relay"], version=2))
    states = {h["cell"]: h for h in every_cell(home)}
    assert "method version 1 is now 2; method version of its" in states[composed["cell"]]["reason"]


def test_a_rescored_cell_is_the_one_that_a_run_under_that_protocol_would_be(copied, pairs_data):
    home, composed, _, _ = copied
    (again,) = rescore(home, [composed["cell"]], "house_two_hands", pairs_data)
    (cell,) = pair_cells(home, pairs_data, "nudge+relay")
    from tasks.registry import PROTOCOLS

    house = PROTOCOLS["house_two_hands"]
    ran = replace(cell, protocol=house, source=replace(cell.source, protocol=house))
    assert again["cell"] == ran.id
    assert again["inputs"] == ran.header()["inputs"]
    assert again["method"] == "nudge+relay"


def boards_of(home):
    (board,) = make_boards(read_records(home.records), TASKS)
    return board


def test_seeds_of_a_composed_method_are_one_row_although_each_has_its_own_source(tmp_path, run_pairs):
    home = Home(tmp_path)
    run_pairs(home, "nudge+relay", seeds=(0, 1))
    rows = {row.method: row for row in boards_of(home).rows}
    assert {name: row.seeds for name, row in rows.items()} == {"nudge": [0, 1], "nudge+relay": [0, 1]}


def test_the_leaderboard_shows_the_sources_and_ranks_by_what_was_seen(ready):
    home, *_ = ready
    board = boards_of(home)
    table = leaderboard_table(board)
    keys = [column.key for column in table.columns]
    shown = {row[0].text: row[keys.index("keypoints")].text for row in table.rows}
    assert shown["Nudge + Relay"] == "Nudge"
    assert shown["Relay"] == "truth"
    assert shown["Nudge"] == ""
    places = {row.method: board.ranks[row].value for row in board.rows if row.method in ("relay", "nudge")}
    assert places == {"relay": 1, "nudge": 1}, "rows that saw other things are ranked apart"


@pytest.mark.parametrize("name", ["Nudge + Relay", "nudge + relay", "nudge+relay"])
def test_published_numbers_find_composed_rows_by_title_or_name(ready, name):
    home, _, _, _ = ready
    board = boards_of(home)
    row = next(row for row in board.rows if row.method == "nudge+relay")
    published = [
        {"method": name, "layout": "interhand26m", "metric": "mpjpe_mm", "value": 12.5, "source": "x"}
    ]
    assert published_texts(row, board, published)[""].endswith("12.5")


def test_rows_are_compared_by_such_names(ready):
    home, composed, _, plain = ready
    for other in ("relay@tiny", "truth+relay"):
        found = compare(home.records, "nudge+relay@tiny", other, "mrrpe_mm")
        assert found["a_cells"] == [composed["cell"]]
        assert found["b_cells"] == [plain["cell"]]


def test_a_cell_without_a_source_is_told_by_what_it_was_told_before(ready):
    _, _, source, plain = ready
    assert "inputs" not in plain["identity"]
    assert "inputs" not in source["identity"]
    assert plain["inputs"] == {}


def test_the_plan_of_a_cell_under_way_holds_its_inputs(ready):
    home, composed, _, _ = ready
    assert read_json(home.records / composed["cell"] / "record.json")["inputs"] == composed["inputs"]


def test_its_predictions_are_written_in_the_official_format(ready, pairs_data, tmp_path):
    home, composed, _, _ = ready
    out = predict(home, composed["cell"], tmp_path / "pred.npz", pairs_data)
    assert {"joint_coord", "rel_root_depth", "hand_type"} <= set(np.load(out).files)


def test_the_page_says_whose_keypoints_a_row_has_and_what_was_left_out(ready, tmp_path):
    home, *_ = ready
    build_report(home.records, tmp_path / "report", formats=("html",))
    page = (tmp_path / "report" / "index.html").read_text()
    for text in ("keypoints from Nudge", "keypoints from truth", "train left out one hand 8"):
        assert text in page

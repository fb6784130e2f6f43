"""Servers that go and come, answers that are lost, drivers that are killed: one run per cell, and the right one."""

import json

import pytest

from reports.tracking.live import LiveMirror
from reports.tracking.mirror import Mirror
from reports.tracking.sweeps import MirroredSweep
from reports.tracking.sync import sync
from tests.reports.tracking.seeing import (
    all_runs,
    artifact_names,
    counts,
    declaration,
    family,
    only_run,
    points,
    state_of,
    states,
    steps_of,
    wait_until,
)

FILES = {"ablation.md": b"| depth |", "depth.svg": b"<svg/>"}


@pytest.fixture
def live(home):
    """Live mirrors that are closed in the end, and ask again at once."""
    made = []

    def make(retry_s=0.05):
        made.append(LiveMirror(home, retry_s))
        return made[-1]

    yield make
    for mirror in made:
        mirror.close()


def goes_down(wire, mirror):
    """The server is down, and the mirror has seen it."""
    wire.is_down = True
    wait_until(lambda: mirror.gave_up)


def comes_back(wire, mirror):
    wire.is_down = False
    wait_until(lambda: not mirror.gave_up)


def test_a_sweep_that_began_without_a_server_has_its_cells_as_children(home, wire, live, header, fabricate):
    early, done, later = (header(seed=seed) for seed in range(3))
    said, mirror = declaration(early, done, later), live()
    wire.is_down = True
    mirror.begin_sweep(said)
    mirror.start(early)
    mirror.start(done)
    mirror.finish(fabricate(home / "records", seed=1))
    goes_down(wire, mirror)
    comes_back(wire, mirror)
    mirror.start(later)
    running, finished = ("RUNNING", "running"), ("FINISHED", "done")
    expected = {
        early["cell"]: running,
        done["cell"]: finished,
        later["cell"]: running,
        said["sweep"]: running,
    }
    wait_until(lambda: states(home) == expected)
    assert len(family(home)[1]) == 3


def test_a_sweep_that_had_no_server_until_its_end_is_mirrored_whole_when_it_is_closed(
    home, wire, live, header, fabricate
):
    cells = [header(seed=seed) for seed in range(2)]
    mirror = live(retry_s=3600)
    wire.is_down = True
    mirror.begin_sweep(declaration(*cells))
    for seed, cell in enumerate(cells):
        mirror.start(cell)
        mirror.finish(fabricate(home / "records", seed=seed))
    mirror.end_sweep(declaration(*cells), FILES, "done")
    goes_down(wire, mirror)
    wire.is_down = False
    mirror.close()
    parent, children = family(home)
    assert {state_of(run) for run in (parent, *children.values())} == {("FINISHED", "done")}
    client = Mirror(home).store.client
    assert artifact_names(client, parent) == {"ablation/ablation.md", "ablation/depth.svg"}
    assert [children[cell["cell"]].data.tags["palmares.value"] for cell in cells] == ["default", "1"]


def test_what_no_server_heard_until_the_end_is_made_right_by_sync(home, wire, live, header, fabricate):
    begun, done, failed, cut_off = (header(seed=seed) for seed in range(4))
    said, mirror = declaration(begun, done, failed, cut_off), live()
    mirror.begin_sweep(said)
    for cell in (begun, failed, cut_off):
        mirror.start(cell)
    wait_until(lambda: len(all_runs(home)) == 4)
    mirror.log(begun["cell"], points(0, 3))
    wire.is_down = True
    mirror.log(begun["cell"], points(3, 5))
    mirror.finish(fabricate(home / "records", seed=0))
    mirror.start(done)
    mirror.finish(fabricate(home / "records", seed=1))
    mirror.fail(failed["cell"], "out of memory")
    mirror.end_sweep(said, FILES, "failed")
    mirror.close()
    assert mirror.gave_up
    wire.is_down = False
    unfinished = [
        {**failed, "state": "failed", "reason": "out of memory"},
        {**cut_off, "state": "planned", "reason": "cut off"},
    ]
    outcome = sync(home, [MirroredSweep(said, FILES, "failed")], unfinished)
    assert (len(outcome.mirrored), outcome.failed) == (5, {})
    assert len(family(home)[1]) == 4
    assert states(home) == {
        said["sweep"]: ("FAILED", "failed"),
        begun["cell"]: ("FINISHED", "done"),
        done["cell"]: ("FINISHED", "done"),
        failed["cell"]: ("FAILED", "failed"),
        cut_off["cell"]: ("KILLED", "stopped"),
    }
    rows = counts(home)
    assert sync(home, [MirroredSweep(said, FILES, "failed")], unfinished).mirrored == []
    assert counts(home) == rows


def test_a_server_that_is_away_for_a_while_misses_no_point_and_no_failure(home, wire, live, header):
    cell, mirror = header(), live()
    mirror.start(cell)
    mirror.log(cell["cell"], points(0, 3))
    wait_until(lambda: wire.requests.count("log_batch") >= 3)
    wire.is_down = True
    mirror.log(cell["cell"], points(2, 6))
    goes_down(wire, mirror)
    mirror.fail(cell["cell"], "loss is not finite")
    comes_back(wire, mirror)
    mirror.close()
    _, run = only_run(home)
    assert state_of(run) == ("FAILED", "failed")
    assert run.data.tags["palmares.reason"] == "loss is not finite"
    assert steps_of(home, run) == list(range(6))


@pytest.mark.parametrize("request_", ["create_run", "log_batch", "set_terminated", "create_experiment"])
def test_an_answer_that_was_lost_makes_no_second_run(home, wire, live, header, fabricate, request_):
    wire.loses_answer_of = request_
    mirror = live()
    mirror.start(header())
    mirror.log(header()["cell"], points(0, 5))
    mirror.finish(fabricate(home / "records"))
    mirror.close()
    assert wire.loses_answer_of is None
    _, run = only_run(home)
    assert state_of(run) == ("FINISHED", "done")
    assert steps_of(home, run) == list(range(40))


def test_a_request_that_mlflows_client_sent_twice_makes_no_second_run(home, wire, live, header):
    wire.sends_twice = "create_run"
    mirror = live()
    mirror.begin_sweep(declaration(header()))
    mirror.start(header())
    mirror.close()
    family(home)


def test_a_cell_whose_driver_was_killed_is_finished_by_another_one(home, live, header, fabricate):
    Mirror(home).begin(header())
    mirror = live()
    mirror.start(header())
    mirror.finish(fabricate(home / "records"))
    mirror.close()
    _, run = only_run(home)
    assert state_of(run) == ("FINISHED", "done")


def test_a_cell_whose_driver_was_killed_and_that_is_given_up_has_failed(home, live, header):
    Mirror(home).begin(header())
    mirror = live()
    mirror.start(header())
    mirror.fail(header()["cell"], "its process was killed 3 times")
    mirror.close()
    _, run = only_run(home)
    assert state_of(run) == ("FAILED", "failed")


def test_what_is_closed_before_its_end_does_not_say_that_it_runs(home, live, header):
    mirror = live()
    mirror.begin_sweep(declaration(header()))
    mirror.start(header())
    mirror.log(header()["cell"], points(0, 3))
    mirror.close()
    parent, children = family(home)
    (child,) = children.values()
    assert state_of(parent) == state_of(child) == ("KILLED", "stopped")
    assert steps_of(home, child) == [0, 1, 2]


def test_a_cell_that_another_process_works_on_still_runs_when_this_one_is_closed(home, live, header):
    lease = home / "cells" / header()["cell"] / "lease.json"
    lease.parent.mkdir(parents=True)
    lease.write_text(json.dumps({"pid": 1}))
    mirror = live()
    mirror.start(header())
    mirror.close()
    _, run = only_run(home)
    assert state_of(run) == ("RUNNING", "running")


def test_a_cell_that_another_process_has_finished_is_finished(home, live, header, fabricate):
    fabricate(home / "records")
    sync(home)
    mirror = live()
    mirror.start(header())
    mirror.close()
    _, run = only_run(home)
    assert state_of(run) == ("FINISHED", "done")


def test_a_run_that_was_begun_again_after_its_record_was_mirrored_is_finished_by_sync(
    home, header, fabricate
):
    fabricate(home / "records")
    sync(home)
    Mirror(home).begin(header())
    assert sync(home).mirrored == [header()["cell"]]
    _, run = only_run(home)
    assert state_of(run) == ("FINISHED", "done")


def test_a_process_that_is_killed_anywhere_while_it_mirrors_leaves_a_run_that_sync_completes(
    home, wire, fabricate
):
    fabricate(home / "records")
    wire.dies_at = number = 1
    whole = None
    while whole is None:
        wire.requests.clear()
        wire.dies_at = number
        try:
            sync(home)
        except KeyboardInterrupt:
            wire.dies_at = None
            for run in all_runs(home) if counts(home)["experiments"] > 1 else ():
                assert "palmares.record" not in run.data.tags
        else:
            whole, wire.dies_at = number, None
        number += 1
    assert whole > 8
    _, run = only_run(home)
    assert state_of(run) == ("FINISHED", "done")
    assert steps_of(home, run) == list(range(40))
    rows = counts(home)
    assert sync(home).mirrored == []
    assert counts(home) == rows


def test_a_cell_that_mlflow_refuses_keeps_no_other_from_it(home, live, header, fabricate, caplog):
    mirror = live()
    mirror.start(header(seed=7, task="x" * 600))
    mirror.finish(fabricate(home / "records"))
    mirror.close()
    assert not mirror.gave_up
    _, run = only_run(home)
    assert state_of(run) == ("FINISHED", "done")
    assert len([said for said in caplog.records if said.name == "reports.tracking.live"]) == 1


def test_a_run_that_somebody_deletes_while_its_cell_runs_is_made_anew(home, live, header):
    mirror = live()
    mirror.start(header())
    wait_until(lambda: states(home) == {header()["cell"]: ("RUNNING", "running")})
    client, run = only_run(home)
    client.delete_run(run.info.run_id)
    mirror.log(header()["cell"], points(0, 3))
    wait_until(lambda: all_runs(home))
    mirror.fail(header()["cell"], "loss is not finite")
    mirror.close()
    _, anew = only_run(home)
    assert anew.info.run_id != run.info.run_id
    assert steps_of(home, anew) == [0, 1, 2]


def test_sync_does_not_wait_for_every_cell_when_the_server_goes_away(home, wire, fabricate):
    cells = {fabricate(home / "records", seed=seed).name for seed in range(4)}
    wire.goes_down_after = "set_terminated"
    outcome = sync(home)
    assert set(outcome.failed) == cells
    assert wire.asked_in_vain < 5
    wire.is_down = False
    assert set(sync(home).mirrored) == cells

"""The runs of tunings: parents of their trials' runs, told again and again, each thing once."""

from dataclasses import replace

import pytest

from reports.tracking.live import LiveMirror
from reports.tracking.mirror import Mirror
from reports.tracking.sync import sync
from reports.tracking.tunings import MirroredTrial, MirroredTuning, mirror_tuning
from tests.reports.tracking.seeing import all_runs, counts, state_of

BEGAN_MS = 1_700_000_000_000
SAID = {
    "tuning": "feedfacefeedface",
    "name": "mano_regressor: tuning of training.learning_rate",
    "task": "single_hand",
    "layout": "freihand",
    "synthetic": True,
    "preset": "tiny",
    "method": "mano_regressor",
    "seed": 0,
    "overrides": {},
    "searched": {"training.learning_rate": "0.0001..0.1:log"},
    "curve": "val/total",
}


def trial(number, *losses, state="done", reason=""):
    began_ms = BEGAN_MS + 60_000 * number
    over = state in ("done", "stopped early", "failed")
    return MirroredTrial(
        number,
        {"training.learning_rate": f"0.0{number + 1}"},
        dict(enumerate(losses, start=1)),
        state,
        began_ms,
        began_ms + 30_000 if over else None,
        reason,
    )


RUNNING = MirroredTuning(SAID, (trial(0, 3.0, 2.0), trial(1, 4.0, state="running")), "running")
OVER = MirroredTuning(
    SAID,
    (
        trial(0, 3.0, 2.0),
        trial(1, 4.0, state="stopped early"),
        trial(2, state="failed", reason="loss 'total' is not finite at step 3"),
        trial(3, 2.5, 1.5),
    ),
    "done",
)


@pytest.fixture
def store(home):
    return Mirror(home).store


def family(home):
    runs = all_runs(home)
    (parent,) = [run for run in runs if run.data.tags["palmares.kind"] == "tuning"]
    children = {run.data.tags["palmares.trial"]: run for run in runs if run is not parent}
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} <= {parent.info.run_id}
    assert len(children) == len(runs) - 1, "a trial twice"
    return parent, children


def curve(store, run, name="val/total"):
    return [(m.step, m.value) for m in store.client.get_metric_history(run.info.run_id, name)]


def test_a_trial_is_a_child_with_what_was_drawn_and_its_losses_by_epoch(home, store):
    mirror_tuning(store, OVER)
    parent, children = family(home)
    assert state_of(parent) == ("FINISHED", "done")
    assert parent.info.run_name == SAID["name"]
    assert parent.data.params == SAID["searched"]
    assert children["0"].data.params == {"training.learning_rate": "0.01"}
    assert curve(store, children["0"]) == [(1, 3.0), (2, 2.0)]
    assert [state_of(children[str(number)]) for number in range(4)] == [
        ("FINISHED", "done"),
        ("FINISHED", "stopped early"),
        ("FAILED", "failed"),
        ("FINISHED", "done"),
    ]
    assert "not finite" in children["2"].data.tags["palmares.reason"]
    assert children["0"].info.end_time - children["0"].info.start_time == 30_000


def test_the_parent_shows_the_best_whole_training_so_far(home, store):
    mirror_tuning(store, OVER)
    assert curve(store, family(home)[0], "best/val/total") == [(1, 2.0), (2, 1.5)]


def test_told_again_with_more_it_goes_on_with_the_same_runs(home, store):
    assert mirror_tuning(store, RUNNING)
    before = family(home)
    assert [state_of(run) for run in (before[0], before[1]["1"])] == [("RUNNING", "running")] * 2
    assert mirror_tuning(store, OVER)
    parent, children = family(home)
    assert parent.info.run_id == before[0].info.run_id
    assert children["1"].info.run_id == before[1]["1"].info.run_id
    assert curve(store, children["1"]) == [(1, 4.0)]


def test_told_the_same_again_nothing_changes(home, store):
    mirror_tuning(store, OVER)
    rows = counts(home)
    assert not mirror_tuning(store, OVER)
    assert counts(home) == rows


def test_what_was_cut_off_says_so(home, store):
    mirror_tuning(store, RUNNING)
    cut_off = replace(RUNNING, trials=(RUNNING.trials[0], trial(1, 4.0, state="stopped")), state="stopped")
    mirror_tuning(store, cut_off)
    parent, children = family(home)
    assert state_of(parent) == state_of(children["1"]) == ("KILLED", "stopped")
    assert state_of(children["0"]) == ("FINISHED", "done")


def test_a_live_mirror_writes_what_it_was_told_last_and_sync_finds_nothing_to_add(home):
    mirror = LiveMirror(home)
    mirror.tell_tuning(RUNNING)
    mirror.tell_tuning(OVER)
    mirror.close()
    assert not mirror.gave_up
    assert state_of(family(home)[0]) == ("FINISHED", "done")
    outcome = sync(home, tunings=[OVER])
    assert (outcome.mirrored, outcome.unchanged, outcome.failed) == ([], [SAID["tuning"]], {})

"""``palmares tune`` over the stand-ins: what it finds, keeps and refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from suite.data import open_source
from suite.plan import Request
from suite.tuning.space import parse_space
from suite.tuning.tuning import make_tuning
from tasks.errors import RequestError
from tests.suite.standins import AS_PLUG_INS
from tests.suite.sweeps.sweeping import SOURCES, mlflow_runs, palmares

slow = [pytest.mark.slow, pytest.mark.timeout(900)]
RATE = {"training.learning_rate": "1e-4..1e-1:log"}


@pytest.fixture
def relay(home, standins_registered, pairs_data):
    source = open_source(home, "interhand26m", pairs_data)

    def make(searched=RATE, stage=None, loss="total", **asked):
        request = Request("relay", "two_hands", data=pairs_data, **asked)
        return make_tuning(request, parse_space(searched), stage, loss, source)

    return make


def test_the_last_stage_is_tuned_unless_another_is_named(relay):
    assert relay().curve == "val/second/total"
    assert relay(stage="first", loss="joints").curve == "val/first/joints"


def test_a_trial_is_the_cell_with_what_was_drawn(relay):
    cell = relay(overrides={"scale": "2.0"}).cell({"training.learning_rate": 0.012345678})
    assert cell.config.training.learning_rate == 0.01235
    assert cell.config.scale == 2.0


def test_one_search_is_one_tuning_however_many_trials_and_another_one_is_another(relay):
    assert relay().id == relay().id
    others = [
        relay({"training.learning_rate": "1e-4..1e-2:log"}),
        relay(stage="first"),
        relay(overrides={"scale": "2.0"}),
        relay(seeds=(1,)),
    ]
    assert len({relay().id, *(other.id for other in others)}) == 5


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"searched": {"training.learning": "1..2"}}, "did you mean 'training.learning_rate'"),
        ({"searched": {"polish": "on,of"}}, "polish"),
        ({"stage": "secnd"}, "did you mean 'second'"),
        ({"seeds": (0, 1)}, "at one training seed"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_runs(relay, asked, complaint):
    with pytest.raises(RequestError, match=complaint):
        relay(**asked)


def start(home, data, *arguments):
    fixed = (
        "--task",
        "two_hands",
        "--data",
        str(data),
        "--jobs",
        "2",
        "--set",
        "training.epochs=9",
        "--json",
    )
    return subprocess.Popen(
        [sys.executable, "-m", "suite", "tune", "relay", *fixed, *arguments],
        env={**os.environ, **AS_PLUG_INS, "PALMARES_HOME": str(home)},
        cwd=SOURCES, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def tune(home, data, *arguments):
    run = start(home, data, *arguments)
    out, said = run.communicate(timeout=600)
    return run.returncode, json.loads(out) if out else None, said


def shown_states(home):
    """What MLflow says of the tuning and its trials; a database that is not there yet is not made by asking."""
    runs = mlflow_runs(home) if (home / "mlflow.db").exists() else []
    return {run.data.tags.get("palmares.state") for run in runs}


SEARCH = ("--search", "training.learning_rate=1e-4..1:log")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, pairs_data):
    home = tmp_path_factory.mktemp("tuned") / "home"
    return home, tune(home, pairs_data, *SEARCH, "--trials", "6")


class TestATuning:
    pytestmark = slow

    def test_whole_trainings_come_first_the_lowest_loss_before_the_others(self, tuned):
        _, (code, rows, said) = tuned
        assert code == 0, said
        assert len(rows) == 6
        whole = [row["loss"] for row in rows if row["percent"] == 100]
        assert whole == sorted(whole) == [row["loss"] for row in rows[: len(whole)]]

    def test_what_falls_behind_is_stopped_after_an_epoch_and_leaves_nothing(self, tuned):
        home, (_, rows, _) = tuned
        stopped = [row for row in rows if row["percent"] < 100]
        assert stopped, "of six trials at 12 %, at most the better ones go on"
        assert all(row["percent"] in (22, 44) for row in stopped), "2 and 4 of 9 epochs"
        assert list((home / "train").glob("*")) == []

    def test_no_record_is_made_since_nothing_was_evaluated(self, tuned):
        home, _ = tuned
        assert not (home / "records").exists()

    def test_mlflow_shows_every_trial_below_the_tuning_with_what_was_drawn(self, tuned):
        home, (_, rows, _) = tuned
        runs = mlflow_runs(home)
        (parent,) = [run for run in runs if run.data.tags["palmares.kind"] == "tuning"]
        assert (parent.info.status, parent.data.tags["palmares.state"]) == ("FINISHED", "done")
        shown = [
            (run.data.params, run.data.metrics["val/second/total"], run.data.tags["palmares.state"])
            for run in runs
            if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
        ]
        states = {True: "done", False: "stopped early"}
        found = [(row["settings"], row["loss"], states[row["percent"] == 100]) for row in rows]
        assert sorted(shown, key=str) == sorted(found, key=str)
        assert parent.data.metrics["best/val/second/total"] == rows[0]["loss"]

    def test_asked_for_more_trials_it_goes_on_with_those_it_has(self, tuned, pairs_data):
        home, (_, before, _) = tuned
        _, rows, _ = tune(home, pairs_data, *SEARCH, "--trials", "7")
        assert len(rows) == 7
        assert all(row in rows for row in before)
        assert len(mlflow_runs(home)) == 1 + 7
        synced = palmares(home, "sync", "--json")
        assert json.loads(synced.stdout)["mirrored"] == [], "it was told all"

    def test_the_winner_is_found_in_the_cache_when_it_is_run(self, tuned, pairs_data):
        home, (_, rows, _) = tuned
        sets = [part for key, text in rows[0]["settings"].items() for part in ("--set", f"{key}={text}")]
        done = subprocess.run(
            [
                sys.executable, "-m", "suite", "run", "relay", "--task", "two_hands", "--data", str(pairs_data),
                "--workers", "0", "--set", "training.epochs=9", *sets, "--json",
            ],
            env={**os.environ, **AS_PLUG_INS, "PALMARES_HOME": str(home)},
            cwd=SOURCES, capture_output=True, text=True,
        )  # fmt: skip
        (cell,) = json.loads(done.stdout)
        header = json.loads((home / "records" / cell["cell"] / "record.json").read_text())
        assert [stage["cached"] for stage in header["stages"]] == [True, True]

    def test_a_loss_that_does_not_exist_ends_it_with_one_line(self, tmp_path, pairs_data):
        code, rows, said = tune(tmp_path, pairs_data, *SEARCH, "--loss", "joint")
        assert (code, rows) == (2, None)
        assert said.splitlines()[-1] == "palmares: unknown validation loss 'joint': did you mean 'joints'?"

    def test_ctrl_c_ends_it_and_the_same_command_goes_on(self, tmp_path, pairs_data):
        with start(tmp_path, pairs_data, *SEARCH, "--trials", "50") as run:
            try:
                deadline = time.monotonic() + 600
                while not list(tmp_path.glob("cache/stages/*")) or "running" not in shown_states(tmp_path):
                    assert time.monotonic() < deadline
                    time.sleep(1)
                run.send_signal(signal.SIGINT)
                _, said = run.communicate(timeout=120)
            finally:
                run.kill()
        assert run.returncode == 130, said
        assert "the same command goes on where it ended" in said
        assert "Traceback" not in said
        assert shown_states(tmp_path) >= {"stopped"}
        assert "running" not in shown_states(tmp_path)
        assert list(tmp_path.glob("train/*")) == []

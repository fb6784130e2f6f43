"""What MLflow is told of a tuning: its trials as Optuna keeps them, and who still works on them."""

import time

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from suite.home import write_json
from suite.tuning.mirrored import every_tuning, mirrored
from suite.tuning.tuning import study_of
from suite.under_tune import tune_storage

SAID = {"tuning": "feedfacefeedface", "task": "two_hands", "trials": 3}
SPACE = {"training.learning_rate": FloatDistribution(1e-4, 1e-1, log=True)}


@pytest.fixture
def study(home):
    return study_of(home, SAID["tuning"])


def begin(study, *losses, settings="0.01"):
    trial = study.ask(SPACE)
    trial.set_user_attr("settings", {"training.learning_rate": settings})
    for epoch, loss in enumerate(losses, start=1):
        trial.report(loss, epoch)
    return trial


def end(study, trial, loss=None, percent=100, reason=""):
    trial.set_user_attr("percent", percent)
    trial.set_user_attr("reason", reason)
    study.tell(trial, loss, state=TrialState.COMPLETE if loss is not None else TrialState.FAIL)


def states(tuning):
    return [trial.state for trial in tuning.trials], tuning.state


def test_how_each_trial_ended_with_its_settings_and_losses(home, study):
    end(study, begin(study, 3.0, 2.0, settings="0.02"), 2.0)
    end(study, begin(study, 4.0), 4.0, percent=22)
    end(study, begin(study), reason="loss 'total' is not finite")
    tuning = mirrored(home, SAID, study)
    assert states(tuning) == (["done", "stopped early", "failed"], "done")
    assert tuning.trials[0].losses == {1: 3.0, 2: 2.0}
    assert tuning.trials[0].settings == {"training.learning_rate": "0.02"}
    assert tuning.trials[2].reason == "loss 'total' is not finite"
    assert all(trial.began_ms <= trial.ended_ms <= 1000 * time.time() + 1 for trial in tuning.trials)


def test_what_nobody_works_on_was_stopped_and_done_are_as_many_as_were_asked_for(home, study):
    begin(study, 3.0)
    assert states(mirrored(home, SAID, study)) == (["stopped"], "stopped")
    for loss in (3.0, 2.0, 1.0):
        end(study, begin(study, loss), loss)
    assert states(mirrored(home, SAID, study)) == (["stopped", "done", "done", "done"], "done")


def test_a_trial_runs_if_it_was_begun_by_a_driver_that_is_at_work(home, study):
    begin(study, 3.0)
    time.sleep(1.1)  # leases tell whole seconds
    with tune_storage(home.tunings / SAID["tuning"]):
        begin(study, 4.0)
        assert states(mirrored(home, SAID, study)) == (["stopped", "running"], "running")
    assert states(mirrored(home, SAID, study)) == (["stopped", "stopped"], "stopped")


def test_the_tunings_of_a_home_are_those_that_were_declared(home, study):
    assert list(every_tuning(home)) == []
    write_json(home.tunings / SAID["tuning"] / "tuning.json", SAID)
    (found,) = every_tuning(home)
    assert (found.id, found.state) == (SAID["tuning"], "stopped")

"""Running a tuning under Ray Tune: Optuna says what to try next, ASHA ends what has fallen behind."""

from __future__ import annotations

import os
import shutil

from suite.cluster import on_cluster
from suite.home import Home
from suite.lease import alive, read_lease
from suite.places import Room, places
from suite.progress import Progress
from suite.stage_plan import planned_stages
from suite.stages import StageCache
from suite.sweeps.stop import Stop
from suite.train import Resources
from suite.tuning.trial import run_trial
from suite.tuning.tuning import LOSS, PERCENT, Tuning, is_over, storage
from suite.under_tune import tune_storage

DEATHS_OF_A_TRIAL = 2
FIRST_RUNG_PERCENT, ONE_OF = 12, 3
"""ASHA looks at trials after 12 and 36 % of their training, and lets the best one of three go on."""


def run_tuning(
    home: Home,
    tuning: Tuning,
    trials: int,
    resources: Resources,
    jobs: int | None = None,
    address: str | None = None,
    early_stopping: bool = True,
) -> str | None:
    """Run trials until so many are over, those of earlier calls included; returns why it ended before, if it did.

    Raises RequestError where a trial finds that what was asked for does not exist.
    """
    before = tuning.study(home).get_trials(deepcopy=False)
    left = trials - sum(map(is_over, before))
    if left <= 0:
        return None
    try:
        with on_cluster(resources, address) as machines:
            room = Room(places(resources, machines(), jobs), machines)
            return _run(home, tuning, left, len(before), room, early_stopping)
    finally:
        _clear(home, tuning)


def _run(home: Home, tuning: Tuning, count: int, before: int, room: Room, early_stopping: bool) -> str | None:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

    from suite.sweeps.feed import StopAll
    from suite.tuning.feed import Search, Teller

    stop = Stop()
    trial = tune.with_parameters(
        run_trial, home=home, tuning=tuning, resources=room.at.resources, directory=os.getcwd()
    )
    asha = ASHAScheduler(
        PERCENT,
        LOSS,
        "min",
        max_t=100,
        grace_period=FIRST_RUNG_PERCENT,
        reduction_factor=ONE_OF,
        stop_last_trials=False,  # a training that has reported its last loss still has to publish its weights
    )
    with tune_storage(home.tunings) as folder, stop.on_signals(), Progress("tuning", "trials") as show:
        teller = Teller(tuning, count, stop, show)
        tune.Tuner(
            tune.with_resources(trial, room.at.of_trial),
            tune_config=tune.TuneConfig(
                search_alg=Search(tuning, storage(home, tuning), before, stop, room),
                scheduler=asha if early_stopping else FIFOScheduler(),
                num_samples=count,
                reuse_actors=room.at.resources.workers == 0,
            ),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=folder,
                stop=StopAll(stop),
                failure_config=tune.FailureConfig(max_failures=DEATHS_OF_A_TRIAL),
                callbacks=[teller],
                verbose=0,
            ),
        ).fit()
    if teller.refusal:
        raise teller.refusal
    return stop.reason


def _clear(home: Home, tuning: Tuning) -> None:
    """Remove the checkpoints of trials that were stopped: nobody goes on with them."""
    cache = StageCache(home)
    for trial in tuning.study(home).get_trials(deepcopy=False):
        for stage in planned_stages(tuning.cell(trial.params)):
            folder = home.train / stage.key
            lease = read_lease(folder)
            if stage.name == tuning.stage and cache.note(stage.key) is None and not (lease and alive(lease)):
                shutil.rmtree(folder, ignore_errors=True)

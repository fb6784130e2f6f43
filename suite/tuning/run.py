"""Running a tuning under Ray Tune: Optuna says what to try next, ASHA ends what has fallen behind."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from suite.cluster import on_cluster, room_on
from suite.home import Home
from suite.lease import alive, read_lease
from suite.places import Room
from suite.progress import Progress
from suite.stage_plan import planned_stages
from suite.stages import StageCache
from suite.sweeps.stop import Stop
from suite.train import Resources
from suite.tuning.mirrored import mirrored
from suite.tuning.trial import run_trial
from suite.tuning.tuning import LOSS, PERCENT, Tuning, is_over, save, storage
from suite.under_tune import tune_storage

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

    from reports.tracking.live import LiveMirror

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
    from reports.tracking.live import LiveMirror

    run, mirror = Run(home, tuning, trials, early_stopping), LiveMirror(home.root)
    try:
        left = trials - sum(map(is_over, run.study.get_trials(deepcopy=False)))
        if left <= 0:
            return None
        with on_cluster(resources, address) as machines:
            return run.go_on(left, room_on(machines, resources, jobs, address), mirror)
    finally:
        run.clear()
        run.tell(mirror)
        mirror.close()


class Run:
    """One driver's work on a tuning."""

    def __init__(self, home: Home, tuning: Tuning, trials: int, early_stopping: bool) -> None:
        self.home, self.tuning, self.early_stopping = home, tuning, early_stopping
        self.said, self.study = save(home, tuning, trials), tuning.study(home)

    def go_on(self, count: int, room: Room, mirror: LiveMirror) -> str | None:
        """Run so many trials more, on the Ray session that is up."""
        from ray import tune

        from suite.sweeps.feed import StopAll
        from suite.tuning.feed import Search, Teller

        tuning, stop, at = self.tuning, Stop(), room.at
        trial = tune.with_parameters(
            run_trial, home=self.home, tuning=tuning, resources=at.resources, directory=os.getcwd()
        )
        before = len(self.study.get_trials(deepcopy=False))
        search = Search(tuning, storage(self.home, tuning.id), before, count, stop, room)
        with (
            tune_storage(self.home.tunings / tuning.id) as folder,
            stop.on_signals(),
            Progress("tuning", "trials") as show,
        ):
            self.tell(mirror)
            teller = Teller(tuning, count, stop, show, lambda: self.tell(mirror))
            tune.Tuner(
                tune.with_resources(trial, at.of_trial),
                tune_config=tune.TuneConfig(
                    search_alg=search,
                    scheduler=self._scheduler(),
                    num_samples=count,
                    reuse_actors=at.resources.workers == 0,
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

    def tell(self, mirror: LiveMirror) -> None:
        """MLflow hears how the tuning stands."""
        mirror.tell_tuning(mirrored(self.home, self.said, self.study))

    def clear(self) -> None:
        """Remove the checkpoints of trials that were stopped: nobody goes on with them."""
        cache = StageCache(self.home)
        for trial in self.study.get_trials(deepcopy=False):
            for stage in planned_stages(self.tuning.cell(trial.params)):
                folder = self.home.train / stage.key
                lease = read_lease(folder)
                is_live = lease is not None and alive(lease)
                if stage.name == self.tuning.stage and cache.note(stage.key) is None and not is_live:
                    shutil.rmtree(folder, ignore_errors=True)

    def _scheduler(self) -> TrialScheduler:
        from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

        if not self.early_stopping:
            return FIFOScheduler()
        return ASHAScheduler(
            PERCENT,
            LOSS,
            "min",
            max_t=100,
            grace_period=FIRST_RUNG_PERCENT,
            reduction_factor=ONE_OF,
            stop_last_trials=False,  # a training that has reported its last loss still has to publish its weights
        )

"""Tunings as MLflow shows them: what Optuna keeps of their trials, beside what was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from suite.home import Home, read_json
from suite.tuning.tuning import DECLARATION, PERCENT, REASON, SETTINGS, study_of
from suite.under_tune import is_at_work

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from reports.tracking.tunings import MirroredTrial, MirroredTuning


def mirrored(home: Home, said: Mapping[str, Any], study: Study) -> MirroredTuning:
    """A tuning as it stands; it runs as long as some driver is at work on it."""
    from reports.tracking.tunings import RUNNING, MirroredTuning

    is_running = is_at_work(home.tunings / said["tuning"])
    trials = [_mirrored(trial, is_running) for trial in study.get_trials(deepcopy=False)]
    cut_off = any(trial.state == "stopped" for trial in trials)
    return MirroredTuning(said, trials, RUNNING if is_running else "stopped" if cut_off else "done")


def every_tuning(home: Home) -> Iterator[MirroredTuning]:
    """The tunings of a home folder."""
    for file in sorted(home.tunings.glob(f"*/{DECLARATION}")):
        said = read_json(file)
        if said is not None:
            yield mirrored(home, said, study_of(home, said["tuning"]))


def _mirrored(trial: FrozenTrial, is_running: bool) -> MirroredTrial:
    from optuna.trial import TrialState

    from reports.tracking.tunings import RUNNING, MirroredTrial

    told = trial.user_attrs
    states = {
        TrialState.COMPLETE: "done" if told.get(PERCENT) == 100 else "stopped early",
        TrialState.FAIL: "failed",
    }
    return MirroredTrial(
        number=trial.number,
        settings=told.get(SETTINGS, {}),
        losses=dict(sorted(trial.intermediate_values.items())),
        state=states.get(trial.state, RUNNING if is_running else "stopped"),
        began_ms=_ms(trial.datetime_start) or 0,
        ended_ms=_ms(trial.datetime_complete),
        reason=told.get(REASON, ""),
    )


def _ms(moment: datetime | None) -> int | None:
    return int(1000 * moment.timestamp()) if moment else None

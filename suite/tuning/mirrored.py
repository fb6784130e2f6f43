"""Tunings as MLflow shows them: what Optuna keeps of their trials, beside what was asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from suite.home import Home, read_json
from suite.tuning.tuning import DECLARATION, PERCENT, REASON, SETTINGS, is_over, study_of
from suite.under_tune import at_work_since

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from reports.tracking.tunings import MirroredTrial, MirroredTuning


def mirrored(home: Home, said: Mapping[str, Any], study: Study) -> MirroredTuning:
    """A tuning as it stands: it runs as long as some driver is at work on it, and is done with the trials asked for.

    A trial without an end that was begun before all drivers at work was cut off: nobody goes on with it.
    """
    from reports.tracking.tunings import RUNNING, MirroredTuning

    since_s = at_work_since(home.tunings / said["tuning"])
    found = study.get_trials(deepcopy=False)
    is_done = sum(map(is_over, found)) >= said["trials"]
    state = RUNNING if since_s is not None else "done" if is_done else "stopped"
    return MirroredTuning(said, [_mirrored(trial, since_s) for trial in found], state)


def every_tuning(home: Home) -> Iterator[MirroredTuning]:
    """The tunings of a home folder."""
    for file in sorted(home.tunings.glob(f"*/{DECLARATION}")):
        said = read_json(file)
        if said is not None:
            yield mirrored(home, said, study_of(home, said["tuning"]))


def _mirrored(trial: FrozenTrial, since_s: float | None) -> MirroredTrial:
    from optuna.trial import TrialState

    from reports.tracking.tunings import RUNNING, MirroredTrial

    told, began_ms = trial.user_attrs, _ms(trial.datetime_start) or 0
    is_running = since_s is not None and began_ms >= 1000 * since_s
    states = {
        TrialState.COMPLETE: "done" if told.get(PERCENT) == 100 else "stopped early",
        TrialState.FAIL: "failed",
    }
    return MirroredTrial(
        number=trial.number,
        settings=told.get(SETTINGS, {}),
        losses=dict(sorted(trial.intermediate_values.items())),
        state=states.get(trial.state, RUNNING if is_running else "stopped"),
        began_ms=began_ms,
        ended_ms=_ms(trial.datetime_complete),
        reason=told.get(REASON, ""),
    )


def _ms(moment: datetime | None) -> int | None:
    return int(1000 * moment.timestamp()) if moment else None

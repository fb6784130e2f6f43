"""The runs of tunings: parents of the runs of their trials. Nothing of them enters a table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.tracking.values import (
    KIND_TAG,
    NOTE_TAG,
    PARENT_TAG,
    STATE_TAG,
    TRIAL_TAG,
    TUNING_TAG,
    Point,
    shorten,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

    from reports.tracking.store import Store

RUNNING = "running"
STATUS = {
    RUNNING: "RUNNING",
    "done": "FINISHED",
    "stopped early": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
}
"""By state, of a tuning or of a trial; what is stopped early did all that it was allowed to."""


@dataclass(frozen=True)
class MirroredTrial:
    """What one trial was and gave so far."""

    number: int
    settings: Mapping[str, str]
    losses: Mapping[int, float]
    """By epoch, from 1 on."""
    state: str
    began_ms: int
    ended_ms: int | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """What a person calls it."""
        return shorten(", ".join(f"{key}={text}" for key, text in self.settings.items()))


@dataclass(frozen=True)
class MirroredTuning:
    """A tuning's declaration, its trials, and whether it is ``running``, ``done`` or ``stopped``."""

    said: Mapping[str, Any]
    trials: Sequence[MirroredTrial]
    state: str

    @property
    def id(self) -> str:
        """The same however many trials there are."""
        return str(self.said["tuning"])


def mirror_tuning(store: Store, tuning: MirroredTuning) -> bool:
    """Make the runs of a tuning and of its trials say what it says; False when they did. Raises what MLflow raises."""
    task, mine = str(tuning.said["task"]), {TUNING_TAG: tuning.id}
    began_ms = min((trial.began_ms for trial in tuning.trials), default=_now_ms())
    identity = mine | {KIND_TAG: "tuning"}
    parent = store.find_or_create(task, identity, shorten(str(tuning.said["name"])), began_ms)
    children = {
        run.data.tags[TRIAL_TAG]: run for run in store.search(task, mine) if TRIAL_TAG in run.data.tags
    }
    changed = store.log_params(parent, {key: shorten(text) for key, text in tuning.said["searched"].items()})
    for trial in tuning.trials:
        changed |= _mirror_trial(store, tuning, trial, parent, children.get(str(trial.number)))
    changed |= _log_new(store, parent, list(_best(tuning)))
    return store.say(parent, _tags(tuning), STATUS[tuning.state]) or changed


def _mirror_trial(
    store: Store, tuning: MirroredTuning, trial: MirroredTrial, parent: Run, found: Run | None
) -> bool:
    """Make the run of a trial say what it says; False when it did."""
    if found is not None and found.data.tags.get(STATE_TAG) == trial.state != RUNNING:
        return False
    identity = {TUNING_TAG: tuning.id, TRIAL_TAG: str(trial.number)}
    run = found or store.find_or_create(str(tuning.said["task"]), identity, trial.name, trial.began_ms)
    store.log_params(run, {key: shorten(text) for key, text in trial.settings.items()})
    time_ms = trial.ended_ms or _now_ms()
    curve = [Point(epoch, tuning.said["curve"], loss, time_ms) for epoch, loss in trial.losses.items()]
    _log_new(store, run, curve)
    place = {KIND_TAG: "trial", PARENT_TAG: parent.info.run_id, "palmares.reason": shorten(trial.reason)}
    if trial.ended_ms:
        store.client.set_terminated(run.info.run_id, STATUS[trial.state], end_time=trial.ended_ms)
        store.tag(run, place | {STATE_TAG: trial.state})
    else:
        store.say(run, place | {STATE_TAG: trial.state}, STATUS[trial.state])
    return True


def _log_new(store: Store, run: Run, points: Sequence[Point]) -> bool:
    """Append the points that a run does not have; False where it had all."""
    seen = store.points_of(run.info.run_id)
    before = len(seen)
    store.log_points(run.info.run_id, points, seen)
    return len(seen) > before


def _best(tuning: MirroredTuning) -> Iterator[Point]:
    """The lowest loss so far after each whole training, in the order in which they ended."""
    whole = [(trial.ended_ms, trial) for trial in tuning.trials if trial.ended_ms and trial.state == "done"]
    best = float("inf")
    for count, (time_ms, trial) in enumerate(
        sorted(whole, key=lambda pair: (pair[0], pair[1].number)), start=1
    ):
        best = min(best, trial.losses[max(trial.losses)])
        yield Point(count, f"best/{tuning.said['curve']}", best, time_ms)


def _tags(tuning: MirroredTuning) -> dict[str, str]:
    said = tuning.said
    searched = [f"* **{key}**: {text}" for key, text in said["searched"].items()]
    note = "\n".join([f"Searched for the lowest `{said['curve']}`:", "", *searched])
    return {
        **{f"palmares.{name}": str(said[name]) for name in ("method", "task", "layout", "preset", "seed")},
        "palmares.synthetic": json.dumps(said["synthetic"]),
        NOTE_TAG: shorten(note),
        STATE_TAG: tuning.state,
    }


def _now_ms() -> int:
    return int(time.time() * 1000)

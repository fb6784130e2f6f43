"""A tuning: what is searched, by which loss, and what its trials have found so far.

``tunings/<id>/tuning.json`` says what is searched. The trials are kept by Optuna beside it in ``trials.log``: the same
command goes on where the last one ended, and two at once share what they learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from suite.home import Home, write_json
from suite.identity import digest
from suite.plan import Cell, Request, make_cells, resolve_settings
from suite.tuning.space import Space, settings
from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from suite.data import DataSource

LOSS, PERCENT = "loss", "percent"
"""What a trial reports: the validation loss, and of its training how much is done."""
REASON, REFUSED = "reason", "refused"
"""And where it fails: why, and whether every other trial will fail for the same reason."""
SETTINGS = "settings"
"""What Optuna keeps beside what it drew: how that is written."""
DECLARATION = "tuning.json"


@dataclass(frozen=True)
class Tuning:
    """Settings that are searched for the lowest validation loss of one stage."""

    request: Request
    space: Space
    stage: str
    loss: str
    data: DataSource

    @property
    def curve(self) -> str:
        """The name of the loss in a cell's curves."""
        several = len(self.default.method.stages(self.default.config, self.default.entrant.keypoints)) > 1
        return f"val/{self.stage}/{self.loss}" if several else f"val/{self.loss}"

    @cached_property
    def default(self) -> Cell:
        """The cell of the request without any of what is searched."""
        return make_cells(self.request, self.data)[0]

    def cell(self, drawn: Mapping[str, Any]) -> Cell:
        """The cell of a trial."""
        overrides = {**self.request.overrides, **settings(self.space, drawn)}
        return make_cells(replace(self.request, overrides=overrides), self.data)[0]

    @cached_property
    def id(self) -> str:
        """The same however many trials are asked for."""
        searched = {key: str(values) for key, values in self.space.items()}
        return digest({"cell": self.default.id, "searched": searched, "curve": self.curve})

    def study(self, home: Home) -> Study:
        """The trials so far."""
        return study_of(home, self.id)


def study_of(home: Home, tuning: str) -> Study:
    """The trials of a tuning so far, as Optuna keeps them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=storage(home, tuning), study_name=tuning, direction="minimize", load_if_exists=True
    )


def storage(home: Home, tuning: str) -> BaseStorage:
    """A file of JSON lines that several processes may append to."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder = home.tunings / tuning
    folder.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(folder / "trials.log")))


def save(home: Home, tuning: Tuning, trials: int) -> dict[str, Any]:
    """Write what is searched, and how many trials are asked for; returns it."""
    first = tuning.default.header()
    said = {
        "tuning": tuning.id,
        "name": f"{tuning.request.method}: tuning of {', '.join(tuning.space)}",
        **{key: first[key] for key in ("task", "layout", "synthetic", "preset", "method", "seed")},
        "overrides": dict(tuning.request.overrides),
        "searched": {key: str(values) for key, values in tuning.space.items()},
        "curve": tuning.curve,
        "trials": trials,
    }
    write_json(home.tunings / tuning.id / DECLARATION, said)
    return said


def make_tuning(request: Request, space: Space, stage: str | None, loss: str, data: DataSource) -> Tuning:
    """Raises RequestError for settings that do not fit, an unknown stage, or several seeds."""
    if len(request.seeds) > 1:
        raise RequestError("palmares tune compares settings at one training seed: give one, as in --seeds 0.")
    for key, values in space.items():
        for text in values.examples:
            resolve_settings(replace(request, overrides={**request.overrides, key: text}))
    cell = make_cells(request, data)[0]
    specs = cell.method.stages(cell.config, cell.entrant.keypoints)
    names = [spec.name for spec in specs]
    if stage is not None and stage not in names:
        raise unknown_name(f"stage of {request.method}", stage, names)
    return Tuning(request, space, stage or names[-1], loss, data)


def is_over(trial: FrozenTrial) -> bool:
    """Whether it ended, with or without a loss; one that was interrupted has not."""
    from optuna.trial import TrialState

    return trial.state in (TrialState.COMPLETE, TrialState.FAIL)


def rows(tuning: Tuning, home: Home) -> list[dict[str, Any]]:
    """What every trial with a loss was and gave, the lowest first; those that were stopped early come last."""
    from optuna.trial import TrialState

    done = tuning.study(home).get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    found = [
        {
            "trial": trial.number,
            "settings": settings(tuning.space, trial.params),
            "loss": trial.value,
            PERCENT: trial.user_attrs[PERCENT],
        }
        for trial in done
    ]
    return sorted(found, key=lambda row: (row[PERCENT] < 100, row["loss"]))


def epochs(cell: Cell, stage: str) -> int:
    """How often the stage is validated."""
    specs = cell.method.stages(cell.config, cell.entrant.keypoints)
    return next(spec for spec in specs if spec.name == stage).training(cell.config).epochs

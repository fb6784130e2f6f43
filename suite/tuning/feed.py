"""What Ray Tune asks during a tuning, and tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.search.optuna import OptunaSearch

from suite.places import Room
from suite.progress import Progress, say
from suite.sweeps.stop import Stop
from suite.tuning.space import settings
from suite.tuning.tuning import LOSS, PERCENT, REASON, REFUSED, SETTINGS, Tuning
from suite.under_tune import Here
from tasks.errors import RequestError

REASON_LETTERS = 300
TELL_EVERY_S = 5.0
"""How often MLflow hears of losses; of trials that end it hears at once."""
PROCESS_DIED = "its process kept dying"


class Search(Here, OptunaSearch):
    """Optuna's sampler over the space, with the trials of earlier calls in mind."""

    def __init__(self, tuning: Tuning, storage: Any, before: int, left: int, stop: Stop, room: Room) -> None:
        """``before`` trials there were, for the same seed would draw the same again; ``left`` are to be begun."""
        self.tuning, self.left, self.stop, self.room = tuning, left, stop, room
        self._running: set[str] = set()
        seed = (int(tuning.id[:8], 16) + before) % 2**32
        space = {key: values.distribution() for key, values in tuning.space.items()}
        OptunaSearch.__init__(self, space, LOSS, "min", storage=storage, study_name=tuning.id, seed=seed)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """What to try next; None where there is no room now."""
        if len(self._running) >= self.room.count:
            self.room.want(lambda most: min(most, self.left))
            return None
        self.left -= 1
        self.room.suffices()
        self._running.add(trial_id)
        drawn: dict[str, Any] | None = OptunaSearch.suggest(self, trial_id)
        trial = self._ot_trials[trial_id]
        trial.set_user_attr(SETTINGS, settings(self.tuning.space, trial.params))
        return drawn

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass a loss on to Optuna."""
        if LOSS in result:
            OptunaSearch.on_trial_result(self, trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna, unless the trial was cut off with all the others: its last loss says little."""
        self._running.discard(trial_id)
        if self.stop.at_once:
            return
        said, trial = result or {}, self._ot_trials[trial_id]
        self.on_trial_result(trial_id, said)  # Tune tells the last one here alone
        trial.set_user_attr(PERCENT, said.get(PERCENT, 0))
        if failed := error or REASON in said:
            trial.set_user_attr(REASON, said.get(REASON, PROCESS_DIED))
        OptunaSearch.on_trial_complete(self, trial_id, None if failed else result, failed)

    def save(self, checkpoint_path: str) -> None:
        """An empty file, since Tune moves one: the storage knows every trial."""
        Path(checkpoint_path).touch()


class Teller(Here, Callback):
    """Says how trials end, and ends all of them where what was asked for cannot be done."""

    def __init__(
        self, tuning: Tuning, count: int, stop: Stop, show: Progress, tell_mlflow: Callable[[], None]
    ) -> None:
        self.tuning, self.count, self.stop, self.show = tuning, count, stop, show
        self.tell_mlflow, self._told_s = tell_mlflow, time.monotonic()
        self.best: float | None = None
        self.refusal: RequestError | None = None
        self._over = 0

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """It has one more loss."""
        if time.monotonic() - self._told_s >= TELL_EVERY_S:
            self._told_s = time.monotonic()
            self.tell_mlflow()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """It was trained to its end, was stopped, or said why it failed."""
        result = trial.last_result or {}
        if REASON in result:
            self._failed(trial, result[REASON], result[REFUSED])
        elif LOSS in result:
            loss = result[LOSS]
            self.best = loss if self.best is None else min(self.best, loss)
            stopped = f", stopped at {result[PERCENT]} %" if result[PERCENT] < 100 else ""
            self._tell(trial, f"loss {loss:.4g}{stopped}")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its process died again and again."""
        self._failed(trial, PROCESS_DIED, refused=False)

    def _failed(self, trial: Any, reason: str, refused: bool) -> None:
        if refused:
            self.refusal = RequestError(reason)
            self.stop.now(reason)
        self._tell(trial, f"failed: {reason[:REASON_LETTERS]}")

    def _tell(self, trial: Any, how: str) -> None:
        self._over += 1
        self.tell_mlflow()
        texts = settings(self.tuning.space, {key: trial.config[key] for key in self.tuning.space})
        say(f"{' '.join(f'{key}={text}' for key, text in texts.items())}: {how}")
        self.show(self._over, self.count, f"best {self.best:.4g}" if self.best is not None else "")

"""What one trial of a tuning does: train the stage that is tuned, and tell every validation loss once it is known.

Nothing is evaluated: a tuning never sees the test set.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from suite.curves import Point
from suite.failures import root_cause
from suite.home import Home
from suite.train import Resources
from suite.tuning.tuning import LOSS, PERCENT, REASON, REFUSED, Tuning, epochs
from tasks.errors import RequestError, unknown_name


class Telling:
    """Reports the validation losses of one curve to Tune, each once, in order."""

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs
        self.folder = name.rpartition("/")[0] + "/"
        self.said = 0

    def hear(self, points: Sequence[Point]) -> None:
        """Curve points that are new. Raises RequestError where the stage is validated by other losses only."""
        self._tell(self._mine(points))

    def whole(self, points: Sequence[Point]) -> None:
        """The curve of a training that is over: what of it was not heard, as of one that was cached."""
        self._tell(self._mine(points)[self.said :])

    def _mine(self, points: Sequence[Point]) -> list[Point]:
        losses = [point for point in points if point["name"].startswith(self.folder)]
        mine = [point for point in losses if point["name"] == self.name]
        if losses and not mine:
            names = sorted({point["name"].removeprefix(self.folder) for point in losses})
            raise unknown_name("validation loss", self.name.removeprefix(self.folder), names)
        return mine

    def _tell(self, points: Sequence[Point]) -> None:
        from ray import tune

        for point in points:
            self.said += 1
            tune.report({LOSS: point["value"], PERCENT: 100 * self.said // self.epochs})


def run_trial(
    drawn: Mapping[str, Any], home: Home, tuning: Tuning, resources: Resources, directory: str
) -> None:
    """Train with the settings that were drawn. A failure is reported as well, never raised.

    A training in this process is stopped by Tune after an epoch; one of Ray Train's workers ends with this process.
    """
    from ray import tune

    from suite import environment
    from suite.staging import trained_stages

    environment.apply()
    os.chdir(directory)  # Tune gives each trial a folder of its own; the user's paths are meant from here
    try:
        cell = tuning.cell(drawn)
        telling = Telling(tuning.curve, epochs(cell, tuning.stage))
        telling.whole(trained_stages(home, cell, resources, telling.hear, until=tuning.stage).curves)
    except Exception as error:
        cause = root_cause(error)
        tune.report({REASON: " ".join(str(cause).split()), REFUSED: isinstance(cause, RequestError)})

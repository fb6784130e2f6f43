"""What every benchmark task declares: its metrics, its protocols and the fields of a prediction it can score.

Nothing here imports torch, so that listing and reporting stay instant.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One number of a table, declared once.

    ``columns`` names the per-sample columns that the metric is computed from (its own name unless told otherwise);
    ``levels`` is given for a calibration metric only: its columns hold the share of coordinates inside the central
    interval of each level, and the metric is the mean absolute gap between the mean of a column and its level.
    """

    name: str
    unit: str
    direction: Literal["lower", "higher"]
    title: str
    definition: str
    source: str
    digits: int = 2
    columns: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()

    @property
    def sample_columns(self) -> tuple[str, ...]:
        """The per-sample columns this metric is made of."""
        return self.columns or (self.name,)


@dataclass(frozen=True)
class Protocol:
    """How predictions are scored: an object of the task, versioned, printed under every table."""

    name: str
    version: int
    text: str
    root_joint: str
    alignment: str
    metrics: tuple[str, ...]

    @property
    def label(self) -> str:
        """``name/version``, the form that identities and tables use."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class TaskSpec:
    """A benchmark task as the command line lists it. ``implementation`` is ``module:attribute``, imported on use."""

    name: str
    version: int
    summary: str
    layouts: tuple[str, ...]
    protocols: dict[str, str]
    """Layout name -> name of its official protocol."""
    headline: tuple[str, ...]
    """Metrics of the leaderboard, first the one that ranks."""
    reference: str
    """The method that paired differences are taken against."""
    implementation: str
    prediction_fields: dict[str, str] = field(default_factory=dict)
    """Field of a prediction -> shape, unit and frame."""

"""What every benchmark task declares: its metrics, its protocols and the fields of a prediction it can score.

Nothing here imports torch, so that listing and reporting stay instant.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One number of a table, declared once.

    ``columns`` names the per-sample columns that the metric is computed from (its own name unless told otherwise).
    Its value is the mean over the columns of each column's mean over the samples; a sample with a hole (NaN) in any
    of them is left out, unless ``per_column`` says that each column keeps what it has (InterHand2.6M averages every
    joint over the frames where it is valid). ``where`` names a column that is 1 for the samples that count.
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
    per_column: bool = False
    where: str = ""

    @property
    def sample_columns(self) -> tuple[str, ...]:
        """The per-sample columns this metric is the mean of."""
        return self.columns or (self.name,)

    @property
    def needs(self) -> tuple[str, ...]:
        """Every per-sample column that must be there: ``sample_columns`` and ``where``."""
        return (*self.sample_columns, *((self.where,) if self.where else ()))


Alignment = Literal["P1", "P2", "none"]
"""What ``pa_`` metrics, AUC and F-scores are aligned with: see ``tasks.geometry.alignment``."""


@dataclass(frozen=True)
class Protocol:
    """How predictions are scored: an object of the task, versioned, printed under every table."""

    name: str
    version: int
    tasks: tuple[str, ...]
    """The tasks whose predictions it scores."""
    text: str
    """For the reader of a table: what is measured on which frames, after which alignment, with what given."""
    root_joint: str
    """Joint that root-relative errors subtract: ``wrist``, ``middle_mcp``, ``index_mcp``."""
    alignment: Alignment
    metrics: tuple[str, ...]
    source: str
    """The official script, or ``ours``."""
    precision: Literal["float64", "float32"] = "float64"
    """In which the official script computes."""
    scale_bone: tuple[int, int] = (0, 9)
    """Root and end of the bone that ``st_`` errors scale by: wrist and middle base."""
    counts_root: bool = True
    """Whether root-relative means include the root joint, whose error is 0."""
    mesh_follows_joints: bool = False
    """Whether vertices are aligned by the joints' transform instead of one of their own."""
    auc_from_zero: bool = True
    """Whether the PCK curve includes the threshold 0, which no rounded number reaches."""
    aligns_in_mm: bool = False
    """Whether the official script aligns millimetres: the 1e-8 in its norms then weighs a thousand times less."""
    scores_other_meshes: bool = False
    """Whether vertices that are not MANO's have aligned F-scores, after the official scripts' own, wrong transform."""
    own_forms: tuple[Metric, ...] = ()
    """Metrics that this protocol computes or aggregates in a form of its own, under their usual names."""

    @property
    def label(self) -> str:
        """``name/version``, the form that identities and tables use."""
        return f"{self.name}/{self.version}"

    def header(self) -> dict[str, object]:
        """What a record keeps of it."""
        return {"name": self.name, "version": self.version, "text": self.text}


@dataclass(frozen=True)
class TaskSpec:
    """A benchmark task as the command line lists it. ``implementation`` is ``module:attribute``, imported on use."""

    name: str
    version: int
    summary: str
    layouts: tuple[str, ...]
    protocols: dict[str, str]
    """Layout name -> name of its official protocol."""
    ladder: tuple[str, ...]
    """The same error from no alignment to the most forgiving one: columns of the protocol-sensitivity table."""
    headline: tuple[str, ...]
    """Metrics of the leaderboard, first the one that ranks."""
    reference: str
    """The method that paired differences are taken against."""
    implementation: str
    prediction_fields: dict[str, str] = field(default_factory=dict)
    """Field of a prediction -> shape, unit and frame."""

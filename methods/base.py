"""The contract of a method, short enough to read in two minutes.

A method is a declaration (``MethodSpec``, imports nothing heavy), a validated configuration, and an ordered list of
**stages**. A stage builds a network and gives a loss for a batch; one generic loop in ``suite`` trains any stage.
The method predicts from its trained stages. It never touches Ray, MLflow or device placement.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import torch
    from torch import nn

    from methods.config import MethodConfig, TrainingConfig
    from tasks.hands.hand import HandModel
    from tasks.ragged import Ragged


TRUTH = "truth"
"""The source of keypoints that no method predicted."""


def whole_config(config: MethodConfig) -> dict[str, Any]:
    """Every setting."""
    return config.model_dump(mode="json")


def only_training(config: MethodConfig) -> TrainingConfig:
    """The training settings of a method with one stage."""
    training: TrainingConfig = config.training  # type: ignore[attr-defined]
    return training


@dataclass(frozen=True)
class StageSpec:
    """What is known of a stage without building it: enough to plan, and to find it in the stage cache."""

    name: str
    settings: Callable[[Any], dict[str, Any]] = whole_config
    """The part of the config, as JSON, that changes its weights."""
    training: Callable[[Any], TrainingConfig] = only_training
    """The settings of the generic loop."""
    version: int = 1
    """Raise it when the same settings would give other weights."""
    needs: tuple[str, ...] = ()
    """Names of the upstream stages whose trained modules it is given."""
    reads_keypoints: bool = False
    """Whether it is trained on the keypoints that it will be given, and not on true ones."""
    derives: Callable[[Any], dict[str, Any]] | None = None
    """The settings that change what ``Stage.derive`` gives, and of which samples. None: it derives nothing."""


StagesOf = Callable[[Any, str], Sequence[StageSpec]]
"""A method's stages in training order, by its configuration and the source of its keypoints."""


def always(*stages: StageSpec) -> StagesOf:
    """The same stages whatever the configuration."""
    return lambda config, keypoints: stages


@dataclass(frozen=True)
class MethodSpec:
    """What ``palmares list methods`` shows. ``implementation`` and ``config`` are ``module:attribute``."""

    name: str
    title: str
    kind: Literal["paper", "baseline"]
    version: int
    """Raise it when the same configuration would give other numbers: old records become stale."""
    tasks: tuple[str, ...]
    summary: str
    source: str
    implementation: str
    config: str
    stages: StagesOf
    flags: tuple[str, ...] = ()
    """What the method sees at test time beyond what the task gives to all, e.g. ``true wrist``: a row of its own."""
    keypoints: bool = False
    """Whether it is driven by the 3D keypoints of ``batch.keypoints_cam_m``: the truth, or another method's."""


@dataclass(frozen=True)
class Progress:
    """Where training stands. ``fraction`` runs from 0 to 1 over the whole training."""

    epoch: int
    epochs: int
    step: int
    steps: int

    @property
    def fraction(self) -> float:
        return self.step / max(1, self.steps)


class Stage(ABC):
    """One network that is trained on its own."""

    spec: ClassVar[StageSpec]

    @property
    def name(self) -> str:
        return self.spec.name

    def training(self, config: MethodConfig) -> TrainingConfig:
        """The settings of the generic loop for this stage."""
        return self.spec.training(config)

    def select(self, dataset: Any) -> tuple[Any, dict[str, int]]:
        """The samples of a dataset that it can learn from (``dataset.part``), and how many were left out by reason."""
        return dataset, {}

    def prepare(self, batch: Any, noise: torch.Generator) -> Any:
        """A batch with what it lacks for the loss, drawn from ``noise``; on the CPU, by whoever gathers.

        That may be another process, which sends it away: it must hold copies of what is kept, never views.
        """
        return batch

    def derive(self, upstream: Mapping[str, nn.Module], batch: Any) -> dict[str, torch.Tensor]:
        """What is worked out of every sample once, by trained upstream stages: (B, ...) by name; in ``batch.derived``.

        Depends on each sample alone, never on what is beside it in the batch, and on no global random generator.
        """
        raise NotImplementedError

    @abstractmethod
    def build(self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]) -> nn.Module:
        """The untrained network, on the CPU, initialised from torch's global generator."""

    def loss(self, module: nn.Module, batch: Any, progress: Progress) -> dict[str, torch.Tensor]:
        """Scalar loss terms by name; ``total`` is the one that is minimised.

        ``module`` may be wrapped for data-parallel training: only call it, never reach inside.
        Noise is drawn from torch's global generator, which the loop seeds by seed, epoch and rank.
        """
        raise NotImplementedError

    fit: ClassVar[Callable[[Any, nn.Module, Iterable[Any]], None] | None] = None
    """A stage that has a closed form defines ``fit(self, module, batches)`` instead of a loss."""


class Method(ABC):
    """A method with its configuration and the hand model of the run."""

    spec: ClassVar[MethodSpec]

    def __init__(self, config: MethodConfig, hand: HandModel, keypoints: str = TRUTH) -> None:
        self.config = config
        self.hand = hand
        self.keypoints = keypoints
        """Where a batch's keypoints come from at test time: ``TRUTH``, or the name of the method that predicts them."""

    @abstractmethod
    def stages(self) -> list[Stage]:
        """The stages in training order, those that ``spec.stages`` declares."""

    @abstractmethod
    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> Mapping[str, torch.Tensor | Ragged]:
        """The task's prediction fields for a batch (see ``TaskSpec.prediction_fields``), on the batch's device.

        A field of which every sample has another number of rows is a ``tasks.ragged.Ragged`` array.
        """

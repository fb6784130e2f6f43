"""The contract of a method, short enough to read in two minutes.

A method is a declaration (``MethodSpec``, imports nothing heavy), a validated configuration, and an ordered list of
**stages**. A stage builds a network and gives a loss for a batch; one generic loop in ``suite`` trains any stage.
The method predicts from its trained stages. It never touches Ray, MLflow or device placement.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
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

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    """Names of the upstream stages whose trained modules this one is given."""

    reads_keypoints: ClassVar[bool] = False
    """Whether it is trained on the keypoints that it will be given, and not on true ones."""
    derives: ClassVar[bool] = False
    """Whether ``derive`` must have been run over the samples of its training and validation set before it trains."""

    def config_slice(self, config: MethodConfig) -> dict[str, Any]:
        """The part of the config that changes this stage's weights; the stage cache is keyed by it."""
        return config.model_dump(mode="json")

    def training(self, config: MethodConfig) -> TrainingConfig:
        """The settings of the generic loop for this stage: the method's only ones, where it has one stage."""
        from methods.config import SingleStageConfig

        if not isinstance(config, SingleStageConfig):
            raise NotImplementedError(f"stage '{self.name}' does not say which training settings are its own")
        return config.training

    def select(self, dataset: Any) -> tuple[Any, dict[str, int]]:
        """The samples of a dataset that it can learn from (``dataset.part``), and how many were left out by reason."""
        return dataset, {}

    def prepare(self, batch: Any, noise: torch.Generator) -> Any:
        """A batch with what it lacks for the loss, drawn from ``noise``; on the CPU, by the thread that gathers."""
        return batch

    def derive_slice(self, config: MethodConfig) -> dict[str, Any]:
        """The part of the config that changes what ``derive`` gives, and of which samples; that is kept by it."""
        raise NotImplementedError

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
        """The stages in training order."""

    @abstractmethod
    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> Mapping[str, torch.Tensor | Ragged]:
        """The task's prediction fields for a batch (see ``TaskSpec.prediction_fields``), on the batch's device.

        A field of which every sample has another number of rows is a ``tasks.ragged.Ragged`` array.
        """

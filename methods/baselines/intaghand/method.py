"""IntagHand as a method: one stage, trained on frames with two fitted hands."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Method, Progress, Stage
from methods.baselines.intaghand.config import IntagHandConfig
from methods.baselines.intaghand.losses import intaghand_loss
from methods.baselines.intaghand.model import IntagHandModule
from methods.baselines.intaghand.spec import SPEC, STAGE
from methods.config import MethodConfig
from methods.layers.hand_pair import HandPair
from methods.layers.precision import full_precision
from tasks.geometry.mesh import coarse_vertices
from tasks.hands.hand import HandModel
from tasks.two_hands.selection import pairs


class IntagHandStage(Stage):
    """Encoder, graphs and heads together."""

    spec = STAGE

    def __init__(self, config: IntagHandConfig, hand: HandModel) -> None:
        self.config, self.hand, self.pair = config, hand, HandPair(hand)

    @cached_property
    def coarse_vertices(self) -> Tensor:
        """(n,) int64: those of the last graph; not chosen before a loss asks for them."""
        data, count = self.hand.data, self.config.graph.vertices[-1]
        return torch.from_numpy(coarse_vertices(data.v_template, data.faces, count))

    def select(self, dataset: Any) -> tuple[Any, dict[str, int]]:
        """Frames with two fitted hands, as in the released preparation."""
        return pairs(dataset)

    def build(
        self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]
    ) -> IntagHandModule:
        return IntagHandModule(self.config, hand)

    def loss(self, module: nn.Module, batch: Any, progress: Progress) -> dict[str, Tensor]:
        out = module(batch.image)
        device = batch.image.device
        with full_precision(batch.image):
            pair, coarse = self.pair.to(device), self.coarse_vertices.to(device)
            return intaghand_loss(out, batch, pair, coarse, self.config, progress.fraction)


class IntagHand(Method):
    """Predicts both meshes and their regressed joints; a hand that is not there is NaN."""

    spec = SPEC
    config: IntagHandConfig

    def stages(self) -> list[Stage]:
        return [IntagHandStage(self.config, self.hand)]

    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
        module: IntagHandModule = modules["intaghand"]  # type: ignore[assignment]
        verts_m = module.placed(module(batch.image), batch.intrinsics_px, batch.has_hand)
        there = batch.has_hand[..., None, None]
        points = {"joints_cam_m": module.pair.joints(verts_m), "verts_cam_m": verts_m}
        return {name: torch.where(there, value, torch.nan) for name, value in points.items()}

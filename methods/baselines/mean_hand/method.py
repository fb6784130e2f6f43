"""The mean hand: what a method must beat to have seen anything."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Method, Stage
from methods.baselines.mean_hand.spec import SPEC, STAGE
from methods.config import MethodConfig
from methods.layers.skin import MeanSkin
from tasks.hands.hand import HandModel


class MeanHandModule(nn.Module):
    """Running sums of wrist-relative vertices and of the wrist's place."""

    verts_m: Tensor
    wrist_cam_m: Tensor
    count: Tensor
    joint_regressor: Tensor

    def __init__(self, hand: HandModel) -> None:
        super().__init__()
        self.register_buffer("verts_m", torch.zeros(hand.n_verts, 3, dtype=torch.float64))
        self.register_buffer("wrist_cam_m", torch.zeros(3, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("joint_regressor", hand.joint_regressor21().double(), persistent=False)
        self.skin = MeanSkin()

    @torch.no_grad()
    def update(self, batch: Any) -> None:
        """Add the hands of a batch to the means."""
        wrist = batch.joints_cam_m[:, 0].double()
        self.count += len(wrist)
        share = len(wrist) / self.count
        self.verts_m += share * ((batch.verts_cam_m.double() - wrist[:, None]).mean(0) - self.verts_m)
        self.wrist_cam_m += share * (wrist.mean(0) - self.wrist_cam_m)
        self.skin.update(batch.image, batch.hand_mask)

    def forward(self, batch_size: int) -> dict[str, Tensor]:
        verts = self.verts_m + self.wrist_cam_m
        fields = {"joints_cam_m": self.joint_regressor @ verts, "verts_cam_m": verts}
        fields = {name: value.float().expand(batch_size, -1, 3) for name, value in fields.items()}
        flat = self.skin(batch_size)
        if flat:
            fields["vertex_rgb"] = flat["flat_rgb"][:, None].expand(-1, len(verts), 3)
        return fields | flat


class MeanHandStage(Stage):
    """One pass over the training set."""

    spec = STAGE

    def build(
        self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]
    ) -> MeanHandModule:
        return MeanHandModule(hand)

    def fit(self, module: MeanHandModule, batches: Iterable[Any]) -> None:  # type: ignore[override]
        """Sum over all batches; the order does not matter."""
        for batch in batches:
            module.update(batch)


class MeanHand(Method):
    """One stage, no image."""

    spec = SPEC

    def stages(self) -> list[Stage]:
        return [MeanHandStage()]

    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
        return modules["mean"](len(batch.index))

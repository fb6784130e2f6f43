"""HALO on two hands: each hand's field by itself, driven by keypoints alone."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from methods.base import Method, Stage
from methods.baselines.halo.config import HaloConfig
from methods.baselines.halo.spec import SPEC
from methods.layers.implicit.hand_field import HandField
from methods.layers.implicit.occupancy_stage import OccupancyStage, predicted_by
from tasks.ragged import Ragged


class Halo(Method):
    """One stage; nothing keeps one hand out of the other."""

    spec = SPEC
    config: HaloConfig

    def stages(self) -> list[Stage]:
        field = self.config.field
        return [OccupancyStage(field, self.hand, lambda hand: HandField(field.parts, hand))]

    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor | Ragged]:
        field: HandField = modules["occupancy"]  # type: ignore[assignment]
        return predicted_by(field, batch, self.config.field.threshold, self.config.extraction)

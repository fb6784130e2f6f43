"""DIGIT as a method: one stage; 2.5D joints are carried into space at prediction."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Method, Progress, Stage
from methods.baselines.digit.config import DigitConfig
from methods.baselines.digit.losses import digit_loss
from methods.baselines.digit.model import DigitModule, DigitOutput
from methods.baselines.digit.parts import PartPainter
from methods.baselines.digit.space import CELLS, DEPTH_M, WRIST, depth_of_width_m, from_cells
from methods.baselines.digit.spec import SPEC, STAGE
from methods.config import MethodConfig
from methods.layers.precision import full_precision
from tasks.hands.hand import HandModel
from tasks.two_hands.selection import readable


class DigitStage(Stage):
    """The only stage: all heads together, on frames of every hand type."""

    spec = STAGE

    def __init__(self, config: DigitConfig, hand: HandModel) -> None:
        self.config, self.paint = config, PartPainter(hand)

    def select(self, dataset: Any) -> tuple[Any, dict[str, int]]:
        return readable(dataset)

    def build(self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]) -> DigitModule:
        return DigitModule(self.config)

    def loss(self, module: nn.Module, batch: Any, progress: Progress) -> dict[str, Tensor]:
        out = module(batch.image)
        with full_precision(batch.image):
            return digit_loss(out, batch, self.paint, self.config.weights)


class Digit(Method):
    """Joints of both hands on every frame; handedness says which of them to believe."""

    spec = SPEC
    config: DigitConfig

    def stages(self) -> list[Stage]:
        return [DigitStage(self.config, self.hand)]

    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
        out: DigitOutput = modules["digit"](batch.image)
        with full_precision(batch.image):
            return in_space(out, batch.intrinsics_px, batch.image.shape[-1])


def in_space(out: DigitOutput, intrinsics_px: Tensor, image_size_px: int) -> dict[str, Tensor]:
    """The task's prediction fields.

    The right wrist's depth follows from the crop's width there. The left one's is the right one's and the relative root
    depth, or, where no right hand is seen, follows from its own width.
    """
    handedness = out.handedness.sigmoid()
    own_m = depth_of_width_m(out.log_crop_width.exp(), intrinsics_px, image_size_px)
    beside_m = torch.stack([own_m[:, 0], own_m[:, 0] + out.relative_root * (DEPTH_M / CELLS)], 1)
    beside_right = from_cells(out.joints, beside_m, intrinsics_px, image_size_px)
    alone = from_cells(out.joints, own_m, intrinsics_px, image_size_px)
    wrists = beside_right[:, :, WRIST]
    return {
        "joints_cam_m": torch.where((handedness[:, 0] > 0.5)[:, None, None, None], beside_right, alone),
        "relative_root_m": wrists[:, 1] - wrists[:, 0],
        "handedness": handedness,
    }

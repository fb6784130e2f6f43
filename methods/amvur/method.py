"""AMVUR as a method: one stage, supervised or weakly supervised."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from methods.amvur.config import AmvurConfig
from methods.amvur.losses import supervised_loss, weak_loss
from methods.amvur.model import AmvurModule, AmvurOutput
from methods.amvur.spec import SPEC, STAGE
from methods.base import Method, Progress, Stage
from methods.config import MethodConfig
from methods.layers.precision import full_precision
from tasks.hands.hand import HandModel


class AmvurStage(Stage):
    """Both branches, camera and texture, trained together."""

    spec = STAGE

    def __init__(self, config: AmvurConfig) -> None:
        self.config = config

    def build(self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]) -> AmvurModule:
        return AmvurModule(self.config, hand)

    def loss(self, module: nn.Module, batch: Any, progress: Progress) -> dict[str, Tensor]:
        config = self.config
        weights = config.weak if config.supervision == "weak" else config.full
        weight = weights.texture if progress.fraction >= weights.texture_from else 0.0
        out = module(batch.image, batch.intrinsics_px, batch.hand_mask, render_loss=weight > 0)
        terms_of = weak_loss if config.supervision == "weak" else supervised_loss
        with full_precision(batch.image):
            return terms_of(out, batch, config, weight)


class Amvur(Method):
    """Predicts the means of the evaluated branch, placed in space by the camera."""

    spec = SPEC
    config: AmvurConfig

    def stages(self) -> list[Stage]:
        return [AmvurStage(self.config)]

    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
        module: AmvurModule = modules["amvur"]  # type: ignore[assignment]
        out: AmvurOutput = module(batch.image, batch.intrinsics_px, predicting=True)
        points = module.evaluated(out.p, out.q).points
        wrist = out.camera.wrist_cam_m[:, None]
        fields = {"joints_cam_m": points.joints.mean + wrist, "verts_cam_m": points.verts.mean + wrist}
        if points.verts.log_var is not None and points.joints.log_var is not None:
            fields |= {"verts_log_var": points.verts.log_var, "joints_log_var": points.joints.log_var}
        if out.texture is not None:
            fields |= {"vertex_rgb": out.texture.vertex_rgb, **module.skin(len(batch.image))}
        return fields

"""A MANO parameter regressor: the baseline whose prior is the very model that made the labels."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from methods.base import Method, Progress, Stage
from methods.baselines.mano_regressor.config import ManoRegressorConfig
from methods.baselines.mano_regressor.spec import SPEC, STAGE
from methods.config import MethodConfig
from methods.layers.backbone import Backbone
from methods.layers.camera import decode_camera, normalised_intrinsics, project_pinhole, to_normalised
from methods.layers.gaussian import Gaussian
from methods.layers.heads import head
from methods.layers.mano import ROTATION_SIZES, ManoDecoder, decode_rotation
from methods.layers.precision import full_precision
from methods.layers.rotations import axis_angle_to_matrix
from tasks.geometry.cameras import weak_to_translation
from tasks.hands.hand import HandModel


class RegressorModule(nn.Module):
    """Image (B, 3, S, S) and intrinsics (B, 3, 3) -> parameters and the mesh they stand for."""

    def __init__(self, config: ManoRegressorConfig, hand: HandModel) -> None:
        super().__init__()
        self.image_size_px = config.image_size_px
        self.backbone = Backbone(config.backbone, config.image_size_px)
        self.sizes = {
            "rotation": ROTATION_SIZES["six_d"],
            "pose": config.n_components,
            "betas": 10,
            "camera": 3,
        }
        self.head = head(self.backbone.features, config.hidden, sum(self.sizes.values()), std=0.01)
        self.mano = ManoDecoder(hand, config.n_components)

    def forward(self, image: Tensor, intrinsics_px: Tensor) -> dict[str, Tensor]:
        features, _ = self.backbone(image)
        with full_precision(image):
            return self._decoded(self.head(features.float()), intrinsics_px)

    def _decoded(self, raw: Tensor, intrinsics_px: Tensor) -> dict[str, Tensor]:
        rotation, pose, betas, camera = raw.split(list(self.sizes.values()), 1)
        rotation, hand_pose = decode_rotation(rotation), self.mano.hand_pose(pose)
        verts, joints = self.mano(rotation, hand_pose, betas)
        wrist = weak_to_translation(decode_camera(camera), intrinsics_px, self.image_size_px)
        return {
            "rotation": rotation,
            "hand_pose_aa": hand_pose,
            "betas": betas,
            "verts_rel_m": verts,
            "joints_rel_m": joints,
            "wrist_cam_m": wrist[:, None],
        }


class RegressorStage(Stage):
    """The only stage."""

    spec = STAGE

    def __init__(self, config: ManoRegressorConfig, hand: HandModel) -> None:
        self.config, self.hands_mean = config, hand.hands_mean

    def build(
        self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]
    ) -> RegressorModule:
        return RegressorModule(self.config, hand)

    def loss(self, module: nn.Module, batch: Any, progress: Progress) -> dict[str, Tensor]:
        out = module(batch.image, batch.intrinsics_px)
        with full_precision(batch.image):
            terms = {**self._point_errors(out, batch), **self._parameter_errors(out, batch)}
        weights = self.config.weights.model_dump()
        total = sum((weights[name] * term for name, term in terms.items()), start=batch.image.new_zeros(()))
        return {"total": total, **terms}

    def _point_errors(self, out: dict[str, Tensor], batch: Any) -> dict[str, Tensor]:
        size, wrist = self.config.image_size_px, batch.joints_cam_m[:, :1]
        projected = project_pinhole(
            Gaussian(out["joints_rel_m"] + out["wrist_cam_m"]),
            *normalised_intrinsics(batch.intrinsics_px, size),
        )
        return {
            "verts": (out["verts_rel_m"] - (batch.verts_cam_m - wrist)).abs().mean(),
            "joints": (out["joints_rel_m"] - (batch.joints_cam_m - wrist)).abs().mean(),
            "points_2d": (projected.mean - to_normalised(batch.joints_px, size)).abs().mean(),
        }

    def _parameter_errors(self, out: dict[str, Tensor], batch: Any) -> dict[str, Tensor]:
        rotation = axis_angle_to_matrix(batch.pose_aa[:, :3])
        hand_pose = batch.pose_aa[:, 3:] + self.hands_mean.to(batch.pose_aa.device)
        return {
            "rotation": (out["rotation"] - rotation).square().mean(),
            "pose": (out["hand_pose_aa"] - hand_pose).square().mean(),
            "betas": (out["betas"] - batch.betas).square().mean(),
        }


class ManoRegressor(Method):
    """One stage; the wrist's place comes from the weak-perspective camera and the known intrinsics."""

    spec = SPEC
    config: ManoRegressorConfig

    def stages(self) -> list[Stage]:
        return [RegressorStage(self.config, self.hand)]

    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
        out = modules["regressor"](batch.image, batch.intrinsics_px)
        return {
            "joints_cam_m": out["joints_rel_m"] + out["wrist_cam_m"],
            "verts_cam_m": out["verts_rel_m"] + out["wrist_cam_m"],
        }

"""The MANO prior-net, P: one global vector to a MANO mesh with a variance for every vertex (sheet 2.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.amvur.config import PriorConfig
from methods.layers.gaussian import Gaussian, bounded, linear_log_var, unbounded
from methods.layers.heads import head
from methods.layers.mano import ROTATION_SIZES, ManoDecoder, decode_rotation
from tasks.hands.hand import HandModel

LOG_VAR_RANGE = (-14.0, -4.0)
"""Standard deviations from 0.9 mm to 135 mm."""
N_BETAS = 10


@dataclass(frozen=True)
class Points:
    """One branch's wrist-relative vertices (B, V, 3) and joints (B, 21, 3), metres."""

    verts: Gaussian
    joints: Gaussian


@dataclass(frozen=True)
class Prior(Points):
    """P's points and the parameters they were made from."""

    rotation: Tensor
    """(B, 3, 3), from the hand model's frame to the camera's."""
    coefficients: Tensor
    """(B, n) on the pose basis."""
    hand_pose_aa: Tensor
    """(B, 45), the mean pose included."""
    betas: Tensor
    """(B, 10)."""


def initial_log_var(std_mm: float) -> float:
    """log m^2 of a standard deviation in millimetres, kept inside the range."""
    value = 2 * float(torch.tensor(std_mm / 1000).log())
    return min(max(value, LOG_VAR_RANGE[0] + 0.1), LOG_VAR_RANGE[1] - 0.1)


class PriorNet(nn.Module):
    """Heads on the global vector; the mesh is decoded by the hand model."""

    def __init__(self, config: PriorConfig, features: int, hand: HandModel, probabilistic: bool) -> None:
        super().__init__()
        self.config = config
        self.mano = ManoDecoder(hand, config.n_components)
        n_parameters = config.n_components + (N_BETAS if config.shape == "betas" else 0)

        def small_head(outputs: int, start: float = 0.0) -> nn.Sequential:
            return head(features, config.hidden, outputs, config.activation, std=0.001, start=(start,))

        self.rotation = small_head(ROTATION_SIZES[config.rotation])
        self.parameters_mean = small_head(n_parameters)
        self.scale = small_head(1, start=0.95) if config.scale == "regressed" else None
        self.variance: nn.Module | None = None
        if probabilistic and config.variance == "regressed":
            raw = unbounded(initial_log_var(config.initial_std_mm), *LOG_VAR_RANGE)
            self.variance = small_head(3 * hand.n_verts, start=raw)
        elif probabilistic:
            self.variance = small_head(n_parameters)

    def forward(self, features: Tensor) -> Prior:
        """Features (B, F) to P."""
        rotation = decode_rotation(self.rotation(features))
        coefficients, betas = self._split(self.parameters_mean(features))
        hand_pose = self.mano.hand_pose(coefficients)
        verts, joints = self.mano(rotation, hand_pose, betas)
        scale = verts.new_ones(1) if self.scale is None else self.scale(features).abs()[..., None]
        log_var = self._log_var(features, rotation, scale)
        joint_log_var = None if log_var is None else linear_log_var(self.mano.joint_regressor, log_var)
        return Prior(
            Gaussian(scale * verts, log_var),
            Gaussian(scale * joints, joint_log_var),
            rotation,
            coefficients,
            hand_pose,
            betas,
        )

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Pose coefficients and betas; the released code replaces its betas by zeros."""
        n = self.config.n_components
        if self.config.shape == "zeros":
            return parameters, parameters.new_zeros(len(parameters), N_BETAS)
        return parameters[:, :n], parameters[:, n:]

    def _log_var(self, features: Tensor, rotation: Tensor, scale: Tensor) -> Tensor | None:
        if self.variance is None:
            return None
        raw = self.variance(features)
        if self.config.variance == "regressed":
            return bounded(raw, *LOG_VAR_RANGE).unflatten(-1, (-1, 3))
        coefficients, betas = self._split(raw)
        coordinates, _ = self.mano(rotation, self.mano.hand_pose(coefficients), betas)
        return 2 * scale.log() + coordinates

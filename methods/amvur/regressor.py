"""The attention-based mesh vertices uncertainty regressor, Q (sheet 2.3).

Tokens are 21 joints and a coarse mesh's vertices of the flat template hand, each joined with the global image vector.
In three narrowing blocks the vertices attend to the joints, then to each other.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from methods.amvur.config import RegressorConfig
from methods.amvur.prior import LOG_VAR_RANGE, Points, initial_log_var
from methods.layers.attention import AttentionBlock
from methods.layers.coarse_mesh import CoarseMesh
from methods.layers.gaussian import Gaussian, bounded, linear_log_var, unbounded
from tasks.hands.hand import HandModel

N_JOINTS = 21


class Regressor(nn.Module):
    """Three blocks, then 195 -> 778 vertices by a learned linear map that starts as interpolation on the mesh."""

    template: Tensor
    """(21 + coarse, 3) wrist-relative metres: joints, then coarse vertices."""
    joint_regressor: Tensor

    def __init__(
        self,
        config: RegressorConfig,
        features: int,
        hand: HandModel,
        mesh: CoarseMesh,
        initial_std_mm: float | None,
    ) -> None:
        """``initial_std_mm`` None: deterministic."""
        super().__init__()
        self.from_prior = config.offsets_from == "prior"
        verts = torch.as_tensor(hand.data.v_template, dtype=torch.float32)
        joints = hand.joint_regressor21() @ verts
        self.register_buffer(
            "template", torch.cat([joints, verts[mesh.vertices]]) - joints[0], persistent=False
        )
        self.register_buffer("joint_regressor", hand.joint_regressor21().clone(), persistent=False)
        self.blocks = _blocks(config, features, len(self.template))
        self.upsample_mean = _interpolating(mesh.upsampling)
        self.log_var: nn.Linear | None = None
        if initial_std_mm is not None:
            self.log_var = _near_constant(
                config.widths[-1], unbounded(initial_log_var(initial_std_mm), *LOG_VAR_RANGE)
            )
            self.upsample_log_var = _interpolating(mesh.upsampling)

    def forward(self, features: Tensor, prior_verts: Tensor | None) -> Points:
        """Features (B, F) and P's vertices (B, V, 3), where there is a P, to Q."""
        tokens = self.template.expand(len(features), -1, -1)
        hidden, tokens = self.blocks[0](tokens, shared=features)
        for block in list(self.blocks)[1:]:
            hidden, tokens = block(tokens)
        verts = _along_vertices(self.upsample_mean, tokens[:, N_JOINTS:])
        if self.from_prior and prior_verts is not None:
            verts = verts + prior_verts.detach()
        joints = self.joint_regressor @ verts
        if self.log_var is None:
            return Points(Gaussian(verts), Gaussian(joints))
        raw = _along_vertices(self.upsample_log_var, self.log_var(hidden[:, N_JOINTS:]))
        log_var = bounded(raw, *LOG_VAR_RANGE)
        return Points(
            Gaussian(verts, log_var), Gaussian(joints, linear_log_var(self.joint_regressor, log_var))
        )


def _blocks(config: RegressorConfig, features: int, n_tokens: int) -> nn.ModuleList:
    sizes = (3 + features, *config.outputs, 3)
    blocks = nn.ModuleList(
        AttentionBlock(
            inputs, width, outputs,
            feed_forward=config.feed_forward * width, heads=config.heads, layers=config.layers,
            n_context=N_JOINTS, positions=n_tokens if config.position_embedding else 0,
            cross_attention=config.cross_attention, dropout=config.dropout,
        )
        for (inputs, outputs), width in zip(pairwise(sizes), config.widths, strict=True)
    )  # fmt: skip
    last: AttentionBlock = blocks[-1]  # type: ignore[assignment]
    for layer in (last.mean, last.residual):  # metres: start near a point, not half a metre away
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    return blocks


def _interpolating(weights: Tensor) -> nn.Linear:
    linear = nn.Linear(weights.shape[1], weights.shape[0])
    linear.weight.data.copy_(weights)
    nn.init.zeros_(linear.bias)
    return linear


def _near_constant(width: int, value: float) -> nn.Linear:
    linear = nn.Linear(width, 3)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.constant_(linear.bias, value)
    return linear


def _along_vertices(linear: nn.Linear, values: Tensor) -> Tensor:
    """(B, coarse, 3) -> (B, V, 3)."""
    return linear(values.mT).mT

"""IntagHand's losses with their published weights. Source: Dw1010/IntagHand: core/Loss.py, utils/defaults.yaml."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.baselines.intaghand.config import IntagHandConfig
from methods.baselines.intaghand.model import UNIT_PALM_M, IntagHandOutput
from methods.layers.camera import to_normalised
from methods.layers.hand_encoder import HandHeads
from methods.layers.hand_maps import head_errors, head_targets
from methods.layers.hand_pair import HandPair, mean_palm
from tasks.geometry.cameras import project
from tasks.geometry.normals import face_normals

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Truth:
    """Labels in the frame and unit of the outputs."""

    verts: Tensor
    """(B, 2, V, 3)."""
    points_2d: Tensor
    """(B, 2, V, 2): the vertices' projection in normalised image units."""
    relative_root: Tensor
    """(B, 3): right root minus left root."""
    log_palm: Tensor
    """(B,): log of the true mean palm length over 95 mm."""


def truth(batch: Any, pair: HandPair, config: IntagHandConfig) -> Truth:
    """The labels of a batch in which both hands have fits."""
    verts_m = batch.verts_cam_m
    roots_m = pair.roots(verts_m)
    palm = mean_palm(pair.joints(verts_m)) / UNIT_PALM_M
    factor = 1 / palm if config.size == "unit_palm" else torch.ones_like(palm)
    origins_m = roots_m if config.relative_root == "head" else roots_m[:, 1:]
    pixels = project(verts_m.flatten(1, 2), batch.intrinsics_px).unflatten(1, (2, -1))
    return Truth(
        verts=factor[:, None, None, None] * (verts_m - origins_m),
        points_2d=to_normalised(pixels, config.image_size_px),
        relative_root=factor[:, None] * (roots_m[:, 0] - roots_m[:, 1])[:, 0],
        log_palm=palm.log(),
    )


def intaghand_loss(
    out: IntagHandOutput,
    batch: Any,
    pair: HandPair,
    coarse_vertices: Tensor,
    config: IntagHandConfig,
    fraction: float,
) -> Terms:
    """All terms, weighted, and their sum; ``fraction`` of the training is over."""
    weights, true = config.weights, truth(batch, pair, config)
    terms = _mesh_terms(out, true, pair, config, fraction)
    coarse = true.verts[:, :, coarse_vertices], true.points_2d[:, :, coarse_vertices]
    terms["coarse_verts"] = weights.verts * (out.coarse_verts - coarse[0]).abs().mean()
    terms["coarse_points_2d"] = weights.points_2d * _projected(out.coarse_verts, out.cameras, coarse[1])
    if out.relative_root is not None:
        terms["relative_root"] = weights.relative_root * (out.relative_root - true.relative_root).abs().mean()
    if out.log_palm is not None:
        terms["palm"] = weights.palm * (out.log_palm - true.log_palm).abs().mean()
    terms |= _head_terms(out.heads, batch, pair, config)
    return {"total": torch.stack(list(terms.values())).sum(), **terms}


def _mesh_terms(
    out: IntagHandOutput, true: Truth, pair: HandPair, config: IntagHandConfig, fraction: float
) -> Terms:
    weights = config.weights
    terms = {
        "verts": weights.verts * (out.verts - true.verts).abs().mean(),
        "joints": weights.joints * (pair.joints(out.verts) - pair.joints(true.verts)).abs().mean(),
        "points_2d": weights.points_2d * _projected(out.verts, out.cameras, true.points_2d),
    }
    if weights.normals:
        terms["normals"] = weights.normals * _normal_error(out.verts, true.verts, pair)
    if weights.edges:
        begun = float(fraction >= weights.edges_from)
        terms["edges"] = begun * weights.edges * _length_error(out.verts, true.verts, pair)
    return terms


def _projected(verts: Tensor, cameras: Tensor, target: Tensor) -> Tensor:
    """Mean squared error in normalised image units of vertices (B, 2, N, 3) seen by weak cameras (B, 2, 3)."""
    seen = cameras[..., None, :1] * (verts[..., :2] + cameras[..., None, 1:])
    return (seen - target).square().mean()


def _normal_error(verts: Tensor, true_verts: Tensor, pair: HandPair) -> Tensor:
    """How far the edges of predicted faces leave the true faces' planes: mean absolute cosine."""
    cosines = []
    for i, faces in enumerate(pair.faces):
        corners = verts[:, i, faces]
        directions = F.normalize(corners - corners.roll(-1, 2), dim=-1)
        cosines.append((directions * face_normals(true_verts[:, i], faces)[:, :, None]).sum(-1).abs().mean())
    return torch.stack(cosines).mean()


def _length_error(verts: Tensor, true_verts: Tensor, pair: HandPair) -> Tensor:
    """Mean absolute error of edge lengths; every edge counts as often as it has faces."""
    a, b, c = pair.faces[0].T  # an edge is the same in both hands
    first, second = torch.cat([a, b, c]), torch.cat([b, c, a])
    predicted, true = (
        torch.linalg.vector_norm(v.index_select(2, first) - v.index_select(2, second), dim=-1)
        for v in (verts, true_verts)
    )
    return (predicted - true).abs().mean()


def _head_terms(heads: HandHeads, batch: Any, pair: HandPair, config: IntagHandConfig) -> Terms:
    weights, side = config.weights, heads.masks.shape[-1]
    target = head_targets(
        pair, batch.verts_cam_m, batch.intrinsics_px, config.image_size_px, side, config.heatmap_sigma_cells
    )
    errors = head_errors(heads, target, config.mask_loss)
    return {name: getattr(weights, name) * error for name, error in errors.items()}

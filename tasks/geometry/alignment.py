"""The four alignments that papers call "aligned", batched and in the dtype they are given (use float64 to score).

============  ==============================================  ==========================================
P1            ``align_procrustes``      reflection allowed    FreiHAND, HO-3D, DexYCB, DiffHOI (hands)
P2            ``align_similarity``      rotation only         HaMeR, mmpose, most SMPL code
P3            ``align_bone``            one bone's scale      HO-3D's ST, IntagHand
P4            ``align_root``            translation only      InterHand2.6M, DexYCB root-relative
============  ==============================================  ==========================================

``align_rigid`` is P2 without its scale. ``similarity`` gives P2's transform itself, for points that follow others.

Each takes points ``(..., N, 3)`` and returns the aligned prediction. A sample that is not finite, or for which the
alignment is undefined, comes back as NaN, that sample only: never an exception, never a good score.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_NORM_EPS = 1e-8
"""Added to both norms by FreiHAND's script; it keeps a perfect prediction at an error of about 4e-9 m."""


def align_procrustes(prediction: Tensor, target: Tensor) -> Tensor:
    """P1: orthogonal Procrustes with scale, reflections allowed, exactly as FreiHAND's ``eval.py`` (``align_w_scale``).

    Points that all coincide collapse onto the target's centroid, as in the script: the error stays finite.
    """
    usable, x, y = _usable_pair(target, prediction)
    t1 = x.mean(-2, keepdim=True)
    x0, y0 = x - t1, y - y.mean(-2, keepdim=True)
    s1, s2 = _frobenius(x0) + _NORM_EPS, _frobenius(y0) + _NORM_EPS
    x0, y0 = x0 / s1, y0 / s2
    u, w, vt = torch.linalg.svd(x0.mT @ y0)
    aligned = (y0 @ (u @ vt).mT) * w.sum(-1)[..., None, None] * s1 + t1
    return _or_nan(aligned, usable)


class Similarity(NamedTuple):
    """``y -> scale * (y - source) @ rotation.T + target``, one per sample; NaN where undefined."""

    rotation: Tensor
    """(..., 3, 3), determinant +1."""
    scale: Tensor
    """(...,)."""
    source: Tensor
    """(..., 3)."""
    target: Tensor
    """(..., 3)."""

    def __call__(self, points: Tensor) -> Tensor:
        """Points (..., N, 3) moved."""
        turned = (points - self.source[..., None, :]) @ self.rotation.mT
        return turned * self.scale[..., None, None] + self.target[..., None, :]


def similarity(prediction: Tensor, target: Tensor) -> Similarity:
    """The least-squares similarity without reflection (Umeyama 1991, equations 39 to 42).

    Undefined, so NaN, for a prediction whose points all coincide, up to rounding.
    """
    usable, x, y = _usable_pair(target, prediction)
    t1, t2 = x.mean(-2), y.mean(-2)
    x0, y0 = x - t1[..., None, :], y - t2[..., None, :]
    u, w, vt = torch.linalg.svd(x0.mT @ y0)
    sign = torch.where(torch.linalg.det(u @ vt) < 0, -1.0, 1.0).to(w.dtype)
    flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    rotation = u @ (flip[..., None] * vt)
    variance = (y0 * y0).sum((-1, -2))
    scale = (w * flip).sum(-1) / variance
    rounding = 8 * torch.finfo(y.dtype).eps * y.abs().amax((-1, -2))
    defined = usable & (variance > y.shape[-2] * rounding**2)
    return Similarity(rotation, torch.where(defined, scale, torch.nan), t2, t1)


def follow_as_released(points: Tensor, prediction: Tensor, target: Tensor) -> Tensor:
    """``points`` (..., M, 3) moved as FreiHAND's and HO-3D's scripts move a mesh that is not MANO's: wrongly.

    They take P1's rotation and scale from the joints, but forget to divide by the prediction's norm, and turn the
    points about their own mean (``align_w_scale`` with ``return_trafo``, ``align_by_trafo``). For agreement with
    published scores only: what is near the truth comes out far from it.
    """
    usable, x, y = _usable_pair(target, prediction)
    t1, t2 = x.mean(-2, keepdim=True), y.mean(-2, keepdim=True)
    s1, s2 = _frobenius(x - t1) + _NORM_EPS, _frobenius(y - t2) + _NORM_EPS
    u, w, vt = torch.linalg.svd(((x - t1) / s1).mT @ ((y - t2) / s2))
    own = points.mean(-2, keepdim=True)
    moved = ((points - own) @ (u @ vt).mT) * w.sum(-1)[..., None, None] * s1 + (t1 - t2) + own
    return _or_nan(moved, usable)


def align_similarity(prediction: Tensor, target: Tensor) -> Tensor:
    """P2: the prediction moved by its ``similarity``."""
    return similarity(prediction, target)(prediction)


def align_rigid(prediction: Tensor, target: Tensor) -> Tensor:
    """The prediction under the rotation and translation that fit best, no scale (Kabsch 1976)."""
    fit = similarity(prediction, target)
    return fit._replace(scale=torch.where(fit.scale.isnan(), torch.nan, 1.0).to(fit.scale.dtype))(prediction)


def align_bone(prediction: Tensor, target: Tensor, root: int = 0, end: int = 9) -> Tensor:
    """P3: scale so that the bone from ``root`` to ``end`` has the target's length, then put the root on the target's.

    The defaults are wrist and middle MCP in order B, HO-3D's pair (4 in its own order A); IntagHand's root is 9 and
    its end 0. Step by step as HO-3D's ``eval.py`` (``align_sc_tr``), so that rounding is the same: with a predicted
    bone of length zero the division is left out and the multiplication is not. A target bone of length zero leaves
    the scale undefined: NaN.
    """
    usable, x, y = _usable_pair(target, prediction)
    wanted = torch.linalg.vector_norm(x[..., end, :] - x[..., root, :], dim=-1)
    length = torch.linalg.vector_norm(y[..., end, :] - y[..., root, :], dim=-1)
    unit = y / torch.where(length > 0, length, torch.ones_like(length))[..., None, None]
    scaled = unit * wanted[..., None, None]
    moved = scaled - scaled[..., root, None, :] + x[..., root, None, :]
    return _or_nan(moved, usable & (wanted > 0))


def align_root(prediction: Tensor, prediction_root: Tensor, target_root: Tensor) -> Tensor:
    """P4: ``prediction`` moved by the vector from its own root ``(..., 3)`` to the target's root ``(..., 3)``.

    The roots are points, so that vertices can follow the root of their joints. What is not finite stays so: a sample
    with any such point is NaN as a whole.
    """
    moved = prediction + (target_root - prediction_root).unsqueeze(-2)
    return _or_nan(moved, _finite(moved))


def _usable_pair(target: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which samples are finite, and both point sets with zeros in the samples that are not (an SVD would raise)."""
    usable = _finite(target) & _finite(prediction)
    keep = usable[..., None, None]
    return (
        usable,
        target.where(keep, torch.zeros_like(target)),
        prediction.where(keep, torch.zeros_like(prediction)),
    )


def _finite(points: Tensor) -> Tensor:
    """Per sample: neither NaN nor so large that a sum of squares would overflow."""
    largest = torch.finfo(points.dtype).max ** 0.5 / 1e3
    return (points.abs() < largest).all(-1).all(-1)


def _frobenius(points: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(points, keepdim=True)


def _or_nan(points: Tensor, usable: Tensor) -> Tensor:
    return points.where(usable[..., None, None], torch.full_like(points, torch.nan))

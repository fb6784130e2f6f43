"""AMVUR's losses: supervised (sheet 3.1) and weakly supervised (sheet 3.2).

Every term is a mean over coordinates. With the Gaussian likelihood, terms in nats are weighted by sigma^(2 beta) as in
beta-NLL; KL terms get the same weight, so that the balance of likelihood and KL is that of the evidence bound.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.amvur.camera import four_intrinsics
from methods.amvur.config import AmvurConfig
from methods.amvur.model import AmvurOutput, Branch, Texture
from methods.amvur.prior import Points, initial_log_var
from methods.amvur.texture import to_imagenet
from methods.layers.camera import to_normalised
from methods.layers.gaussian import Gaussian, beta_weight, kl_terms, nll_terms
from methods.layers.joint_limits import joint_limit_excess
from methods.layers.rotations import axis_angle_to_matrix

Terms = dict[str, Tensor]
IN_NATS = ("gaussian_nll", "moments")


@dataclass(frozen=True)
class Truth:
    """Labels in the frames of the outputs: wrist-relative metres, [-1, 1] image units."""

    verts: Tensor
    joints: Tensor
    joints_2d: Tensor


def full_truth(batch: Any, image_size_px: int) -> Truth:
    """Everything the batch knows."""
    wrist = batch.joints_cam_m[:, :1]
    return Truth(
        batch.verts_cam_m - wrist, batch.joints_cam_m - wrist, to_normalised(batch.joints_px, image_size_px)
    )


def supervised_loss(out: AmvurOutput, batch: Any, config: AmvurConfig, texture_weight: float) -> Terms:
    """Data terms on both branches and on P's parameters, KL between them, anatomy, photometric loss."""
    truth, weights = full_truth(batch, config.image_size_px), config.full
    terms: Terms = {}
    for name, branch in _branches(out):
        terms[f"verts_{name}"] = weights.verts * _point_error(
            branch.points.verts, truth.verts, out.scales.get("3d"), config, absolute=True
        )
        terms[f"joints_{name}"] = weights.joints * _point_error(
            branch.points.joints, truth.joints, out.scales.get("3d"), config, relative=True
        )
        terms[f"points_2d_{name}"] = weights.points_2d * _point_error(
            branch.joints_2d, truth.joints_2d, out.scales.get("2d"), config
        )
    terms |= _parameters(out, batch, weights.rotation, weights.angles)
    terms |= _anatomy(out, weights.joint_limits, weights.betas, 0.0)
    terms |= _kl(out, config, with_2d=True)
    use_mask = config.texture.photometric_mask == "hand"
    return _with_texture(terms, out, batch, config, texture_weight, use_mask)


def weak_loss(out: AmvurOutput, batch: Any, config: AmvurConfig, texture_weight: float) -> Terms:
    """2D joints, true intrinsics and anatomy. No 3D label, no mask."""
    weights = config.weak
    target = to_normalised(batch.joints_px, config.image_size_px)
    # without a KL to learn from, Q needs the data itself
    both = weights.data_on == "both" or out.p is None or config.likelihood == "deterministic"
    terms: Terms = {}
    for name, branch in _branches(out):
        if name == "p" or both:
            terms[f"points_2d_{name}"] = weights.points_2d * _reprojection(branch, target, out, config)
    terms |= _anatomy(out, weights.joint_limits, weights.betas, weights.pose)
    terms |= _kl(out, config, with_2d=False)
    terms |= _kl_camera(out, batch, config)
    return _with_texture(terms, out, batch, config, texture_weight, use_mask=False)


def _branches(out: AmvurOutput) -> list[tuple[str, Branch]]:
    return [(name, branch) for name, branch in (("p", out.p), ("q", out.q)) if branch is not None]


def _point_error(
    points: Gaussian,
    target: Tensor,
    scale: Tensor | None,
    config: AmvurConfig,
    absolute: bool = False,
    relative: bool = False,
) -> Tensor:
    """Negative log-likelihood of the target, or the error of a sample or of the mean: absolute or squared."""
    if relative:
        points = points.relative_to_first()
    if config.likelihood == "gaussian_nll":
        assert points.log_var is not None
        return (beta_weight(points.log_var, config.beta_nll) * nll_terms(points, target)).mean()
    if config.likelihood == "moments":
        assert points.log_var is not None
        residual = Gaussian(points.mean.detach(), points.log_var)
        spread = beta_weight(points.log_var, config.beta_nll) * nll_terms(residual, target)
        return (points.mean - target).abs().mean() + spread.mean()
    value = points.mean
    if scale is not None:
        value = points.sample(scale)
        value = value - value[:, :1] if relative else value
    return (value - target).abs().mean() if absolute else (value - target).square().mean()


def _reprojection(branch: Branch, target: Tensor, out: AmvurOutput, config: AmvurConfig) -> Tensor:
    """2D error of one branch; with samples the mean of the released three (sheet 3.2, i to iii)."""
    if config.likelihood != "samples":
        return _point_error(branch.joints_2d, target, None, config)
    scale, points, camera = out.scales["3d"], branch.points, out.camera
    intrinsics = None if camera.intrinsics is None else camera.intrinsics.sample(out.scales["camera"])
    regressed = out.joint_regressor @ points.verts.sample(scale)
    candidates = [
        camera.project(Gaussian(regressed), intrinsics).mean,
        camera.project(Gaussian(points.joints.sample(scale)), intrinsics).mean,
        branch.joints_2d.sample(out.scales["2d"]),
    ]
    return torch.stack([(value - target).square().mean() for value in candidates]).mean()


def _parameters(out: AmvurOutput, batch: Any, rotation: float, angles: float) -> Terms:
    """P's rotation and hand pose against their labels; nothing of a label whose weight is 0 is read."""
    terms: Terms = {}
    if out.prior is not None and rotation:
        true_rotation = axis_angle_to_matrix(batch.pose_aa[:, :3])
        terms["rotation"] = rotation * (out.prior.rotation - true_rotation).square().mean()
    if out.prior is not None and angles:
        true_pose = batch.pose_aa[:, 3:] + out.hands_mean
        terms["angles"] = angles * (out.prior.hand_pose_aa - true_pose).square().mean()
    return terms


def _anatomy(out: AmvurOutput, joint_limits: float, betas: float, pose: float) -> Terms:
    """Joint limits of P's pose, small shape, small pose coefficients."""
    if out.prior is None:
        return {}
    return {
        "joint_limits": joint_limits * joint_limit_excess(out.prior.hand_pose_aa),
        "betas": betas * out.prior.betas.square().mean(),
        "pose": pose * out.prior.coefficients.square().mean(),
    }


def _kl(out: AmvurOutput, config: AmvurConfig, with_2d: bool) -> Terms:
    """KL(Q || P) of joints and vertices (and 2D), and what keeps P's variances where they belong."""
    if out.p is None or out.p.points.verts.log_var is None:
        return {}
    terms = {"prior_variance": config.kl.weight * _prior_variance(out.p.points, config)}
    if out.q is None:
        return terms
    weight = config.kl.weight
    q, p = out.q.points, out.p.points
    terms["kl_joints"] = weight * _kl_mean(q.joints.relative_to_first(), p.joints.relative_to_first(), config)
    if config.kl.vertices == "gaussian":
        terms["kl_verts"] = weight * _kl_mean(q.verts, p.verts, config)
    else:
        terms["kl_verts"] = weight * l1_tie(q.verts, p.verts)
    if with_2d:
        prior = out.p.joints_2d
        if config.kl.points_2d == "unit_prior":
            prior = Gaussian(prior.mean, torch.zeros_like(prior.mean))
        terms["kl_2d"] = weight * _kl_mean(out.q.joints_2d, prior, config)
    return terms


def _kl_mean(q: Gaussian, p: Gaussian, config: AmvurConfig) -> Tensor:
    assert q.log_var is not None
    beta = config.beta_nll if config.likelihood in IN_NATS else 0.0
    return (beta_weight(q.log_var, beta) * kl_terms(q, p)).mean()


def l1_tie(q: Gaussian, p: Gaussian) -> Tensor:
    """The released vertex KL: absolute differences of the means where the square belongs."""
    assert q.log_var is not None
    assert p.log_var is not None
    distance = (p.mean - q.mean).abs()
    return 0.5 * (p.log_var - q.log_var + (distance + q.log_var.exp()) / p.log_var.exp() - 1).mean()


def _prior_variance(points: Points, config: AmvurConfig) -> Tensor:
    """0.5 (exp(l - a) - (l - a) - 1) over P's points: pulls its deviations to an anchor.

    The anchor is where regressed deviations start; released: one metre.
    """
    released = config.prior.variance == "mano_coordinates"
    anchor = 0.0 if released else initial_log_var(config.prior.initial_std_mm)
    assert points.verts.log_var is not None
    assert points.joints.log_var is not None
    excess = torch.cat([points.verts.log_var, points.joints.log_var], 1) - anchor
    beta = config.beta_nll if config.likelihood in IN_NATS else 0.0
    return 0.5 * math.exp(beta * anchor) * (excess.exp() - excess - 1).mean()


def _kl_camera(out: AmvurOutput, batch: Any, config: AmvurConfig) -> Terms:
    """Predicted intrinsics against the true ones, whose log-variance is the constant 1."""
    predicted = out.camera.intrinsics
    if predicted is None:
        return {}
    true = four_intrinsics(batch.intrinsics_px, config.image_size_px)
    if predicted.log_var is None:
        return {"camera": config.kl.weight * (predicted.mean - true).square().mean()}
    return {"kl_camera": config.kl.weight * kl_terms(predicted, Gaussian(true, torch.ones_like(true))).mean()}


def _with_texture(
    terms: Terms, out: AmvurOutput, batch: Any, config: AmvurConfig, weight: float, use_mask: bool
) -> Terms:
    if out.texture is not None:
        error = photometric(out.texture, batch, config, use_mask)
        terms["texture"] = (weight if out.texture.rendered is not None else 0.0) * error
    return {"total": torch.stack(list(terms.values())).sum(), **terms}


def photometric(texture: Texture, batch: Any, config: AmvurConfig, use_mask: bool) -> Tensor:
    """Mean colour distance sqrt(1e-6 + sum_c d^2) over the rendered hand, without the pixels that a known mask says are
    not the hand's; the sum of the colours where nothing was rendered."""
    if texture.rendered is None or texture.mask is None:
        return texture.vertex_rgb.sum()
    n, _, side, _ = texture.rendered.shape
    image, mask = resized(batch.image[:n], side), texture.mask
    if use_mask:
        hand = resized(batch.hand_mask[:n, None].to(image.dtype), side)[:, 0] > 0.5
        mask = mask & (hand | ~batch.has_mask[:n, None, None])
    if config.texture.colours == "imagenet":
        image = to_imagenet(image.movedim(1, -1)).movedim(-1, 1)
    distance = (1e-6 + (texture.rendered - image).square().sum(1)).sqrt()
    return (distance * mask).sum() / mask.sum().clamp_min(1)


def resized(image: Tensor, side: int) -> Tensor:
    """(B, C, S, S) -> (B, C, side, side), antialiased."""
    if image.shape[-1] == side:
        return image
    return F.interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False)

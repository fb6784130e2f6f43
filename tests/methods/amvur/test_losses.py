import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from methods.amvur.config import AmvurConfig
from methods.amvur.losses import full_truth, l1_tie, photometric, supervised_loss, weak_loss
from methods.amvur.method import Amvur
from methods.amvur.model import AmvurModule, AmvurOutput, Texture
from methods.base import Progress
from methods.config import resolve_config
from methods.layers.gaussian import Gaussian
from methods.layers.rotations import axis_angle_to_matrix
from tasks.hands.hand import HandModel
from tasks.single_hand.batch import HandBatch
from tests.methods.amvur.small import SMALL

LATE = Progress(0, 1, 9, 10)


def configured(**changes: str) -> AmvurConfig:
    return resolve_config(
        AmvurConfig, SMALL, {key.replace("__", "."): value for key, value in changes.items()}
    )


def build(config: AmvurConfig, hand: HandModel) -> AmvurModule:
    torch.manual_seed(0)
    (stage,) = Amvur(config, hand).stages()
    return stage.build(config, hand, {})  # type: ignore[return-value]


def forward(config: AmvurConfig, hand: HandModel, batch: HandBatch) -> AmvurOutput:
    module = build(config, hand)
    torch.manual_seed(1)
    return module(batch.image, batch.intrinsics_px, batch.hand_mask, render_loss=True)


def normal(g: Gaussian) -> Normal:
    assert g.log_var is not None
    return Normal(g.mean, (0.5 * g.log_var).exp())


def without_3d_labels(batch: HandBatch) -> HandBatch:
    """Every label but the 2D joints and the intrinsics replaced."""
    noise = torch.Generator().manual_seed(3)
    return replace(
        batch,
        joints_cam_m=batch.joints_cam_m + torch.rand(batch.joints_cam_m.shape, generator=noise),
        verts_cam_m=torch.rand(batch.verts_cam_m.shape, generator=noise),
        pose_aa=torch.rand(batch.pose_aa.shape, generator=noise),
        betas=torch.rand(batch.betas.shape, generator=noise),
        hand_mask=~batch.hand_mask,
    )


@pytest.mark.parametrize("camera", ["predicted_intrinsics", "known_intrinsics", "weak_perspective"])
@pytest.mark.parametrize("likelihood", ["gaussian_nll", "samples", "deterministic"])
def test_weak_supervision_reads_no_3d_label_and_no_mask(
    hand: HandModel, batch: HandBatch, camera: str, likelihood: str
) -> None:
    config = configured(supervision="weak", weak__camera=camera, likelihood=likelihood)
    module = build(config, hand)
    losses = []
    for labels in (batch, without_3d_labels(batch)):
        torch.manual_seed(1)
        (stage,) = Amvur(config, hand).stages()
        losses.append(stage.loss(module, labels, LATE)["total"].detach())
    assert torch.equal(*losses)


def test_weak_supervision_reads_2d_joints_and_intrinsics(hand: HandModel, batch: HandBatch) -> None:
    config = configured(supervision="weak", likelihood="deterministic")
    out = forward(config, hand, batch)
    total = weak_loss(out, batch, config, 0.1)["total"]
    assert weak_loss(out, replace(batch, joints_px=batch.joints_px + 1), config, 0.1)["total"] != total
    assert (
        weak_loss(out, replace(batch, intrinsics_px=batch.intrinsics_px * 1.1), config, 0.1)["total"] != total
    )


@pytest.mark.parametrize("field", ["joints_cam_m", "verts_cam_m", "joints_px"])
def test_full_supervision_reads_all_labels(hand: HandModel, batch: HandBatch, field: str) -> None:
    config = configured()
    out = forward(config, hand, batch)
    moved = replace(
        batch, **{field: getattr(batch, field) + torch.randn(3 if field != "joints_px" else 2) * 0.1}
    )
    if field == "joints_cam_m":
        moved = replace(moved, joints_cam_m=batch.joints_cam_m + 0.01 * torch.randn_like(batch.joints_cam_m))
    assert (
        supervised_loss(out, moved, config, 0.1)["total"] != supervised_loss(out, batch, config, 0.1)["total"]
    )


def test_kl_terms_are_those_of_torch_distributions(hand: HandModel, batch: HandBatch) -> None:
    config = configured(beta_nll="0")
    out = forward(config, hand, batch)
    terms = supervised_loss(out, batch, config, 0.0)
    assert out.p is not None
    assert out.q is not None
    for name, q, p in (
        ("kl_verts", out.q.points.verts, out.p.points.verts),
        ("kl_joints", out.q.points.joints.relative_to_first(), out.p.points.joints.relative_to_first()),
        ("kl_2d", out.q.joints_2d, out.p.joints_2d),
    ):
        expected = 0.1 * kl_divergence(normal(q), normal(p)).mean()
        torch.testing.assert_close(terms[name], expected, rtol=1e-4, atol=1e-6)


def test_data_terms_are_likelihoods_of_torch_distributions(hand: HandModel, batch: HandBatch) -> None:
    config = configured(beta_nll="0")
    out, truth = forward(config, hand, batch), full_truth(batch, 64)
    terms = supervised_loss(out, batch, config, 0.0)
    assert out.q is not None
    for name, q, target in (
        ("verts_q", out.q.points.verts, truth.verts),
        ("points_2d_q", out.q.joints_2d, truth.joints_2d),
    ):
        expected = -normal(q).log_prob(target).mean() - 0.5 * math.log(2 * math.pi)
        torch.testing.assert_close(terms[name], expected, rtol=1e-4, atol=1e-6)


def test_deterministic_errors_are_absolute_on_vertices_and_squared_on_joints(
    hand: HandModel, batch: HandBatch
) -> None:
    config = configured(likelihood="deterministic")
    out, truth = forward(config, hand, batch), full_truth(batch, 64)
    terms = supervised_loss(out, batch, config, 0.0)
    assert out.p is not None
    verts, joints = out.p.points.verts.mean, out.p.points.joints.mean
    torch.testing.assert_close(terms["verts_p"], (verts - truth.verts).abs().mean())
    torch.testing.assert_close(terms["joints_p"], ((joints - joints[:, :1] - truth.joints) ** 2).mean())
    assert not any(name.startswith("kl") for name in terms)


def with_parameters(out: AmvurOutput, rotation: torch.Tensor, hand_pose_aa: torch.Tensor) -> AmvurOutput:
    assert out.prior is not None
    return replace(out, prior=replace(out.prior, rotation=rotation, hand_pose_aa=hand_pose_aa))


def test_labels_of_rotation_and_angles_have_their_closed_forms(hand: HandModel, batch: HandBatch) -> None:
    config = configured(full__rotation="0.5", full__angles="2")
    true_pose = batch.pose_aa[:, 3:] + hand.hands_mean
    out = forward(config, hand, batch)
    for turn, bend in ((0.0, 0.0), (0.3, 0.1), (math.pi, 1.0)):
        about_z = torch.zeros(len(batch), 3)
        about_z[:, 2] = turn
        turned = axis_angle_to_matrix(about_z) @ axis_angle_to_matrix(batch.pose_aa[:, :3])
        terms = supervised_loss(with_parameters(out, turned, true_pose + bend), batch, config, 0.0)
        assert float(terms["rotation"]) == pytest.approx(0.5 * 4 * (1 - math.cos(turn)) / 9, abs=1e-6)
        assert float(terms["angles"]) == pytest.approx(2 * bend**2, abs=1e-6)


def test_labels_of_angles_pull_towards_the_true_pose(hand: HandModel, batch: HandBatch) -> None:
    config = configured(full__angles="1")
    out = forward(config, hand, batch)
    assert out.prior is not None
    predicted = out.prior.hand_pose_aa.detach().requires_grad_()
    terms = supervised_loss(with_parameters(out, out.prior.rotation, predicted), batch, config, 0.0)
    (gradient,) = torch.autograd.grad(terms["angles"], predicted)
    wrong_by = predicted.detach() - (batch.pose_aa[:, 3:] + hand.hands_mean)
    torch.testing.assert_close(gradient, 2 * wrong_by / wrong_by.numel())


def test_labels_of_parameters_are_not_read_unless_asked_for(hand: HandModel, batch: HandBatch) -> None:
    unknown = replace(batch, pose_aa=torch.full_like(batch.pose_aa, math.nan))
    config = configured()
    out = forward(config, hand, batch)
    assert torch.isfinite(supervised_loss(out, unknown, config, 0.1)["total"])
    for key in ("full__rotation", "full__angles"):
        config = configured(**{key: "1"})
        assert torch.isnan(supervised_loss(out, unknown, config, 0.1)["total"])


def test_l1_tie_couples_by_distance_where_a_kl_would_by_its_square() -> None:
    zeros = torch.zeros(1, 1, 3)
    for distance in (0.01, 0.02):
        tie = l1_tie(Gaussian(zeros, zeros), Gaussian(zeros + distance, zeros))
        assert float(tie) == pytest.approx(distance / 2)


def test_the_camera_kl_vanishes_to_its_constant_at_the_true_intrinsics(
    hand: HandModel, batch: HandBatch
) -> None:
    config = configured(supervision="weak", weak__camera="predicted_intrinsics")
    out = forward(config, hand, batch)
    true = batch.intrinsics_px[:, (0, 0, 1, 1), (0, 2, 1, 2)] / 128
    exact = replace(out, camera=replace(out.camera, intrinsics=Gaussian(true, torch.ones_like(true))))
    assert float(weak_loss(exact, batch, config, 0.0)["kl_camera"]) == pytest.approx(0, abs=1e-6)
    assert weak_loss(out, batch, config, 0.0)["kl_camera"] > 0


def test_photometric_loss_measures_colour_distance_on_the_hand_alone(batch: HandBatch) -> None:
    rendered = batch.image.clone()
    rendered[:, 0] += 0.1 * batch.hand_mask
    everywhere = torch.ones_like(batch.hand_mask)
    texture = Texture(torch.zeros(6, 1, 3), rendered, everywhere)
    config = configured(texture__render_px="64")
    on_hand = photometric(texture, batch, config, use_mask=True)
    assert float(on_hand) == pytest.approx(math.sqrt(1e-6 + 0.01), rel=1e-3)
    share = batch.hand_mask.float().mean()
    expected = share * math.sqrt(1e-6 + 0.01) + (1 - share) * 1e-3
    assert float(photometric(texture, batch, config, use_mask=False)) == pytest.approx(
        float(expected), rel=1e-3
    )
    unmasked = replace(batch, has_mask=torch.zeros(6, dtype=torch.bool))
    assert float(photometric(texture, unmasked, config, use_mask=True)) == pytest.approx(
        float(expected), rel=1e-3
    )

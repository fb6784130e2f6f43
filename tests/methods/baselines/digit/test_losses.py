from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from methods.baselines.digit.config import LossWeights
from methods.baselines.digit.losses import (
    Targets,
    bone_error,
    digit_loss,
    handedness_error,
    joint_error,
    segmentation_error,
)
from methods.baselines.digit.model import DigitOutput
from methods.baselines.digit.parts import PartPainter
from tasks.two_hands.augmentation import mirrored
from tasks.two_hands.batch import TwoHandBatch

SIZE, SIDE = 64, 16
N = 6
BOTH, RIGHT, LEFT = 0, 1, 2
"""Positions of a pair, a right hand and a left hand."""
PARENT = [0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19]
"""Finger-major, thumb first; the wrist stands for its own parent."""


@pytest.fixture
def out() -> DigitOutput:
    noise = torch.Generator().manual_seed(1)
    return DigitOutput(
        joints=20 * torch.randn(N, 2, 21, 3, generator=noise),
        relative_root=10 * torch.randn(N, generator=noise),
        handedness=torch.randn(N, 2, generator=noise),
        log_crop_width=torch.randn(N, 2, generator=noise),
        segmentation=torch.randn(N, 33, SIDE, SIDE, generator=noise),
    )


def random_joints(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    noise = torch.Generator().manual_seed(seed)
    joints, true = (10 * torch.randn(3, 2, 21, 3, generator=noise) for _ in range(2))
    return joints, true, torch.rand(3, 2, 21, generator=noise) > 0.4


def test_joint_error_is_the_l1_distance_over_all_coordinates_with_zeros_for_invalid_joints() -> None:
    joints, true, valid = random_joints(0)
    total = sum(
        float((joints[i] - true[i]).abs().sum())
        for i in np.ndindex(3, 2, 21)
        if valid[i]
    )  # fmt: skip
    assert joint_error(joints, true, valid) == pytest.approx(total / (3 * 2 * 21 * 3), rel=1e-5)


def test_bone_error_is_the_squared_distance_of_bone_vectors_with_two_valid_ends() -> None:
    joints, true, valid = random_joints(1)
    sums = [0.0, 0.0]
    for i, hand, child in np.ndindex(3, 2, 21):
        parent = PARENT[child]
        if child and valid[i, hand, child] and valid[i, hand, parent]:
            bones = [points[i, hand, child] - points[i, hand, parent] for points in (joints, true)]
            sums[hand] += float((bones[0] - bones[1]).square().sum())
    assert bone_error(joints, true, valid) == pytest.approx(sum(sums) / (3 * 20 * 3), rel=1e-5)


def test_handedness_error_is_the_cross_entropy_of_both_flags() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    true = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    p = 1 / (1 + np.exp(-logits.numpy()))
    terms = -np.log(np.where(true.numpy() > 0, p, 1 - p))
    assert handedness_error(logits, true, torch.tensor([True, True])) == pytest.approx(terms.mean(), rel=1e-5)
    first = terms[0].sum() / 4
    assert handedness_error(logits, true, torch.tensor([True, False])) == pytest.approx(first, rel=1e-5)


def test_segmentation_error_is_the_cross_entropy_of_the_pixels_of_labelled_images() -> None:
    noise = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 33, 4, 4, generator=noise)
    labels = torch.randint(0, 33, (2, 4, 4), generator=noise)
    log_p = log_softmax(logits.numpy(), axis=1)
    terms = [-log_p[1, labels[1, r, c], r, c] for r in range(4) for c in range(4)]
    error = segmentation_error(logits, labels, torch.tensor([False, True]))
    assert error == pytest.approx(np.sum(terms) / 32, rel=1e-5)


def test_targets_are_pixels_and_depths_from_the_wrist(batch: TwoHandBatch) -> None:
    """A pinhole written out; x and y in 64ths of the crop, depth in 64ths of 400 mm."""
    truth = Targets.of(batch)
    camera = batch.intrinsics_px[BOTH]
    x, y, z = batch.joints_cam_m[BOTH].unbind(-1)
    u = (camera[0, 0] * x / z + camera[0, 2]) * 64 / SIZE
    v = (camera[1, 1] * y / z + camera[1, 2]) * 64 / SIZE
    expected = torch.stack([u, v, (z - z[:, :1]) / 0.00625], -1)
    torch.testing.assert_close(truth.joints[BOTH], expected, atol=1e-3, rtol=1e-5)
    root = (z[1, 0] - z[0, 0]) / 0.00625
    assert truth.relative_root[BOTH].item() == pytest.approx(root.item(), abs=1e-4)
    focal = (camera[0, 0] + camera[1, 1]) / 2
    torch.testing.assert_close(truth.log_crop_width[BOTH], (z[:, 0] * SIZE / focal).log())
    assert truth.joint_valid[BOTH].all()
    assert truth.root_valid[BOTH]


def test_hands_that_are_not_there_teach_handedness_alone(batch: TwoHandBatch) -> None:
    truth = Targets.of(batch)
    for position, absent in ((RIGHT, 1), (LEFT, 0)):
        assert truth.handedness[position].tolist() == [float(absent), 1.0 - absent]
        assert not truth.joint_valid[position, absent].any()
        assert not truth.wrist_valid[position, absent]
        assert not truth.root_valid[position]


def test_joints_beside_the_crop_behind_the_camera_or_out_of_depth_do_not_count(batch: TwoHandBatch) -> None:
    joints = batch.joints_cam_m.clone()
    joints[BOTH, 0, 3, 0] += 1.0
    joints[BOTH, 0, 4, 2] -= 2.0
    joints[BOTH, 1, 5, 2] = joints[BOTH, 1, 0, 2] + 0.21
    joints[BOTH, 1, 6, 2] = joints[BOTH, 1, 0, 2] + 0.19
    valid = Targets.of(replace(batch, joints_cam_m=joints)).joint_valid[BOTH]
    assert (~valid).nonzero().tolist() == [[0, 3], [0, 4], [1, 5]]


def test_wrists_more_than_200_mm_apart_in_depth_do_not_teach_their_relation(batch: TwoHandBatch) -> None:
    joints = batch.joints_cam_m.clone()
    joints[BOTH, 1, :, 2] += 0.25
    truth = Targets.of(replace(batch, joints_cam_m=joints))
    assert not truth.root_valid[BOTH]
    assert truth.wrist_valid[BOTH].all()


def test_a_pair_with_thirty_valid_joints_or_fewer_does_not_teach_handedness(batch: TwoHandBatch) -> None:
    valid = batch.joint_valid.clone()
    valid[BOTH, 1, 10:] = False
    assert Targets.of(replace(batch, joint_valid=valid)).handedness_valid.all()
    valid[BOTH, 1, 9] = False
    doubtful = ~Targets.of(replace(batch, joint_valid=valid)).handedness_valid
    assert doubtful.nonzero().flatten().tolist() == [BOTH]


def test_a_mirrored_batch_has_mirrored_targets(batch: TwoHandBatch) -> None:
    truth = Targets.of(batch)
    other = Targets.of(mirrored(batch, torch.ones(N, dtype=torch.bool)))
    valid = truth.joint_valid
    torch.testing.assert_close(other.joint_valid, valid.flip(1))
    across = torch.tensor([-1.0, 1.0, 1.0])
    expected = truth.joints * across + torch.tensor([64.0, 0.0, 0.0])
    torch.testing.assert_close(other.joints.flip(1)[valid], expected[valid], atol=1e-3, rtol=1e-5)
    pairs = truth.root_valid
    torch.testing.assert_close(other.root_valid, pairs)
    torch.testing.assert_close(other.relative_root[pairs], -truth.relative_root[pairs])
    torch.testing.assert_close(other.handedness, truth.handedness.flip(1))
    wrists = truth.wrist_valid
    torch.testing.assert_close(other.log_crop_width.flip(1)[wrists], truth.log_crop_width[wrists])


def test_terms_are_weighted_and_summed(batch: TwoHandBatch, paint: PartPainter, out: DigitOutput) -> None:
    names = LossWeights.model_fields
    plain = digit_loss(out, batch, paint, LossWeights(**dict.fromkeys(names, 1.0)))
    terms = digit_loss(out, batch, paint, LossWeights())
    assert set(terms) == {"total", *names}
    for name, weight in LossWeights():
        torch.testing.assert_close(terms[name], weight * plain[name])
    torch.testing.assert_close(terms["total"], sum(terms[name] for name in names))


def test_the_depth_terms_are_absolute_errors_where_a_wrist_is(
    batch: TwoHandBatch, paint: PartPainter, out: DigitOutput
) -> None:
    truth = Targets.of(batch)
    terms = digit_loss(out, batch, paint, LossWeights(crop_width=1.0))
    pairs = [i for i in range(N) if batch.has_hand[i].all()]
    root = sum(abs(float(out.relative_root[i] - truth.relative_root[i])) for i in pairs)
    assert terms["relative_root"] == pytest.approx(root / N, rel=1e-5)
    wrists = [(i, h) for i, h in np.ndindex(N, 2) if batch.has_hand[i, h]]
    width = sum(abs(float(out.log_crop_width[i] - truth.log_crop_width[i])) for i in wrists)
    assert terms["crop_width"] == pytest.approx(width / (2 * N), rel=1e-5)


def test_perfect_joints_leave_handedness_and_segmentation_alone(
    batch: TwoHandBatch, paint: PartPainter, out: DigitOutput
) -> None:
    truth = Targets.of(batch)
    names = ("joints", "relative_root", "log_crop_width")
    terms = digit_loss(
        replace(out, **{name: getattr(truth, name) for name in names}), batch, paint, LossWeights()
    )
    assert {name for name, term in terms.items() if term > 1e-5} == {"total", "handedness", "segmentation"}


def test_images_with_a_hand_that_has_no_fit_teach_no_parts(
    batch: TwoHandBatch, paint: PartPainter, out: DigitOutput
) -> None:
    def error(changed: TwoHandBatch) -> torch.Tensor:
        return digit_loss(out, changed, paint, LossWeights())["segmentation"]

    one_less, without = batch.has_fit.clone(), batch.has_fit.clone()
    one_less[BOTH, 1] = False
    without[BOTH] = False
    assert error(replace(batch, has_fit=one_less)) == error(replace(batch, has_fit=without)) < error(batch)


def test_what_is_not_there_changes_no_loss_and_gives_no_nan(
    batch: TwoHandBatch, paint: PartPainter, out: DigitOutput
) -> None:
    values = {field.name: getattr(out, field.name).requires_grad_() for field in fields(out)}
    terms = digit_loss(DigitOutput(**values), batch, paint, LossWeights())
    terms["total"].backward()
    gradients = {name: value.grad for name, value in values.items()}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert not gradients["joints"][RIGHT, 1].any()
    assert not gradients["log_crop_width"][LEFT, 0].any()
    assert gradients["joints"][RIGHT, 0].any()
    absent = torch.where(batch.has_hand[..., None, None], batch.joints_cam_m, 7.0)
    again = digit_loss(out, replace(batch, joints_cam_m=absent), paint, LossWeights())
    torch.testing.assert_close(again["total"], terms["total"])

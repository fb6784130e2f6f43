"""Predictions whose scores are known on paper, through alignment, errors, AUC and F-scores."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.geometry.alignment import align_bone, align_procrustes, align_root, align_similarity
from tasks.metrics import points
from tasks.metrics.fscore import f_scores

MIDDLE, WRIST = 9, 0


def hands(seed=0, n=3):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 0.04, (n, 21, 3)) + np.array([0.05, 0, 0.7]))


def mean_mm(prediction, truth):
    return points.mean_distance_mm(points.distances_m(prediction, truth)).numpy()


def test_a_perfect_prediction_is_perfect_raw_and_just_short_of_it_aligned():
    truth = hands()
    aligned = align_procrustes(truth, truth)
    assert (mean_mm(truth, truth) == 0).all()
    assert (points.auc(points.distances_m(truth, truth)) == 1).all()
    assert (mean_mm(aligned, truth) < 1e-5).all()
    np.testing.assert_allclose(points.auc(points.distances_m(aligned, truth)).numpy(), 1 - 0.5 / 99)
    assert (f_scores(aligned.numpy(), truth.numpy(), (0.005, 0.015)) == 1).all()


def test_a_centimetre_to_the_side_is_a_centimetre_raw_and_nothing_aligned():
    truth = hands()
    moved = truth + torch.tensor([0.010, 0, 0])
    np.testing.assert_allclose(mean_mm(moved, truth), 10)
    np.testing.assert_allclose(points.auc(points.distances_m(moved, truth)).numpy(), 79.5 / 99)
    np.testing.assert_allclose(mean_mm(align_procrustes(moved, truth), truth), 0, atol=1e-5)
    assert (points.auc(points.distances_m(truth + torch.tensor([0, 0.0501, 0]), truth)) == 0).all()


def test_a_tenth_larger_about_the_wrist_is_nothing_after_scale():
    truth = hands()
    wrist = truth[:, WRIST, None]
    larger = 1.1 * (truth - wrist) + wrist
    for align in (align_procrustes, align_bone):
        np.testing.assert_allclose(mean_mm(align(larger, truth), truth), 0, atol=1e-5)
    assert (mean_mm(larger, truth) > 1).all()


def test_a_mirrored_hand_is_nothing_to_p1_and_much_to_p2():
    truth = hands()
    mirrored = truth * torch.tensor([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(mean_mm(align_procrustes(mirrored, truth), truth), 0, atol=1e-5)
    assert (mean_mm(align_similarity(mirrored, truth), truth) > 5).all()


def test_millimetres_taken_for_metres_are_a_thousand_times_too_far_and_aligned_nothing():
    truth = hands()
    distance_mm = 1000 * truth.norm(dim=-1).mean(dim=-1).numpy()
    np.testing.assert_allclose(mean_mm(1000 * truth, truth), 999 * distance_mm)
    np.testing.assert_allclose(mean_mm(align_procrustes(1000 * truth, truth), truth), 0, atol=1e-4)


def test_a_hand_a_tenth_smaller_about_the_middle_base_is_nothing_to_intaghand():
    truth = hands()
    middle = truth[:, MIDDLE, None]
    smaller = 0.9 * (truth - middle) + middle + 0.3
    scaled = align_bone(smaller, truth, root=MIDDLE, end=WRIST)
    np.testing.assert_allclose(mean_mm(scaled, truth), 0, atol=1e-9)


def test_ten_millimetres_everywhere_but_at_the_wrists_are_forty_of_forty_two_to_interhand():
    truth = torch.stack([hands(0), hands(1)], dim=1)
    off = 0.010 * torch.nn.functional.normalize(
        torch.from_numpy(np.random.default_rng(2).normal(size=truth.shape)), dim=-1
    )
    off[:, :, WRIST] = 0
    prediction = truth + off + 0.2  # wherever the hands are
    relative = [p - p[:, :, WRIST, None] for p in (prediction, truth)]
    per_joint = 1000 * points.distances_m(*relative).mean(dim=0)
    assert per_joint.mean().item() == pytest.approx(10 * 40 / 42)


def test_a_missing_flip_doubles_the_distance_and_aligned_is_nothing():
    truth = hands()
    unflipped = truth * torch.tensor([1.0, -1.0, -1.0])
    assert (mean_mm(unflipped, truth) > 1300).all()
    for align in (align_procrustes, align_similarity):
        np.testing.assert_allclose(mean_mm(align(unflipped, truth), truth), 0, atol=1e-5)
    assert (mean_mm(align_bone(unflipped, truth), truth) > 10).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.5, 2))
def test_each_alignment_ignores_its_own_motions_and_no_other(seed, scale):
    truth = hands(seed, 1)
    prediction = truth + torch.from_numpy(np.random.default_rng(seed + 1).normal(0, 0.008, truth.shape))
    turn = torch.from_numpy(Rotation.from_rotvec([0.3, -0.5, 0.4]).as_matrix())
    motions = {
        "shift": prediction + torch.tensor([0.1, -0.2, 0.3]),
        "scale": scale * (prediction - prediction[:, WRIST, None]) + prediction[:, WRIST, None],
        "turn": prediction @ turn.mT,
        "mirror": prediction * torch.tensor([-1.0, 1.0, 1.0]),
    }
    ignored = {
        align_procrustes: {"shift", "scale", "turn", "mirror"},
        align_similarity: {"shift", "scale", "turn"},
        align_bone: {"shift", "scale"},
        lambda p, t: align_root(p, p[:, WRIST], t[:, WRIST]): {"shift"},
    }
    for align, names in ignored.items():
        still = mean_mm(align(prediction, truth), truth)
        for name, moved in motions.items():
            after = mean_mm(align(moved, truth), truth)
            if name in names:
                np.testing.assert_allclose(after, still, rtol=1e-4)
            elif name != "scale" or abs(scale - 1) > 0.1:
                assert abs(after - still) > 1e-3, (name, align)

"""Alignments against the official script's steps in scipy, Umeyama's closed form, and known similarities."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from tasks.geometry.alignment import (
    align_bone,
    align_procrustes,
    align_rigid,
    align_root,
    align_similarity,
    follow_as_released,
    similarity,
)

ALIGNMENTS = {
    "P1": align_procrustes,
    "P2": align_similarity,
    "P3": align_bone,
    "rigid": align_rigid,
    "P4": lambda y, x: align_root(y, y[..., 0, :], x[..., 0, :]),
}


def hands(seed, n=6, points=21, noise=0.01):
    """Targets about 0.6 m away and predictions that are noisy similarities of them, float64."""
    rng = np.random.default_rng(seed)
    target = 0.05 * rng.standard_normal((n, points, 3)) + [0.1, 0, 0.6]
    rotation = Rotation.random(n, random_state=seed).as_matrix()
    scale = rng.uniform(0.5, 2, (n, 1, 1))
    moved = scale * np.einsum("bij,bnj->bni", rotation, target) + rng.standard_normal((n, 1, 3))
    return moved + noise * rng.standard_normal(moved.shape), target


def by_scipy(prediction, target):
    """Steps 1 to 4 of FreiHAND's alignment for one sample, with scipy's own Procrustes."""
    t1, t2 = target.mean(0), prediction.mean(0)
    s1 = np.linalg.norm(target - t1) + 1e-8
    s2 = np.linalg.norm(prediction - t2) + 1e-8
    rotation, s = orthogonal_procrustes((target - t1) / s1, (prediction - t2) / s2)
    return ((prediction - t2) / s2) @ rotation.T * s * s1 + t1


def by_umeyama(prediction, target):
    """Umeyama (1991), equations 38 to 42, for one sample: the covariance is that of target and prediction."""
    mean_x, mean_y = prediction.mean(0), target.mean(0)
    x, y = prediction - mean_x, target - mean_y
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    s = np.diag([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ s @ vt
    c = np.trace(np.diag(d) @ s) / x.var(0).sum()
    return c * x @ rotation.T + mean_y


@given(seed=st.integers(0, 10**6), points=st.sampled_from([4, 21, 778]), mirrored=st.booleans())
@settings(max_examples=30, deadline=None)
def test_p1_equals_the_official_script(seed, points, mirrored):
    prediction, target = hands(seed, points=points)
    if mirrored:
        prediction = prediction * [-1, 1, 1]
    ours = align_procrustes(torch.tensor(prediction), torch.tensor(target)).numpy()
    expected = np.stack([by_scipy(p, t) for p, t in zip(prediction, target, strict=True)])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-13)


@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.0, 0.01, 1.0]), mirrored=st.booleans())
@settings(max_examples=30, deadline=None)
def test_p2_equals_umeyama(seed, noise, mirrored):
    prediction, target = hands(seed, noise=noise)
    if mirrored:
        prediction = prediction * [-1, 1, 1]
    ours = align_similarity(torch.tensor(prediction), torch.tensor(target)).numpy()
    expected = np.stack([by_umeyama(p, t) for p, t in zip(prediction, target, strict=True)])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


def test_a_perfect_prediction_comes_back_from_p1_with_an_error_of_some_nanometres():
    _, target = hands(0)
    aligned = align_procrustes(torch.tensor(target), torch.tensor(target)).numpy()
    error = np.linalg.norm(aligned - target, axis=-1)
    assert 1e-10 < error.mean() < 1e-8


def test_p1_forgives_a_mirrored_hand_and_p2_does_not():
    _, target = hands(1)
    mirrored = torch.tensor(target * [-1, 1, 1])
    forgiven = align_procrustes(mirrored, torch.tensor(target)).numpy() - target
    assert np.abs(forgiven).max() < 1e-7
    judged = np.linalg.norm(align_similarity(mirrored, torch.tensor(target)).numpy() - target, axis=-1)
    assert judged.mean() > 0.02


def test_no_other_similarity_is_better_than_p2():
    prediction, target = (torch.tensor(a) for a in hands(2, n=1))
    best = ((align_similarity(prediction, target) - target) ** 2).sum()
    aligned = align_similarity(prediction, target)
    centre = aligned.mean(1, keepdim=True)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rotation = torch.tensor(Rotation.from_rotvec(0.02 * rng.standard_normal(3)).as_matrix())
        other = (
            (aligned - centre) @ rotation.mT * rng.normal(1, 0.02) + centre + 1e-3 * rng.standard_normal(3)
        )
        assert ((other - target) ** 2).sum() >= best


def test_p3_undoes_a_scale_about_the_wrist_and_keeps_rotations():
    _, target = hands(3)
    wrist = target[:, :1]
    scaled = torch.tensor(1.1 * (target - wrist) + wrist + 0.3)
    np.testing.assert_allclose(align_bone(scaled, torch.tensor(target)).numpy(), target, atol=1e-12)
    turned = torch.tensor(np.einsum("ij,bnj->bni", Rotation.from_euler("z", 0.5).as_matrix(), target))
    assert np.abs(align_bone(turned, torch.tensor(target)).numpy() - target).max() > 0.01


def test_p3_uses_the_bone_it_is_given():
    prediction, target = (torch.tensor(a) for a in hands(4))
    aligned = align_bone(prediction, target, root=9, end=0)
    torch.testing.assert_close(aligned[:, 9], target[:, 9])
    torch.testing.assert_close(
        (aligned[:, 0] - aligned[:, 9]).norm(dim=1), (target[:, 0] - target[:, 9]).norm(dim=1)
    )


def test_p3_does_not_divide_by_a_predicted_bone_without_length_as_ho3d_does_not():
    prediction, target = (torch.tensor(a) for a in hands(5))
    prediction[2, 9] = prediction[2, 0]
    wanted = (target[2, 9] - target[2, 0]).norm()
    aligned = align_bone(prediction, target)
    torch.testing.assert_close(aligned[2], wanted * (prediction[2] - prediction[2, 0]) + target[2, 0])


def test_another_topology_follows_its_joints_as_the_released_scripts_have_it():
    prediction, target = hands(13)
    points = np.random.default_rng(13).standard_normal((6, 50, 3))
    followed = follow_as_released(*(torch.tensor(a) for a in (points, prediction, target))).numpy()
    for moved, mesh, y, x in zip(followed, points, prediction, target, strict=True):
        s1, s2 = (np.linalg.norm(p - p.mean(0)) + 1e-8 for p in (x, y))
        rotation, s = orthogonal_procrustes((x - x.mean(0)) / s1, (y - y.mean(0)) / s2)
        expected = (mesh - mesh.mean(0)) @ rotation.T * s * s1 + x.mean(0) - y.mean(0) + mesh.mean(0)
        np.testing.assert_allclose(moved, expected, rtol=1e-9)


def test_p4_moves_vertices_by_the_root_of_their_joints():
    prediction, target = (torch.tensor(a) for a in hands(6))
    verts = torch.rand(6, 50, 3, dtype=torch.float64)
    moved = align_root(verts, prediction[:, 0], target[:, 0])
    torch.testing.assert_close(moved - verts, (target[:, 0] - prediction[:, 0])[:, None].expand_as(verts))


@pytest.mark.parametrize("name", ALIGNMENTS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("of_target", [False, True])
def test_a_sample_that_is_not_finite_is_nan_and_the_others_are_untouched(name, bad, of_target):
    prediction, target = (torch.tensor(a) for a in hands(7))
    clean = ALIGNMENTS[name](prediction, target)
    (target if of_target else prediction)[3, 0, 1] = bad
    aligned = ALIGNMENTS[name](prediction, target)
    others = [0, 1, 2, 4, 5]
    assert torch.equal(aligned[others], clean[others])
    assert aligned[3].isnan().all()


def test_coinciding_points_collapse_onto_the_centroid_in_p1_and_are_undefined_in_p2():
    prediction, target = (torch.tensor(a) for a in hands(8))
    prediction[1] = 0
    collapsed = align_procrustes(prediction, target)[1]
    torch.testing.assert_close(collapsed, target[1].mean(0).expand(21, 3))
    prediction[2] = torch.tensor([0.1, -0.7, 0.3])
    undefined = align_similarity(prediction, target)
    assert undefined[[1, 2]].isnan().all()
    assert undefined[[0, 3, 4, 5]].isfinite().all()


def test_a_target_bone_without_length_leaves_p3_undefined():
    prediction, target = (torch.tensor(a) for a in hands(9))
    target[4, 9] = target[4, 0]
    assert align_bone(prediction, target)[4].isnan().all()


@pytest.mark.parametrize("name", ALIGNMENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_any_batch_shape_are_kept(name, dtype):
    prediction, target = (torch.tensor(a).to(dtype) for a in hands(10))
    flat = ALIGNMENTS[name](prediction, target)
    nested = ALIGNMENTS[name](prediction.view(2, 3, 21, 3), target.view(2, 3, 21, 3))
    single = ALIGNMENTS[name](prediction[0], target[0])
    assert flat.dtype == dtype
    torch.testing.assert_close(nested.view(6, 21, 3), flat)
    torch.testing.assert_close(single, flat[0])
    assert ALIGNMENTS[name](prediction[:0], target[:0]).shape == (0, 21, 3)


def test_the_rigid_alignment_is_scipys_best_rotation_about_the_centroids():
    prediction, target = hands(11)
    aligned = align_rigid(torch.tensor(prediction), torch.tensor(target)).numpy()
    for y, x, found in zip(prediction, target, aligned, strict=True):
        rotation, _ = Rotation.align_vectors(x - x.mean(0), y - y.mean(0))
        np.testing.assert_allclose(found, rotation.apply(y - y.mean(0)) + x.mean(0), atol=1e-9)


def test_a_similarity_moves_other_points_along():
    prediction, target = (torch.tensor(a) for a in hands(12, noise=0))
    fit = similarity(prediction[:, ::2], target[:, ::2])
    torch.testing.assert_close(fit(prediction), target, rtol=0, atol=1e-9)

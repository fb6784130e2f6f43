import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.hands.hand import load_hand
from tasks.hands.skeleton import Side
from tasks.layouts.interhand26m.files import two_hands, two_hands_flags
from tasks.layouts.interhand26m.fits import posed_verts_m
from tasks.layouts.interhand26m.frames import fit_to_camera, rest_wrist_m, to_camera


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pose, betas, translation, rotation and centre of a camera; one of each, with a batch dimension."""
    rng = np.random.default_rng(seed)
    camrot = Rotation.random(random_state=seed).as_matrix()[None]
    return (
        rng.normal(0, 0.8, (1, 48)),
        rng.normal(0, 1, (1, 10)),
        rng.normal(0, 1, (1, 3)),
        camrot,
        rng.normal(0, 1, (1, 3)),
    )


@pytest.mark.parametrize("side", ["right", "left"])
@given(seed=st.integers(0, 10_000))
def test_moving_vertices_and_changing_parameters_agree_below_a_micrometre(side: Side, seed: int) -> None:
    pose, betas, trans, camrot, campos = draw(seed)
    moved = to_camera(posed_verts_m(side, pose, betas) + trans[:, None], camrot, campos)
    j0 = rest_wrist_m(load_hand(side).data, betas)
    pose_cam, trans_cam = fit_to_camera(pose, trans, j0, camrot, campos)
    changed = posed_verts_m(side, pose_cam, betas) + trans_cam[:, None]
    assert np.abs(moved - changed).max() < 1e-6


def test_any_other_pivot_is_off_by_how_far_it_is_turned() -> None:
    pose, betas, trans, camrot, campos = draw(3)
    j0 = rest_wrist_m(load_hand("right").data, betas)
    aside = np.array([[0.0, 0.003, 0.0]])
    _, exact = fit_to_camera(pose, trans, j0, camrot, campos)
    _, off = fit_to_camera(pose, trans, j0 + aside, camrot, campos)
    np.testing.assert_allclose(off - exact, aside @ camrot[0].T - aside, atol=1e-12)


def test_rotating_a_hand_is_rotating_its_parameters() -> None:
    """Acceptance test of the MANO formula: the mesh of (R', t') is R v + t, for a rotation about the origin."""
    pose, betas, trans, camrot, _ = draw(11)
    verts = posed_verts_m("left", pose, betas) + trans[:, None]
    j0 = rest_wrist_m(load_hand("left").data, betas)
    pose_turned, trans_turned = fit_to_camera(pose, trans, j0, camrot, np.zeros((1, 3)))
    turned = posed_verts_m("left", pose_turned, betas) + trans_turned[:, None]
    np.testing.assert_allclose(turned, verts @ camrot[0].T, atol=1e-6)


def test_the_rest_wrist_is_where_the_model_has_its_first_joint() -> None:
    model, betas = load_hand("right"), np.random.default_rng(0).normal(0, 1, (4, 10))
    joints = model(torch.zeros(4, 48), torch.tensor(betas).float(), flat_hand_mean=True)[1]
    np.testing.assert_allclose(rest_wrist_m(model.data, betas), joints[:, 0].numpy(), atol=1e-6)


def test_world_to_camera_is_rotation_after_subtracting_the_centre() -> None:
    rng = np.random.default_rng(5)
    points, camrot, campos = (
        rng.normal(0, 1, (3, 2, 21, 3)),
        Rotation.random(3, random_state=1).as_matrix(),
        rng.normal(0, 1, (3, 3)),
    )
    seen = to_camera(points, camrot, campos)
    for i in range(3):
        expected = camrot[i] @ (points[i, 1, 7] - campos[i])
        np.testing.assert_allclose(seen[i, 1, 7], expected, atol=1e-12)


def test_joints_of_both_hands_are_turned_from_tip_first_to_wrist_first() -> None:
    named = np.arange(42.0)[None, :, None]
    right, left = two_hands(named)[0, :, :, 0]
    assert right.tolist() == [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16]
    assert (left - right == 21).all()
    flags = np.zeros((1, 42), bool)
    flags[0, 41] = True
    assert two_hands_flags(flags)[0].nonzero()[0].tolist() == [1]
    assert two_hands_flags(flags)[0, 1, 0]

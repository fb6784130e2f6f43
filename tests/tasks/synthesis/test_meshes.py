"""Forearm and objects: closed, outward, and where they belong."""

import numpy as np
import pytest
import torch

from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.synthesis.arm import N_RINGS, arm_faces, arm_rings_m, sample_arm
from tasks.synthesis.objects import (
    KINDS,
    N_VERTS,
    Kind,
    object_faces,
    object_uv,
    object_verts_m,
    sample_object,
    swept_verts_m,
)
from tasks.synthesis.streams import stream


def signed_volume(verts: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = np.moveaxis(verts[faces], 1, 0)
    return float((np.cross(a, b) * c).sum() / 6)


def directed_edges(faces: np.ndarray) -> set[tuple[int, int]]:
    return {(int(face[k]), int(face[k - 2])) for face in faces for k in range(3)}


@pytest.mark.parametrize("kind", KINDS)
def test_objects_are_closed_and_outward(kind: Kind) -> None:
    verts = swept_verts_m(kind, 0.03, 0.06, 0.7)
    assert verts.shape == (N_VERTS, 3)
    assert signed_volume(verts, object_faces()) > 1e-5
    shifted = verts + np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(
        signed_volume(shifted, object_faces()), signed_volume(verts, object_faces()), rtol=1e-6
    )


def test_a_ball_is_round_and_texture_coordinates_cover_the_square() -> None:
    radius = np.linalg.norm(swept_verts_m("ball", 0.03, 0.06, 1.0), axis=1)
    np.testing.assert_allclose(radius, radius[0])
    assert object_uv().min() == 0
    assert object_uv().max() == 1


def test_a_held_object_is_in_the_hand_and_leaves_room_for_the_fingers() -> None:
    hand, rng = load_hand("right"), np.random.default_rng(0)
    pose = torch.zeros((40, 48))
    pose[:, 3:] = torch.from_numpy(sample_poses(40, rng))
    with torch.no_grad():
        verts = hand(pose, torch.zeros(40, 10), flat_hand_mean=True)[0].double()
    joints = (hand.joint_regressor21().double() @ verts).numpy()
    draws = [sample_object(stream(0, "test", i, "object")) for i in range(40)]
    for i, draw in enumerate(draws):
        thing = object_verts_m(draw, joints[i], verts[i].numpy() + np.array([0, 0, 0.6]))
        assert np.isfinite(thing).all()
        if draw.held:
            gap = np.linalg.norm(
                object_verts_m(draw, joints[i], verts[i].numpy()).mean(axis=0) - joints[i, 9]
            )
            assert gap < 0.09


def test_a_floating_object_is_between_hand_and_camera() -> None:
    joints = np.random.default_rng(0).normal(0, 0.04, (21, 3)) + np.array([0, 0, 0.6])
    draws = [sample_object(stream(0, "test", i, "object")) for i in range(60)]
    for draw in (draw for draw in draws if not draw.held):
        thing = object_verts_m(draw, joints, joints)
        assert thing[:, 2].mean() < joints[:, 2].min()
        assert thing[:, 2].min() > 0.1


def test_the_forearm_continues_the_hand_without_a_crack() -> None:
    hand = load_hand("right").data
    faces = arm_faces(hand.wrist_loop, hand.n_verts)
    own, whole = directed_edges(faces), directed_edges(np.concatenate([hand.faces, faces]))
    assert len(own) == 3 * len(faces)
    loop = [int(v) for v in hand.wrist_loop]
    for a, b in zip(loop, [*loop[1:], loop[0]], strict=True):
        assert (a, b) in whole
        assert (b, a) in whole
    rim = {edge for edge in whole if edge[::-1] not in whole}
    assert len(rim) == len(loop)


def test_the_forearm_leads_away_from_the_fingers() -> None:
    hand = load_hand("right").data
    wrist = hand.v_template[hand.wrist_loop].astype(np.float64)
    for i in range(20):
        rings = arm_rings_m(sample_arm(stream(0, "test", i, "arm")), wrist)
        assert rings.shape == (N_RINGS - 1, len(wrist), 3)
        centres = rings.mean(axis=1)
        assert (np.diff(centres[:, 0]) >= 0).all()
        assert centres[-1, 0] > centres[0, 0] + 0.2
        girth = np.linalg.norm(rings - centres[:, None], axis=2).mean(axis=1)
        assert ((girth > 0.015) & (girth < 0.07)).all()

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from tasks.hands.hand import HandModel, load_hand
from tasks.hands.open_hand.pose_space import poses_of, sample_angles_deg
from tasks.synthesis.arm import Arm, arm_rings_m
from tasks.synthesis.ball_hand import BallHand, Shaped, arms, batch, posed, rotation


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return load_hand("right")


@pytest.fixture(scope="module")
def balls(hand: HandModel) -> BallHand:
    return BallHand(hand.data)


def draw(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Angles (count, 5, 5) in degrees, shapes (count, 10)."""
    rng = np.random.default_rng(seed)
    return sample_angles_deg(count, rng), rng.normal(0, 0.8, (count, 10))


def mesh(model: HandModel, angles_deg: np.ndarray, betas: np.ndarray) -> np.ndarray:
    pose = torch.zeros((len(betas), 48))
    pose[:, 3:] = torch.from_numpy(poses_of(angles_deg))
    with torch.no_grad():
        return model(pose, torch.tensor(betas).float(), flat_hand_mean=True)[0].numpy()


def radians(angles_deg: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.deg2rad(angles_deg), dtype=torch.float32)


def test_bones_move_what_they_carry_as_the_hand_model_does(hand: HandModel, balls: BallHand) -> None:
    """Vertices in the place of the balls, and a hand without pose correctives."""
    angles, betas = draw(0, 3)
    plain = HandModel(replace(hand.data, posedirs=np.zeros_like(hand.data.posedirs)))
    rest = plain(torch.zeros((3, 48)), torch.tensor(betas).float(), flat_hand_mean=True)[0].detach()
    shaped = batch([balls.shaped(each) for each in betas])
    weights = torch.from_numpy(hand.data.weights).expand(3, -1, -1)
    skin = shaped._replace(centres=rest, weights=weights)
    np.testing.assert_allclose(posed(skin, radians(angles)), mesh(plain, angles, betas), atol=2e-6)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_balls_stay_close_under_the_skin_in_every_pose_and_shape(
    hand: HandModel, balls: BallHand, seed: int
) -> None:
    angles, betas = draw(seed, 1)
    shaped = balls.shaped(betas[0])
    verts = mesh(hand, angles, betas)[0]
    gap = cdist(verts, posed(shaped, radians(angles))[0]) - shaped.radii[0].numpy()
    nearest = gap.min(axis=1)[verts[:, 0] < 0.085]
    assert abs(np.median(nearest)) < 0.001
    assert np.percentile(nearest, 90) < 0.0025
    assert np.percentile(nearest, 10) > -0.003


def test_pairs_that_must_not_overlap_do_not_at_rest(balls: BallHand) -> None:
    shaped = balls.shaped(np.zeros(10))
    gap = torch.cdist(shaped.centres, shaped.centres) - shaped.radii[..., None] - shaped.radii[:, None]
    assert gap[shaped.pairs > 0].min() > 0.0009
    assert 1000 < shaped.pairs.sum() < 128 * 127 / 2


def test_the_open_left_hand_is_the_right_one_mirrored(balls: BallHand) -> None:
    betas = np.linspace(-1, 1, 10)
    for one, other in zip(balls.shaped(betas), BallHand(load_hand("left").data).shaped(betas), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


@pytest.mark.parametrize("bend", [(0.0, 0.0, 0.0), (0.0, 0.2, 0.6), (0.0, -0.3, -0.5)])
def test_forearm_balls_fill_the_drawn_forearm(hand: HandModel, balls: BallHand, bend: tuple) -> None:
    shaped: Shaped = balls.shaped(np.zeros(10))
    centres = arms(shaped, torch.tensor([bend]))[0].numpy()
    loop = hand.data.v_template[hand.data.wrist_loop].astype(np.float64)
    rings = arm_rings_m(Arm(np.inf, 1.0, np.array(bend)), loop)
    nearest = cdist(rings[2:].reshape(-1, 3), centres) - shaped.arm_radii[0].numpy()
    assert np.median(np.abs(nearest.min(axis=1))) < 0.006
    straight = rings[:-2].mean(axis=1)
    off_line = np.linalg.norm(np.cross(centres[-1] - straight[-1], centres[-1] - centres[-2]), axis=-1)
    assert off_line / np.linalg.norm(centres[-1] - centres[-2]) < 0.003


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_rotations_are_those_of_scipy(vector: list[float]) -> None:
    ours = rotation(torch.tensor([vector], dtype=torch.float64))[0]
    np.testing.assert_allclose(ours, Rotation.from_rotvec(vector).as_matrix(), atol=1e-6)

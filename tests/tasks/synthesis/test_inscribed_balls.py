import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.distance import cdist

from tasks.geometry.inside import winding_number
from tasks.geometry.surface import sample_surface, seal
from tasks.hands.hand import load_hand
from tasks.metrics.penetration import distance_to_surface
from tasks.synthesis.ball_hand import BALLS, WITHIN_M
from tasks.synthesis.inscribed_balls import Balls, covering_balls


@pytest.fixture(scope="module")
def hand() -> tuple[np.ndarray, np.ndarray]:
    data = load_hand("right").data
    return seal(data.v_template.astype(np.float64), data.faces, data.wrist_loop)


@pytest.fixture(scope="module")
def balls(hand: tuple[np.ndarray, np.ndarray]) -> Balls:
    return covering_balls(*hand, BALLS, WITHIN_M)


def test_a_sphere_is_one_ball() -> None:
    sphere = trimesh.creation.icosphere(3, 0.02)
    (centre,), (radius,) = covering_balls(sphere.vertices + np.array([0.1, 0, 0]), sphere.faces, 1, 0.001)
    np.testing.assert_allclose(centre, [0.1, 0, 0], atol=4e-4)
    assert radius == pytest.approx(0.02, abs=4e-4)


def test_balls_lie_inside_and_touch_the_skin(balls: Balls, hand: tuple[np.ndarray, np.ndarray]) -> None:
    inside = winding_number(*map(torch.from_numpy, (balls.centres_m, *hand)))
    assert (inside == 1).all()
    beyond = balls.radii_m - distance_to_surface(balls.centres_m, *hand)
    assert beyond.max() < 2e-4  # between the points that stand for the surface
    assert beyond.min() > -1e-3


def test_nearly_all_skin_is_near_a_ball(balls: Balls, hand: tuple[np.ndarray, np.ndarray]) -> None:
    points = sample_surface(*hand, 4000, 0).points
    gap = (cdist(points, balls.centres_m) - balls.radii_m).min(axis=1)
    assert (gap < WITHIN_M + 3e-4).mean() > 0.95
    assert np.median(gap) < 0.0012


def test_the_same_mesh_gives_the_same_balls(balls: Balls, hand: tuple[np.ndarray, np.ndarray]) -> None:
    again = covering_balls(*hand, BALLS, WITHIN_M)
    np.testing.assert_array_equal(again.centres_m, balls.centres_m)
    np.testing.assert_array_equal(again.radii_m, balls.radii_m)

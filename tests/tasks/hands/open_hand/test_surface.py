import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.hands.open_hand.anatomy import default_anatomy
from tasks.hands.open_hand.surface import Cone, HandSurface, _blend, _Cones

coordinate = st.floats(-40, 40)
point = st.tuples(coordinate, coordinate, coordinate)


def brute_force(x: np.ndarray, cone: Cone) -> float:
    """The union of all balls between the two ends of a cone."""
    share = np.linspace(0, 1, 20001)[:, None]
    centres = (1 - share) * cone.start + share * cone.end
    radii = (1 - share[:, 0]) * cone.start_radius + share[:, 0] * cone.end_radius
    return float((np.linalg.norm(x - centres, axis=1) - radii).min())


@settings(max_examples=40, deadline=None)
@given(point, point, st.floats(1, 6), st.floats(1, 6))
def test_a_rounded_cone_is_the_union_of_the_balls_between_its_ends(x, end, start_radius, end_radius):
    end = np.array(end) + np.array([60.0, 0.0, 0.0])
    cone = Cone(np.zeros(3), 0, end, 0, start_radius, end_radius)
    distance, _ = _Cones.of([cone], None).distance(np.array([x]))
    assert abs(distance[0, 0] - brute_force(np.array(x), cone)) < 5e-3


def test_the_gradient_is_the_derivative_of_the_distance():
    surface = HandSurface(default_anatomy())
    points = np.random.default_rng(0).uniform((-180, -30, -50), (30, 30, 80), (200, 3))
    _, gradient = surface.distance(points)
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 1e-4
        numeric = (surface.distance(points + step)[0] - surface.distance(points - step)[0]) / 2e-4
        np.testing.assert_allclose(gradient[:, axis], numeric, atol=1e-5)


def test_blending_lies_below_the_minimum_and_no_deeper_than_the_blend_allows():
    distances = np.random.default_rng(1).normal(0, 3, (50, 4))
    value, _ = _blend(distances, np.zeros((50, 4, 3)), 2.0)
    assert (value <= distances.min(1)).all()
    assert (value >= distances.min(1) - 2.0 * np.log(4) - 1e-9).all()


def test_projection_and_rays_end_on_the_surface():
    surface = HandSurface(default_anatomy())
    points = np.random.default_rng(2).uniform((-100, -20, -30), (10, 20, 30), (100, 3))
    projected = surface.project(points, steps=12, max_step_mm=8.0)
    assert np.percentile(np.abs(surface.distance(projected)[0]), 95) < 0.05
    digit = default_anatomy().digits["index"]
    rays = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    hits = surface.cast(np.tile(digit.joints[1], (3, 1)), rays, ("index",))
    assert np.abs(surface.distance(hits, ("index",), palm=False)[0]).max() < 1e-3


def test_bones_carry_their_flesh():
    """Moving every bone by the same rigid motion moves the whole surface."""
    motion = np.eye(4)
    motion[:3, 3] = (5.0, -3.0, 2.0)
    points = np.random.default_rng(3).uniform((-180, -30, -50), (30, 30, 80), (50, 3))
    moved = HandSurface(default_anatomy(), np.tile(motion, (16, 1, 1)))
    np.testing.assert_allclose(
        moved.distance(points + motion[:3, 3])[0],
        HandSurface(default_anatomy()).distance(points)[0],
        atol=1e-9,
    )

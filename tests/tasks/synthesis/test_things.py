import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.synthesis.things import THINGS, contact, print_of

POINT = st.tuples(*[st.floats(-0.08, 0.08) for _ in range(3)])


def test_things_bear_the_names_and_numbers_of_the_ycb_objects() -> None:
    assert len(THINGS) == 21
    assert [thing.label for thing in THINGS.values()] == list(range(1, 22))
    assert list(THINGS) == sorted(THINGS)
    assert THINGS["003_cracker_box"].label == 2
    assert THINGS["035_power_drill"].label == 15


@pytest.mark.parametrize("name", THINGS)
def test_a_thing_looks_alike_in_the_mirror(name: str) -> None:
    verts_m = THINGS[name].verts_m
    mirrored = {tuple(row) for row in np.round(verts_m * [-1, 1, 1], 9) + 0.0}
    assert mirrored == {tuple(row) for row in np.round(verts_m, 9) + 0.0}


def test_the_box_of_a_thing_holds_it_tightly() -> None:
    thing = THINGS["006_mustard_bottle"]
    corners, verts_m = thing.corners_m, thing.verts_m
    assert len({tuple(corner) for corner in corners}) == 8
    np.testing.assert_array_equal(corners.min(axis=0), verts_m.min(axis=0))
    np.testing.assert_array_equal(corners.max(axis=0), verts_m.max(axis=0))


@given(POINT)
def test_contact_with_a_ball_is_that_of_a_sphere(point: tuple[float, float, float]) -> None:
    ball, centre = THINGS["024_bowl"], np.array([0.01, -0.02, 0.6])
    radius = np.abs(ball.verts_m).max()
    turn = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()
    at = centre + np.array(point)
    distance, inside, foot = (part[0] for part in contact(ball, turn, centre, at[None]))
    expected = np.linalg.norm(point) - radius
    assert abs(distance - abs(expected)) < 6e-4  # the ball is a polyhedron
    assert bool(inside) == (expected < 0) or abs(expected) < 6e-4
    assert abs(np.linalg.norm(at - foot) - distance) < 1e-9


def test_contact_with_a_flat_side_is_exact() -> None:
    box = THINGS["003_cracker_box"]
    across = box.verts_m[:, 0].max()
    heights = np.array([-0.01, -0.002, 0.0005, 0.003, 0.02])
    points = np.stack([across + heights, np.zeros(5), np.full(5, 0.01)], axis=1)
    distance, inside, foot = contact(box, np.eye(3), np.zeros(3), points)
    np.testing.assert_allclose(distance, np.abs(heights), atol=2e-4)
    np.testing.assert_array_equal(inside, heights < 0)
    np.testing.assert_allclose(foot[:, 0], across, atol=2e-4)


@given(POINT, st.sampled_from(sorted(THINGS)))
def test_the_gap_has_the_sign_of_the_surface(point: tuple[float, float, float], name: str) -> None:
    thing, at = THINGS[name], np.array([point])
    gap = thing.gap_m(at)[0]
    distance, inside, _ = (part[0] for part in contact(thing, np.eye(3), np.zeros(3), at))
    if distance > 0.004:  # corners are sharper in one of them
        assert bool(inside) == (gap < 0)
        assert abs(gap) > 0.5 * distance


def test_the_print_of_a_thing_is_its_own() -> None:
    box, tin = THINGS["003_cracker_box"], THINGS["007_tuna_fish_can"]
    np.testing.assert_array_equal(print_of(1, box), print_of(1, box))
    assert not np.array_equal(print_of(1, box), print_of(1, tin))
    assert not np.array_equal(print_of(1, box), print_of(2, box))

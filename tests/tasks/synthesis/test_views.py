import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.synthesis.streams import stream
from tasks.synthesis.views import BORDER_PX, DEPTH_M, SIDES, look_from, sample_view, translation_m

UNIT = st.floats(-1, 1)


@given(st.tuples(UNIT, UNIT, UNIT).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_a_camera_looks_at_the_hand_with_the_fingers_up(direction: tuple[float, float, float]) -> None:
    rotation = look_from(np.array(direction))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) > 0
    np.testing.assert_allclose(rotation @ direction / np.linalg.norm(direction), [0, 0, -1], atol=1e-9)
    fingers = rotation @ [-1, 0, 0]
    if abs(fingers[2]) < 0.999:
        assert abs(fingers[0]) < 1e-9
        assert fingers[1] < 0


def test_looking_along_the_fingers_is_no_special_case() -> None:
    for sign in (-1, 1):
        np.testing.assert_allclose(np.linalg.det(look_from(np.array([sign, 0.0, 0.0]))), 1)


def test_views_are_rotations_and_see_every_side() -> None:
    views = [sample_view(stream(0, "training", i, "test")) for i in range(300)]
    rotations = np.stack([view.rotation for view in views])
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    towards_camera = -rotations[:, 2]
    for share, side in SIDES:
        near = towards_camera @ (np.array(side) / np.linalg.norm(side)) > 0.7
        assert near.mean() > 0.5 * share


@given(st.integers(0, 10_000))
def test_the_hand_is_put_into_the_image(index: int) -> None:
    rng = stream(0, "test", index, "views")
    view = sample_view(rng)
    points = rng.normal(0, rng.uniform(0.02, 0.045), (50, 3)) * rng.uniform(0.3, 1, 3)
    points = points * 0.09 / max(0.09, np.abs(points).max())
    placed = points + translation_m(points, view)
    pixels = (placed @ view.intrinsics_px.T)[:, :2] / placed[:, 2:]
    assert pixels.min() > BORDER_PX - 1.5
    assert pixels.max() < 224 - BORDER_PX + 1.5
    assert DEPTH_M[0] - 1e-9 <= placed[:, 2].mean() <= DEPTH_M[1] + 1e-9

"""The strict house protocol against plain numpy, frame by frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.hands.hand import load_hand
from tasks.protocols import HAS_FIT, IS_INTERACTING, IS_SCORED, IS_SINGLE
from tasks.two_hands import TwoHandDataset

SIDES = ("right", "left")


def mean_error_mm(samples, joints, n):
    """One frame: every valid joint of both hands that is no wrist, about its own hand's wrist."""
    errors = []
    for hand in range(2):
        if not samples.joint_valid[n, hand, 0]:
            continue
        for joint in range(1, 21):
            if samples.joint_valid[n, hand, joint]:
                own = joints[n, hand, joint] - joints[n, hand, 0]
                true = samples.joints_m[n, hand, joint] - samples.joints_m[n, hand, 0]
                errors.append(1000 * np.linalg.norm(own - true))
    return np.mean(errors)


def test_joint_errors_are_a_frames_mean_over_what_is_valid(scored, pairs, noisy):
    columns = scored("house_two_hands", noisy)
    expected = [mean_error_mm(pairs, noisy["joints_cam_m"], n) for n in range(len(pairs))]
    np.testing.assert_allclose(columns["mpjpe_mm"], expected, rtol=1e-9)


def test_single_hand_and_interacting_frames_stand_apart(scored, pairs, noisy):
    columns = scored("house_two_hands", noisy)
    interacting = pairs.hand_type == "interacting"
    for name, frames, rows in (
        ("mpjpe_single_mm", IS_SINGLE, ~interacting),
        ("mpjpe_interacting_mm", IS_INTERACTING, interacting),
    ):
        np.testing.assert_array_equal(columns[frames], rows)
        np.testing.assert_array_equal(columns[name][rows], columns["mpjpe_mm"][rows])
        assert np.isnan(columns[name][~rows]).all()


def test_ten_millimetres_are_ten_millimetres(scored, pairs, perfect):
    """No wrist lowers the mean."""
    perfect["joints_cam_m"][:, :, 1:, 2] += 0.010
    np.testing.assert_allclose(scored("house_two_hands", perfect)["mpjpe_mm"], 10, rtol=1e-9)


def test_vertices_are_about_the_wrist_of_their_own_mesh(scored, pairs, noisy):
    columns = scored("house_two_hands", noisy)
    for n in range(len(pairs)):
        errors = []
        for i, side in enumerate(SIDES):
            if pairs.has_fit[n, i]:
                rows = np.asarray(load_hand(side).data.J_regressor, np.float64)[0]
                own, true = (v[n, i] - rows @ v[n, i] for v in (noisy["verts_cam_m"], pairs.verts_m))
                errors.append(1000 * np.linalg.norm(own - true, axis=-1).mean())
        assert columns["mpvpe_mm"][n] == pytest.approx(np.mean(errors), rel=1e-9)
        assert columns[HAS_FIT][n] == 1


def test_a_frame_without_any_fit_is_not_about_vertices(scored, make_pairs, noisy):
    samples = make_pairs()
    samples.has_fit[5] = False
    samples.verts_m[5] = np.nan
    columns = scored("house_two_hands", noisy, of=TwoHandDataset(samples, np.arange(8), 64))
    assert columns[HAS_FIT][5] == 0
    assert np.isnan(columns["mpvpe_mm"][5])
    assert np.isfinite(columns["mpjpe_mm"][5])


def test_a_missing_hand_is_a_hole_in_all_that_needs_it(scored, noisy):
    noisy["joints_cam_m"][0, 0] = np.nan
    noisy["verts_cam_m"][2, 1, 5] = np.nan
    columns = scored("house_two_hands", noisy)
    assert np.isnan([columns["mpjpe_mm"][0], columns["mrrpe_mm"][0]]).all()
    assert np.isnan([columns["mpvpe_mm"][2], columns["penetration_cm3"][2]]).all()
    assert np.isfinite([columns["mpvpe_mm"][0], columns["mpjpe_mm"][2]]).all()
    assert (columns[IS_SCORED] == 1).all()


def test_hands_are_measured_in_one_space_for_penetration(scored, perfect):
    """Both hands moved into each other go through each other; a hundred metres apart they do not."""
    apart = perfect["verts_cam_m"] + np.array([[0.0, 0, 0], [100.0, 0, 0]])[:, None]
    columns = scored("house_two_hands", perfect | {"verts_cam_m": apart})
    both = (columns[IS_INTERACTING] == 1) & np.isfinite(apart).all((1, 2, 3))
    assert both.sum() == 5
    assert (columns["penetration_cm3"][both] == 0).all()
    assert (columns["penetration_mm"][both] == 0).all()
    assert np.isnan(columns["penetration_cm3"][~both]).all()
    together = perfect["verts_cam_m"] - perfect["verts_cam_m"].mean(2, keepdims=True)
    columns = scored("house_two_hands", perfect | {"verts_cam_m": together + np.array([0, 0, 0.5])})
    assert (columns["penetration_cm3"][both] > 10).all()
    assert (columns["penetration_mm"][both] > 3).all()


def test_hands_without_any_size_do_not_pass_for_hands_that_do_not_touch(scored, perfect):
    columns = scored("house_two_hands", perfect | {"verts_cam_m": np.zeros_like(perfect["verts_cam_m"])})
    assert np.isnan(columns["penetration_cm3"]).all()
    assert np.isnan(columns["penetration_mm"]).all()


@settings(max_examples=20)
@given(shift=st.lists(st.floats(-1, 1), min_size=6, max_size=6), scale=st.floats(1.01, 1.5))
def test_each_hand_may_stand_anywhere_but_not_be_larger(scored, joints, shift, scale):
    moved = {"joints_cam_m": joints + np.reshape(shift, (2, 1, 3))}
    assert np.nanmax(scored("house_two_hands", moved)["mpjpe_mm"]) < 1e-9
    assert np.nanmin(scored("house_two_hands", {"joints_cam_m": scale * joints})["mpjpe_mm"]) > 0.1


@pytest.fixture(scope="module")
def joints(pairs):
    return pairs.joints_m.copy()

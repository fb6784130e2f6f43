"""IntagHand's protocol against its evaluation script, step by step in plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.hands.hand import load_hand
from tasks.protocols import HAS_BOTH_WRISTS, INTAGHAND_METRICS, IS_SCORED
from tasks.two_hands import TwoHandDataset

SIDES = ("right", "left")
KEPT = [0, 2, 4]
"""The small dataset's interacting frames with both fits, a valid type and an image that is not black."""
ROUNDING_MM = 1e-4
"""Rows of a float32 regressor sum to one within 1e-7, so that a joint moves that much less than its mesh."""


def regressor(side):
    """16 rows of the model in finger-major order and IntagHand's tips."""
    data = load_hand(side).data
    rows = np.zeros((21, 778))
    order = [0, 13, 14, 15, None, 1, 2, 3, None, 4, 5, 6, None, 10, 11, 12, None, 7, 8, 9, None]
    tips = iter((745, 317, 444, 556, 673))
    for row, joint in enumerate(order):
        if joint is None:
            rows[row, next(tips)] = 1
        else:
            rows[row] = np.asarray(data.J_regressor, np.float32)[joint]
    return rows


def official_evaluation(true_verts, verts):
    """apps/eval_interhand.py: regressed joints, root 9, scaled by the length of 9 to 0; mm; left, right, mean."""
    errors = {}
    for i, side in enumerate(SIDES):
        joints_gt, joints = regressor(side) @ true_verts[:, i], regressor(side) @ verts[:, i]
        length_gt, length = (np.linalg.norm(j[:, 9] - j[:, 0], axis=-1) for j in (joints_gt, joints))
        scale = (length_gt / length)[:, None, None]
        root_gt, root = joints_gt[:, 9:10], joints[:, 9:10]
        for name, p, t in (("mpjpe", joints, joints_gt), ("mpvpe", verts[:, i], true_verts[:, i])):
            scaled = np.linalg.norm((p - root) * scale - (t - root_gt), axis=-1)
            plain = np.linalg.norm((p - root) - (t - root_gt), axis=-1)
            errors[f"{name}_{side}_mm"] = 1000 * scaled.mean()
            errors[f"{name}_unscaled_{side}"] = 1000 * plain.mean()
    for name in ("mpjpe", "mpvpe"):
        errors[f"{name}_mm"] = (errors[f"{name}_left_mm"] + errors[f"{name}_right_mm"]) / 2
        errors[f"{name}_unscaled_mm"] = sum(errors.pop(f"{name}_unscaled_{side}") for side in SIDES) / 2
    return errors


def test_means_are_the_official_scripts_to_nine_digits(scored, pairs, noisy):
    columns = scored("intaghand", noisy)
    expected = official_evaluation(pairs.verts_m[KEPT], noisy["verts_cam_m"][KEPT])
    assert set(expected) == set(INTAGHAND_METRICS) - {"mrrpe_mm"}
    for name, value in expected.items():
        assert np.nanmean(columns[name]) == pytest.approx(value, rel=1e-9), name


def test_predictions_in_float32_agree_to_five_digits(scored, pairs, noisy):
    columns = scored("intaghand", {name: values.astype(np.float32) for name, values in noisy.items()})
    for name, value in official_evaluation(pairs.verts_m[KEPT], noisy["verts_cam_m"][KEPT]).items():
        assert np.nanmean(columns[name]) == pytest.approx(value, rel=2e-5), name


def test_frames_that_the_preparation_drops_are_neither_scored_nor_holes(scored, noisy):
    columns = scored("intaghand", noisy)
    kept = np.isin(np.arange(8), KEPT)
    np.testing.assert_array_equal(columns[IS_SCORED], kept)
    for name in set(INTAGHAND_METRICS) - {"mrrpe_mm"}:
        np.testing.assert_array_equal(np.isfinite(columns[name]), kept)
    np.testing.assert_array_equal(columns[HAS_BOTH_WRISTS], np.isin(np.arange(8), [0, 2]))
    np.testing.assert_array_equal(np.isfinite(columns["mrrpe_mm"]), np.isin(np.arange(8), [0, 2]))


def test_a_frame_whose_image_is_not_there_is_scored_by_its_labels(scored, make_pairs, noisy):
    samples = make_pairs()
    samples.lost_images = {2, 7}
    columns = scored("intaghand", noisy, of=TwoHandDataset(samples, np.arange(8), 64))
    np.testing.assert_array_equal(columns[IS_SCORED], np.isin(np.arange(8), [*KEPT, 7]))


def test_nine_tenths_of_the_hand_about_its_middle_base_is_perfect(scored, pairs, perfect):
    verts = pairs.verts_m
    root = np.stack([(regressor(side) @ verts[:, i])[:, 9:10] for i, side in enumerate(SIDES)], axis=1)
    columns = scored("intaghand", perfect | {"verts_cam_m": root + 0.9 * (verts - root)})
    for name in set(INTAGHAND_METRICS) - {"mrrpe_mm", "mpjpe_unscaled_mm", "mpvpe_unscaled_mm"}:
        assert np.nanmax(columns[name]) < ROUNDING_MM, name
    reach = np.linalg.norm(verts - root, axis=-1)[KEPT]
    np.testing.assert_allclose(columns["mpvpe_unscaled_mm"][KEPT], 100 * reach.mean((1, 2)), rtol=1e-6)


def test_joints_come_from_the_mesh_whatever_the_prediction_says(scored, perfect, noisy):
    columns = scored("intaghand", noisy | {"verts_cam_m": perfect["verts_cam_m"]})
    assert np.nanmax(columns["mpjpe_mm"]) < 1e-9


def test_left_and_right_are_told_apart(scored, perfect):
    rng = np.random.default_rng(0)
    perfect["verts_cam_m"][:, 1] += rng.normal(0, 0.004, perfect["verts_cam_m"][:, 1].shape)
    columns = scored("intaghand", perfect)
    assert np.nanmax(columns["mpvpe_right_mm"]) < 1e-9
    assert np.nanmin(columns["mpvpe_left_mm"]) > 3
    np.testing.assert_allclose(columns["mpvpe_mm"], columns["mpvpe_left_mm"] / 2, rtol=1e-9, atol=1e-9)


def test_a_mirrored_hand_is_wrong(scored, perfect):
    perfect["verts_cam_m"] *= [-1, 1, 1]
    assert np.nanmin(scored("intaghand", perfect)["mpvpe_mm"]) > 5


def test_hands_of_no_size_and_missing_hands_are_holes(scored, perfect):
    perfect["verts_cam_m"][0] = 0
    perfect["verts_cam_m"][2, 1, 100] = np.inf
    columns = scored("intaghand", perfect)
    assert np.isnan(columns["mpjpe_mm"][[0, 2]]).all()
    assert np.isnan(columns["mpvpe_mm"][[0, 2]]).all()
    assert columns["mpvpe_right_mm"][2] < 1e-9
    assert (columns[IS_SCORED][[0, 2]] == 1).all()


def test_without_vertices_only_the_relative_place_is_scored(task, dataset, perfect):
    from tasks.registry import PROTOCOLS

    del perfect["verts_cam_m"]
    scores = task.score(PROTOCOLS["intaghand"], perfect, dataset, np.arange(8))
    assert scores.not_applicable == dict.fromkeys(set(INTAGHAND_METRICS) - {"mrrpe_mm"}, "no vertices")
    assert set(scores.columns) == {"mrrpe_mm", HAS_BOTH_WRISTS}


shifts = st.lists(st.floats(-0.5, 0.5), min_size=6, max_size=6)


@settings(max_examples=20)
@given(shift=shifts, scale=st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)), turn=st.floats(0.05, 1))
def test_place_and_size_of_each_hand_are_ignored_and_its_rotation_is_not(scored, verts, shift, scale, turn):
    joints = np.zeros((8, 2, 21, 3))
    moved = verts * np.reshape(scale, (2, 1, 1)) + np.reshape(shift, (2, 1, 3))
    columns = scored("intaghand", {"joints_cam_m": joints, "verts_cam_m": moved})
    assert np.nanmax(columns["mpjpe_mm"]) < ROUNDING_MM
    assert np.nanmax(columns["mpvpe_mm"]) < ROUNDING_MM
    cos, sin = np.cos(turn), np.sin(turn)
    turned = verts @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    assert np.nanmin(scored("intaghand", {"joints_cam_m": joints, "verts_cam_m": turned})["mpjpe_mm"]) > 0.1


@pytest.fixture(scope="module")
def verts(pairs):
    return pairs.verts_m.copy()

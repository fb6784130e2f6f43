"""InterHand2.6M's protocol against its official procedure, frame by frame in plain numpy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.statistics import summarise
from tasks.protocols import HAS_BOTH_WRISTS, HAS_HAND_TYPE, IS_INTERACTING, IS_SCORED, IS_SINGLE, JOINT_ERRORS
from tasks.registry import metrics_of
from tasks.two_hands import TwoHandDataset

SIDES = ("right", "left")


def official_evaluation(samples, fields):
    """dataset.py, evaluate(): lists per joint, wrist alignment on copies, 42-joint means, MRRPE, handedness; mm."""
    single, interacting = ([[] for _ in range(42)] for _ in range(2))
    mrrpe, right_types, typed = [], 0, 0
    for n in range(len(samples)):
        kind, valid = samples.hand_type[n], samples.joint_valid[n].astype(float).copy()
        predicted, true = 1000 * fields["joints_cam_m"][n], 1000 * samples.joints_m[n].copy()
        if kind == "interacting" and valid[0, 0] and valid[1, 0]:
            off = (predicted[1, 0] - predicted[0, 0]) - (true[1, 0] - true[0, 0])
            mrrpe.append(float(np.sqrt(np.sum(off**2))))
        for hand in range(2):
            valid[hand] *= valid[hand, 0]
            predicted_hand = predicted[hand] - predicted[hand, 0]
            true_hand = true[hand] - true[hand, 0]
            for joint in range(21):
                if valid[hand, joint]:
                    lists = interacting if kind == "interacting" else single
                    error = np.sqrt(np.sum((predicted_hand[joint] - true_hand[joint]) ** 2))
                    lists[21 * hand + joint].append(error)
        if samples.hand_type_valid[n]:
            p_right, p_left = fields["handedness"][n]
            right_types += {
                "right": p_right > 0.5 and p_left < 0.5,
                "left": p_left > 0.5 and p_right < 0.5,
                "interacting": p_right > 0.5 and p_left > 0.5,
            }[kind]
            typed += 1
    pooled = [np.mean(s + i) for s, i in zip(single, interacting, strict=True)]
    return {
        "mpjpe_mm": np.mean(pooled),
        "mpjpe_single_mm": np.mean([np.mean(errors) for errors in single]),
        "mpjpe_interacting_mm": np.mean([np.mean(errors) for errors in interacting]),
        "mrrpe_mm": np.mean(mrrpe),
        "handedness_accuracy": right_types / typed,
    }


def aggregated(columns):
    """Each joint's mean over the frames that have it, then the mean over joints; plain means of the rest."""

    def over_joints(rows):
        return np.mean([np.nanmean(columns[name][rows]) for name in JOINT_ERRORS])

    return {
        "mpjpe_mm": over_joints(slice(None)),
        "mpjpe_single_mm": over_joints(columns[IS_SINGLE] == 1),
        "mpjpe_interacting_mm": over_joints(columns[IS_INTERACTING] == 1),
        "mrrpe_mm": np.nanmean(columns["mrrpe_mm"]),
        "handedness_accuracy": np.nanmean(columns["handedness_accuracy"]),
    }


@pytest.fixture(scope="module")
def many(make_pairs):
    """Enough frames that every joint is valid in some frame of either kind."""
    kinds = np.random.default_rng(3).choice(["right", "left", "interacting"], 60)
    kinds[:8] = "interacting"
    return make_pairs(kinds=tuple(kinds), seed=2)


@pytest.fixture(scope="module")
def guess(many):
    rng = np.random.default_rng(5)
    joints = np.nan_to_num(many.joints_m) + rng.normal(0, 0.01, many.joints_m.shape)
    return {"joints_cam_m": joints, "handedness": rng.random((len(many), 2))}


def test_means_are_the_official_scripts_to_nine_digits(scored, many, guess):
    dataset = TwoHandDataset(many, np.arange(len(many)), 64)
    found, expected = aggregated(scored("interhand26m", guess, of=dataset)), official_evaluation(many, guess)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_the_numbers_of_a_report_are_the_official_ones(scored, many, guess):
    dataset = TwoHandDataset(many, np.arange(len(many)), 64)
    table = pd.DataFrame(
        {"cluster": dataset.clusters, **scored("interhand26m", guess, of=dataset)}, index=dataset.ids
    )
    metrics = metrics_of("interhand26m")
    for name, value in official_evaluation(many, guess).items():
        summary = summarise([table], metrics[name])
        assert summary.value == pytest.approx(value, rel=1e-9), name
        assert summary.nan == 0
        assert summary.n == table[metrics[name].where].sum()


def test_a_missing_prediction_lowers_the_coverage_of_what_it_is_needed_for(scored, many, guess):
    dataset = TwoHandDataset(many, np.arange(len(many)), 64)
    fields = {name: values.copy() for name, values in guess.items()}
    fields["joints_cam_m"][:2] = np.nan
    table = pd.DataFrame(
        {"cluster": dataset.clusters, **scored("interhand26m", fields, of=dataset)}, index=dataset.ids
    )
    metrics = metrics_of("interhand26m")
    assert summarise([table], metrics["mpjpe_mm"]).nan == 2
    assert summarise([table], metrics["mpjpe_single_mm"]).nan == 0
    assert summarise([table], metrics["mrrpe_mm"]).nan == 2
    assert summarise([table], metrics["handedness_accuracy"]).nan == 0


def test_predictions_in_float32_agree_to_five_digits(scored, many, guess):
    dataset = TwoHandDataset(many, np.arange(len(many)), 64)
    single = {name: values.astype(np.float32) for name, values in guess.items()}
    found, expected = aggregated(scored("interhand26m", single, of=dataset)), official_evaluation(many, guess)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-5), name


def test_joints_that_are_all_ten_millimetres_off_give_forty_forty_seconds_of_it(scored, make_pairs):
    samples = make_pairs(kinds=("interacting",) * 3, awkward=False)
    samples.joint_valid[:] = True
    joints = samples.joints_m.copy()
    joints[:, :, 1:, 0] += 0.010
    found = aggregated_all(scored("interhand26m", {"joints_cam_m": joints}, of=whole(samples)))
    assert found == pytest.approx(10 * 40 / 42, rel=1e-12)
    assert found == pytest.approx(9.5238, abs=1e-4)


def test_the_truth_scores_zero_and_is_not_changed(scored, pairs, perfect):
    before = pairs.joints_m.copy()
    first, second = (scored("interhand26m", perfect) for _ in range(2))
    np.testing.assert_array_equal(pairs.joints_m, before)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
    errors = np.stack([first[name] for name in JOINT_ERRORS], axis=1)
    assert np.nanmax(errors) == 0
    assert np.nanmax(first["mrrpe_mm"]) == 0
    assert np.nanmin(first["handedness_accuracy"]) == 1


def test_a_joint_counts_where_it_and_its_wrist_are_valid(scored, pairs, noisy):
    columns = scored("interhand26m", noisy)
    errors = np.stack([columns[name] for name in JOINT_ERRORS], axis=1).reshape(-1, 2, 21)
    valid = pairs.joint_valid & pairs.joint_valid[..., :1]
    np.testing.assert_array_equal(np.isfinite(errors), valid)
    assert np.nanmax(errors[..., 0]) == 0


def test_a_valid_joint_of_a_hand_without_its_wrist_does_not_count(scored, make_pairs):
    samples = make_pairs(kinds=("interacting",) * 2, awkward=False)
    samples.joint_valid[:] = True
    samples.joint_valid[0, 1, 0] = False
    columns = scored("interhand26m", {"joints_cam_m": samples.joints_m}, of=whole(samples))
    assert all(np.isnan(columns[name][0]) for name in JOINT_ERRORS[21:])
    assert all(columns[name][0] == 0 for name in JOINT_ERRORS[:21])
    assert np.isnan(columns["mrrpe_mm"][0])
    np.testing.assert_array_equal(columns[HAS_BOTH_WRISTS], [0, 1])


def test_the_columns_say_what_each_frame_is_scored_for(scored, pairs, noisy):
    columns = scored("interhand26m", noisy)
    interacting = pairs.hand_type == "interacting"
    np.testing.assert_array_equal(columns[IS_SCORED], 1)
    np.testing.assert_array_equal(columns[IS_INTERACTING], interacting)
    np.testing.assert_array_equal(columns[IS_SINGLE], ~interacting)
    np.testing.assert_array_equal(columns[HAS_BOTH_WRISTS], interacting & pairs.joint_valid[..., 0].all(1))
    np.testing.assert_array_equal(columns[HAS_HAND_TYPE], pairs.hand_type_valid)
    for name, frames in (("mrrpe_mm", HAS_BOTH_WRISTS), ("handedness_accuracy", HAS_HAND_TYPE)):
        np.testing.assert_array_equal(np.isfinite(columns[name]), columns[frames] == 1)


def test_a_frame_without_a_valid_joint_is_not_scored_and_no_hole(scored, make_pairs):
    samples = make_pairs(kinds=("right", "interacting"), awkward=False)
    samples.joint_valid[0] = False
    columns = scored("interhand26m", {"joints_cam_m": np.nan_to_num(samples.joints_m)}, of=whole(samples))
    np.testing.assert_array_equal(columns[IS_SCORED], [0, 1])
    np.testing.assert_array_equal(columns[IS_SINGLE], [0, 0])
    assert all(np.isnan(columns[name][0]) for name in JOINT_ERRORS)


def test_a_missing_hand_leaves_its_whole_frame_undefined(scored, pairs, noisy):
    healthy = scored("interhand26m", noisy)
    noisy["joints_cam_m"][0, 1, 7, 2] = np.nan
    damaged = scored("interhand26m", noisy)
    for name in (*JOINT_ERRORS, "mrrpe_mm"):
        assert np.isnan(damaged[name][0]), name
        np.testing.assert_array_equal(damaged[name][1:], healthy[name][1:])
    assert damaged[IS_SCORED][0] == damaged[HAS_BOTH_WRISTS][0] == 1


def test_a_hand_that_is_not_there_need_not_be_predicted(scored, pairs, perfect):
    assert np.isnan(perfect["joints_cam_m"][1, 1]).all()
    columns = scored("interhand26m", perfect)
    assert columns[JOINT_ERRORS[0]][1] == 0
    assert columns["handedness_accuracy"][1] == 1


def test_all_zeros_are_scored_at_the_distance_from_the_wrist(scored, pairs):
    columns = scored("interhand26m", {"joints_cam_m": np.zeros_like(pairs.joints_m)})
    errors = np.stack([columns[name] for name in JOINT_ERRORS], axis=1).reshape(-1, 2, 21)
    reach = 1000 * np.linalg.norm(pairs.joints_m - pairs.joints_m[:, :, :1], axis=-1)
    valid = np.isfinite(errors)
    np.testing.assert_allclose(errors[valid], reach[valid], rtol=1e-12)


def test_mirrored_hands_score_as_wrong_as_they_are(scored, pairs, perfect):
    perfect["joints_cam_m"] *= [-1, 1, 1]
    columns = scored("interhand26m", perfect)
    assert np.nanmean([columns[name] for name in JOINT_ERRORS]) > 5
    distance = np.abs(2000 * (pairs.joints_m[:, 1, 0, 0] - pairs.joints_m[:, 0, 0, 0]))
    counted = columns[HAS_BOTH_WRISTS] == 1
    np.testing.assert_allclose(columns["mrrpe_mm"][counted], distance[counted], rtol=1e-9)


def test_a_given_relative_root_replaces_the_joints_own(scored, pairs, perfect):
    roots = pairs.joints_m[:, 1, 0] - pairs.joints_m[:, 0, 0]
    columns = scored("interhand26m", perfect | {"relative_root_m": roots + np.array([0, 0, 0.008])})
    counted = columns[HAS_BOTH_WRISTS] == 1
    np.testing.assert_allclose(columns["mrrpe_mm"][counted], 8, rtol=1e-9)


def test_a_relative_depth_eight_millimetres_off_costs_more_off_the_axis(scored, pairs, perfect):
    """The official script moves the left wrist along its viewing ray."""
    left = perfect["joints_cam_m"][:, 1].copy()
    depth = left[:, :1, 2:]
    perfect["joints_cam_m"][:, 1] = left + left[:, :1] / depth * 0.008
    columns = scored("interhand26m", perfect)
    counted = columns[HAS_BOTH_WRISTS] == 1
    wrist = left[counted, 0]
    tangent = np.hypot(wrist[:, 0], wrist[:, 1]) / wrist[:, 2]
    np.testing.assert_allclose(columns["mrrpe_mm"][counted], 8 * np.sqrt(1 + tangent**2), rtol=1e-9)


def test_probabilities_of_exactly_a_half_tell_nothing(scored, perfect):
    columns = scored("interhand26m", perfect | {"handedness": np.full((8, 2), 0.5)})
    assert np.nanmax(columns["handedness_accuracy"]) == 0


def test_a_probability_that_is_not_a_number_is_a_hole(scored, perfect):
    perfect["handedness"][0, 1] = np.nan
    columns = scored("interhand26m", perfect)
    assert np.isnan(columns["handedness_accuracy"][0])
    assert columns[HAS_HAND_TYPE][0] == 1


@settings(max_examples=20)
@given(
    shift=st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    scale=st.floats(1.01, 1.5),
    turn=st.floats(0.05, 1),
)
def test_each_hand_may_stand_anywhere_but_not_be_larger_or_turned(
    scored, pairs, perfect_joints, shift, scale, turn
):
    """Own translation of each hand is ignored by the joint errors; scale and rotation are not, nor is MRRPE blind."""
    names = JOINT_ERRORS[:21]
    moved = perfect_joints + np.reshape(shift, (2, 1, 3))
    columns = scored("interhand26m", {"joints_cam_m": moved})
    assert np.nanmax([columns[name] for name in names]) < 1e-9
    apart = 1000 * np.linalg.norm(np.subtract(shift[3:], shift[:3]))
    mrrpe = columns["mrrpe_mm"]
    np.testing.assert_allclose(mrrpe[np.isfinite(mrrpe)], apart, rtol=1e-9, atol=1e-9)
    cos, sin = np.cos(turn), np.sin(turn)
    for changed in (
        scale * perfect_joints,
        perfect_joints @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]),
    ):
        columns = scored("interhand26m", {"joints_cam_m": changed})
        assert np.nanmean([columns[name] for name in names]) > 0.1


@pytest.fixture(scope="module")
def perfect_joints(pairs):
    return pairs.joints_m.copy()


def whole(samples):
    return TwoHandDataset(samples, np.arange(len(samples)), 64)


def aggregated_all(columns):
    return np.mean([np.nanmean(columns[name]) for name in JOINT_ERRORS])

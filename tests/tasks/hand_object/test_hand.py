"""DiffHOI's hand protocol against its script: HO-3D's evaluation fed with finger-major joints, in plain numpy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from tasks.hand_object import score
from tasks.registry import PROTOCOLS

PROTOCOL = PROTOCOLS["diffhoi_hand"]


def columns(prediction, truth):
    return {name: values.item() for name, values in score(PROTOCOL, prediction, truth).columns.items()}


def hands(fields):
    return {name: fields[name] for name in ("joints_cam_m", "verts_cam_m")}


def official_evaluation(truth, prediction):
    """tools/hand_eval.py on one clip: every frame minus its joint 5, then HO-3D's numbers; errors in mm."""

    def aligned(target, source):
        t1, t2 = target.mean(0), source.mean(0)
        x, y = target - t1, source - t2
        s1, s2 = np.linalg.norm(x) + 1e-8, np.linalg.norm(y) + 1e-8
        rotation, scale = orthogonal_procrustes(x / s1, y / s2)
        return (y / s2) @ rotation.T * scale * s1 + t1

    def scaled(target, source):
        length = np.sqrt(np.sum(np.square(source[4] - source[0])))
        source = source / length * np.sqrt(np.sum(np.square(target[4] - target[0])))
        return source - source[0] + target[0]

    def area(errors):
        thresholds = np.linspace(0, 0.05, 100)
        curves = [[(errors[:, p] <= t).mean() for t in thresholds] for p in range(errors.shape[1])]
        return np.mean([np.trapezoid(c, thresholds) / 0.05 for c in curves])

    def f_score(target, source, threshold):
        d = cdist(target, source)
        recall, precision = (d.min(0) < threshold).mean(), (d.min(1) < threshold).mean()
        return 2 * recall * precision / (recall + precision) if recall + precision else 0.0

    true, own = ({k: v - p["joints_cam_m"][:, 5:6] for k, v in p.items()} for p in (truth, prediction))
    joints, verts = ((true[name], own[name]) for name in ("joints_cam_m", "verts_cam_m"))
    out = {}
    for mean, auc, pair, align in (
        ("mpjpe_mm", "rel_auc_joints", joints, lambda t, s: s), ("pa_mpjpe_mm", "auc_joints", joints, aligned),
        ("st_mpjpe_mm", "st_auc_joints", joints, scaled), ("mpvpe_mm", "rel_auc_verts", verts, lambda t, s: s),
        ("pa_mpvpe_mm", "auc_verts", verts, aligned),
    ):  # fmt: skip
        errors = np.stack([np.linalg.norm(t - align(t, s), axis=-1) for t, s in zip(*pair, strict=True)])
        out[mean], out[auc] = 1000 * errors.mean(0).mean(), area(errors)
    for prefix, align in (("rel_", lambda t, s: s), ("", aligned)):
        for mm in (5, 15):
            values = [f_score(t, align(t, s), mm / 1000) for t, s in zip(*verts, strict=True)]
            out[f"{prefix}f{mm}"] = np.mean(values)
    return out


def test_values_are_the_official_scripts_to_nine_digits(truth, noisy):
    found = columns(noisy, truth)
    expected = official_evaluation(hands(vars(truth)), hands(noisy))
    assert set(expected) | {"acceleration_error_mm"} == set(found) == set(PROTOCOL.metrics)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_predictions_in_float32_agree_to_five_digits(truth, noisy):
    found = columns({name: values.astype(np.float32) for name, values in hands(noisy).items()}, truth)
    for name, value in official_evaluation(hands(vars(truth)), hands(noisy)).items():
        assert found[name] == pytest.approx(value, rel=2e-5), name


def test_accelerations_are_second_differences_about_the_index_base(truth, noisy):
    own, true = (p["joints_cam_m"] - p["joints_cam_m"][:, 5:6] for p in (noisy, vars(truth)))
    errors = [
        np.linalg.norm(
            (own[t - 1] - 2 * own[t] + own[t + 1]) - (true[t - 1] - 2 * true[t] + true[t + 1]), axis=-1
        )
        for t in range(1, len(own) - 1)
    ]
    assert columns(noisy, truth)["acceleration_error_mm"] == pytest.approx(1000 * np.mean(errors), rel=1e-9)


def test_the_truth_has_the_best_scores(truth, perfect):
    found = columns(perfect, truth)
    for name in ("mpjpe_mm", "mpvpe_mm", "st_mpjpe_mm", "acceleration_error_mm"):
        assert found[name] == pytest.approx(0, abs=1e-9)
    assert 0 < found["pa_mpjpe_mm"] < 1e-5
    assert found["auc_joints"] == pytest.approx(1 - 0.5 / 99)
    assert found["rel_f5"] == found["f15"] == 1


def test_a_larger_hand_is_right_once_scaled_and_aligned(truth, perfect):
    wrist = truth.joints_cam_m[:, :1]
    found = columns({n: 1.1 * (v - wrist) + wrist for n, v in hands(perfect).items()}, truth)
    assert found["pa_mpjpe_mm"] < 1e-5
    assert found["st_mpjpe_mm"] == pytest.approx(0, abs=1e-9)
    relative = truth.joints_cam_m - truth.joints_cam_m[:, 5:6]
    assert found["mpjpe_mm"] == pytest.approx(100 * np.linalg.norm(relative, axis=-1).mean(), rel=1e-9)


def test_a_mirrored_hand_is_forgiven_by_the_alignment_alone(truth, perfect):
    found = columns({n: v * [-1, 1, 1] for n, v in hands(perfect).items()}, truth)
    assert found["pa_mpjpe_mm"] < 1e-5
    assert found["mpjpe_mm"] > 5


def test_all_zeros_are_scored_without_a_crash(truth, perfect):
    found = columns({n: np.zeros_like(v) for n, v in hands(perfect).items()}, truth)
    relative = truth.joints_cam_m - truth.joints_cam_m[:, 5:6]
    assert found["mpjpe_mm"] == pytest.approx(1000 * np.linalg.norm(relative, axis=-1).mean())
    assert found["rel_f5"] < 0.1


def test_frames_that_the_truth_does_not_know_are_left_out(truth, noisy):
    gap = truth.joints_cam_m.copy()
    gap[2] = np.nan
    found = columns(noisy, replace(truth, joints_cam_m=gap))
    rest = np.arange(len(truth)) != 2
    expected = official_evaluation(
        {n: v[rest] for n, v in hands(vars(truth)).items()}, {n: v[rest] for n, v in hands(noisy).items()}
    )
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    assert np.isfinite(found["acceleration_error_mm"])


def test_a_clip_that_misses_a_known_frame_is_undefined(truth, noisy):
    noisy["verts_cam_m"][3, 100] = np.nan
    assert all(np.isnan(value) for value in columns(noisy, truth).values())


def test_without_a_mesh_joints_are_scored_alone(truth, noisy):
    scores = score(PROTOCOL, {"joints_cam_m": noisy["joints_cam_m"]}, truth)
    assert set(scores.not_applicable.values()) == {"no vertices"}
    assert {"mpvpe_mm", "pa_mpvpe_mm", "f5"} <= set(scores.not_applicable)
    assert scores.columns["mpjpe_mm"].shape == (1,)
    assert not score(PROTOCOL, {}, truth).columns


vectors = st.lists(st.floats(-1, 1), min_size=3, max_size=3)


@settings(max_examples=20)
@given(shift=vectors, turn=st.lists(st.floats(0.1, 1), min_size=3, max_size=3), scale=st.floats(0.5, 2))
def test_place_is_ignored_and_rotation_only_by_the_aligned_numbers(truth, shift, turn, scale):
    hand = hands(vars(truth))
    moved = columns({n: v + shift for n, v in hand.items()}, truth)
    turned = columns(
        {
            n: scale * Rotation.from_rotvec(turn).apply(v.reshape(-1, 3)).reshape(v.shape) + shift
            for n, v in hand.items()
        },
        truth,
    )
    for name in ("mpjpe_mm", "mpvpe_mm", "st_mpjpe_mm", "pa_mpjpe_mm", "pa_mpvpe_mm"):
        assert moved[name] < 1e-5
    assert turned["pa_mpjpe_mm"] < 1e-5
    assert turned["pa_mpvpe_mm"] < 1e-5
    assert turned["mpjpe_mm"] > 1
    assert turned["st_mpjpe_mm"] > 1

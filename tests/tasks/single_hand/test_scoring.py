from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cdist

from tasks.errors import RequestError
from tasks.registry import METRICS, PROTOCOLS
from tasks.single_hand import HandDataset, SingleHand

PROTOCOL = PROTOCOLS["freihand"]
TEXTURE = [name for name in METRICS if name.startswith(("psnr", "ssim", "texture", "lpips"))]


def official_scores(true_joints, joints, true_verts, verts):
    """FreiHAND's evaluation as protocols describe it, frame by frame: errors, AUC and F-scores, in metres."""

    def aligned(target, source):
        t1, t2 = target.mean(0), source.mean(0)
        x, y = target - t1, source - t2
        s1, s2 = np.linalg.norm(x) + 1e-8, np.linalg.norm(y) + 1e-8
        rotation, scale = orthogonal_procrustes(x / s1, y / s2)
        return (y / s2) @ rotation.T * scale * s1 + t1

    def mean_and_auc(errors):
        thresholds = np.linspace(0, 0.05, 100)
        curves = [[(errors[:, p] <= t).mean() for t in thresholds] for p in range(errors.shape[1])]
        return errors.mean(0).mean(), np.mean([np.trapezoid(c, thresholds) / 0.05 for c in curves])

    def f_score(target, source, threshold):
        d = cdist(target, source)
        recall, precision = (d.min(0) < threshold).mean(), (d.min(1) < threshold).mean()
        return 2 * recall * precision / (recall + precision) if recall + precision else 0.0

    al_joints = np.stack([aligned(t, p) for t, p in zip(true_joints, joints, strict=True)])
    al_verts = np.stack([aligned(t, p) for t, p in zip(true_verts, verts, strict=True)])
    out = {}
    for name, target, source in (
        ("abs_mpjpe_mm abs_auc_joints", true_joints, joints), ("pa_mpjpe_mm auc_joints", true_joints, al_joints),
        ("abs_mpvpe_mm abs_auc_verts", true_verts, verts), ("pa_mpvpe_mm auc_verts", true_verts, al_verts),
    ):  # fmt: skip
        mean, auc = name.split()
        error_m, out[auc] = mean_and_auc(np.linalg.norm(target - source, axis=-1))
        out[mean] = 1000 * error_m
    for prefix, source in (("abs_", verts), ("", al_verts)):
        for millimetres in (5, 15):
            scores = [f_score(t, p, millimetres / 1000) for t, p in zip(true_verts, source, strict=True)]
            out[f"{prefix}f{millimetres}"] = np.mean(scores)
    return out


@pytest.fixture(scope="module")
def task():
    return SingleHand()


@pytest.fixture(scope="module")
def dataset(samples):
    return HandDataset(samples, np.arange(len(samples)), 64)


@pytest.fixture
def truth(dataset):
    joints, verts = dataset.truth(torch.arange(len(dataset)))
    return {"joints_cam_m": joints.double().numpy(), "verts_cam_m": verts.double().numpy()}


def scored(task, dataset, predictions, protocol=PROTOCOL):
    return task.score(protocol, predictions, dataset, np.arange(len(dataset)))


def noisy(truth, amount_m=0.01, seed=0):
    rng = np.random.default_rng(seed)
    return {name: points + rng.normal(0, amount_m, points.shape) for name, points in truth.items()}


def test_means_are_the_official_scripts_to_nine_digits(task, dataset, truth):
    predictions = noisy(truth)
    columns = scored(task, dataset, predictions).columns
    expected = official_scores(
        truth["joints_cam_m"], predictions["joints_cam_m"], truth["verts_cam_m"], predictions["verts_cam_m"]
    )
    assert len(expected) == 12
    for name, value in expected.items():
        assert columns[name].mean() == pytest.approx(value, rel=1e-9), name


def test_a_perfect_prediction_has_the_official_best_scores(task, dataset, truth):
    columns = scored(task, dataset, truth).columns
    for name in ("mpjpe_mm", "mpvpe_mm", "abs_mpjpe_mm", "abs_mpvpe_mm"):
        assert (columns[name] == 0).all()
    for name in ("pa_mpjpe_mm", "pa_mpvpe_mm"):
        assert (columns[name] < 1e-5).all()
        assert (columns[name] > 0).all()
    for name in ("f5", "f15", "abs_f5", "abs_f15", "abs_auc_joints", "abs_auc_verts"):
        assert (columns[name] == 1).all()
    np.testing.assert_allclose(columns["auc_joints"], 1 - 0.5 / 99, rtol=1e-12)
    np.testing.assert_allclose(columns["auc_verts"], 1 - 0.5 / 99, rtol=1e-12)


def test_a_shift_of_ten_millimetres_shows_in_the_camera_frame_only(task, dataset, truth):
    columns = scored(
        task, dataset, {name: points + np.array([0.010, 0, 0]) for name, points in truth.items()}
    ).columns
    np.testing.assert_allclose(columns["abs_mpjpe_mm"], 10, rtol=1e-9)
    np.testing.assert_allclose(columns["abs_mpvpe_mm"], 10, rtol=1e-9)
    np.testing.assert_allclose(columns["abs_auc_joints"], 79.5 / 99, rtol=1e-9)
    for name in ("mpjpe_mm", "mpvpe_mm", "pa_mpjpe_mm", "pa_mpvpe_mm"):
        np.testing.assert_allclose(columns[name], 0, atol=1e-5)


def test_a_shift_beyond_fifty_millimetres_has_no_area(task, dataset, truth):
    columns = scored(
        task, dataset, {name: points + np.array([0, 0, 0.0501]) for name, points in truth.items()}
    ).columns
    assert (columns["abs_auc_joints"] == 0).all()
    assert (columns["abs_auc_verts"] == 0).all()


def test_a_larger_hand_is_wrong_relative_to_the_wrist_and_right_when_aligned(task, dataset, truth):
    wrist = truth["joints_cam_m"][:, :1]
    columns = scored(task, dataset, {n: 1.1 * (p - wrist) + wrist for n, p in truth.items()}).columns
    expected = 100 * np.linalg.norm(truth["joints_cam_m"] - wrist, axis=-1).mean(1)
    np.testing.assert_allclose(columns["mpjpe_mm"], expected, rtol=1e-9)
    np.testing.assert_allclose(columns["pa_mpjpe_mm"], 0, atol=1e-5)
    np.testing.assert_allclose(columns["pa_mpvpe_mm"], 0, atol=1e-5)


def test_a_mirrored_hand_is_right_under_p1_and_wrong_under_p2(task, dataset, truth):
    mirrored = {name: points * [-1, 1, 1] for name, points in truth.items()}
    strict = replace(PROTOCOL, name="strict", alignment="P2")
    np.testing.assert_allclose(scored(task, dataset, mirrored).columns["pa_mpjpe_mm"], 0, atol=1e-5)
    assert (scored(task, dataset, mirrored, strict).columns["pa_mpjpe_mm"] > 5).all()


def test_truth_in_millimetres_is_found_in_the_camera_frame(task, dataset, truth):
    columns = scored(task, dataset, {name: 1000 * points for name, points in truth.items()}).columns
    distance_mm = 1000 * np.linalg.norm(truth["joints_cam_m"], axis=-1).mean(1)
    np.testing.assert_allclose(columns["abs_mpjpe_mm"], 999 * distance_mm, rtol=1e-6)
    np.testing.assert_allclose(columns["pa_mpjpe_mm"], 0, atol=1e-5)


def test_the_protocols_root_joint_is_subtracted(task, dataset, truth):
    predictions = noisy(truth)
    for root_joint, index in (("wrist", 0), ("middle_mcp", 9)):
        columns = scored(task, dataset, predictions, replace(PROTOCOL, root_joint=root_joint)).columns
        p, t = (x["joints_cam_m"] - x["joints_cam_m"][:, index, None] for x in (predictions, truth))
        np.testing.assert_allclose(
            columns["mpjpe_mm"], 1000 * np.linalg.norm(p - t, axis=-1).mean(1), rtol=1e-9
        )


@pytest.mark.parametrize("field", ["joints_cam_m", "verts_cam_m"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_point_that_is_not_finite_leaves_its_sample_undefined_and_no_other(
    task, dataset, truth, field, bad
):
    predictions = noisy(truth) | {
        "verts_log_var": np.full((len(dataset), 778, 3), -10.0),
        "vertex_rgb": np.full((len(dataset), 778, 3), 0.5),
    }
    healthy = scored(task, dataset, predictions).columns
    predictions[field] = predictions[field].copy()
    predictions[field][2, 5, 1] = bad
    damaged = scored(task, dataset, predictions).columns
    others = np.arange(len(dataset)) != 2
    assert set(damaged) == set(healthy)
    for name, values in damaged.items():
        assert np.isnan(values[2]), name
        np.testing.assert_allclose(values[others], healthy[name][others], rtol=1e-9)


def test_when_nothing_is_finite_every_column_is_there_and_undefined(task, dataset, truth):
    predictions = {name: np.full_like(points, np.nan) for name, points in truth.items()}
    predictions["vertex_rgb"] = np.full((len(dataset), 778, 3), 0.5)
    columns = scored(task, dataset, predictions).columns
    assert {"mpjpe_mm", "psnr_db", "f5"} <= set(columns)
    assert all(np.isnan(values).all() for values in columns.values())


def test_predictions_of_all_zeros_are_scored_without_a_crash(task, dataset, truth):
    predictions = {name: np.zeros_like(points) for name, points in truth.items()}
    predictions["vertex_rgb"] = np.full((len(dataset), 778, 3), 0.5)
    columns = scored(task, dataset, predictions).columns
    centred = truth["joints_cam_m"] - truth["joints_cam_m"].mean(1, keepdims=True)
    np.testing.assert_allclose(
        columns["pa_mpjpe_mm"], 1000 * np.linalg.norm(centred, axis=-1).mean(1), rtol=1e-6
    )
    assert (columns["abs_auc_joints"] == 0).all()
    assert np.isfinite(columns["psnr_db"]).all()
    assert np.isnan(columns["psnr_db_pred_mask"]).all()


def test_what_a_method_does_not_predict_is_not_applicable_with_its_reason(task, dataset, truth):
    scores = scored(task, dataset, truth)
    assert scores.not_applicable == {
        **dict.fromkeys(("nll", "calibration_error"), "no variances"),
        **dict.fromkeys(TEXTURE, "no texture head"),
    }
    for name in PROTOCOL.metrics:
        absent = set(METRICS[name].sample_columns).isdisjoint(scores.columns)
        assert absent == (name in scores.not_applicable)


def test_every_metric_of_the_protocol_is_a_column_or_has_a_reason(task, dataset, truth):
    predictions = noisy(truth) | {
        "verts_log_var": np.full((len(dataset), 778, 3), -9.0),
        "vertex_rgb": np.full((len(dataset), 778, 3), 0.5),
        "flat_rgb": np.full((len(dataset), 3), 0.5),
    }
    scores = scored(task, dataset, predictions)
    for name in PROTOCOL.metrics:
        assert (name in scores.not_applicable) != (set(METRICS[name].sample_columns) <= set(scores.columns))
    assert set(scores.not_applicable) <= {"lpips", "lpips_pred_mask"}
    for values in scores.columns.values():
        assert values.shape == (len(dataset),)
        assert values.dtype == np.float64


def test_honest_variances_are_calibrated_and_likely(task, dataset, truth):
    rng = np.random.default_rng(3)
    sigma_m = rng.uniform(0.003, 0.009, truth["verts_cam_m"].shape)
    predictions = {
        "joints_cam_m": truth["joints_cam_m"],
        "verts_cam_m": truth["verts_cam_m"] + sigma_m * rng.normal(size=sigma_m.shape),
        "verts_log_var": 2 * np.log(sigma_m),
    }
    honest = scored(task, dataset, predictions).columns
    for level in range(10, 100, 10):
        assert honest[f"coverage_{level}"].mean() == pytest.approx(level / 100, abs=0.01)
    predictions["verts_log_var"] = predictions["verts_log_var"] + 2.0
    assert scored(task, dataset, predictions).columns["nll"].mean() > honest["nll"].mean()


def test_variances_are_about_the_wrist_relative_mean(task, dataset, truth):
    shifted = {name: points + np.array([0.1, 0, 0]) for name, points in truth.items()}
    log_var = {"verts_log_var": np.full((len(dataset), 778, 3), -9.0)}
    here, there = (scored(task, dataset, p | log_var).columns["nll"] for p in (truth, shifted))
    np.testing.assert_allclose(here, there, rtol=1e-6)


def test_scores_of_a_part_are_the_part_of_the_scores(task, dataset, truth):
    predictions = noisy(truth)
    whole = scored(task, dataset, predictions).columns
    rows = np.array([7, 1, 4])
    part = task.score(PROTOCOL, {n: p[rows] for n, p in predictions.items()}, dataset, rows).columns
    for name, values in part.items():
        np.testing.assert_allclose(values, whole[name][rows], rtol=1e-12)


def test_a_missing_an_unknown_and_a_misshapen_field_are_named(task, dataset, truth):
    with pytest.raises(RequestError, match="lack the field 'joints_cam_m'"):
        scored(task, dataset, {"verts_cam_m": truth["verts_cam_m"]})
    with pytest.raises(RequestError, match="unknown prediction field 'colour'"):
        scored(task, dataset, truth | {"colour": np.zeros((12, 3))})
    with pytest.raises(RequestError, match=r"'joints_cam_m' has shape \(12, 20, 3\): expected \(12, 21, 3\)"):
        scored(task, dataset, truth | {"joints_cam_m": truth["joints_cam_m"][:, 1:]})
    with pytest.raises(RequestError, match=r"'verts_cam_m' has shape \(11, 778, 3\): expected \(12, V, 3\)"):
        scored(task, dataset, truth | {"verts_cam_m": truth["verts_cam_m"][1:]})


def test_joints_alone_are_scored_and_say_what_a_mesh_would_add(task, dataset, truth):
    predictions = noisy(truth)
    with_mesh = scored(task, dataset, predictions).columns
    scores = scored(task, dataset, {"joints_cam_m": predictions["joints_cam_m"]})
    assert scores.not_applicable["pa_mpvpe_mm"] == scores.not_applicable["abs_f5"] == "no vertices"
    for name in ("mpjpe_mm", "pa_mpjpe_mm", "auc_joints", "ladder_p1_mm"):
        np.testing.assert_array_equal(scores.columns[name], with_mesh[name])


def test_another_topology_has_raw_f_scores_and_nothing_that_needs_matching_vertices(task, dataset, truth):
    every_second = truth | {"verts_cam_m": truth["verts_cam_m"][:, ::2]}
    scores = scored(task, dataset, every_second)
    assert scores.not_applicable["mpvpe_mm"] == "389 vertices, not MANO's 778"
    house = scored(task, dataset, every_second, PROTOCOLS["house"])
    assert house.not_applicable["f5"] == "389 vertices, not MANO's 778"
    distance = [cdist(t, p) for t, p in zip(truth["verts_cam_m"], every_second["verts_cam_m"], strict=True)]
    recall = np.array([(d.min(1) < 0.005).mean() for d in distance])
    np.testing.assert_allclose(scores.columns["abs_f5"], 2 * recall / (1 + recall), rtol=1e-12)


def similarity_without_reflection(target, source):
    """Umeyama's equations for one sample."""
    x, y = target - target.mean(0), source - source.mean(0)
    u, d, vt = np.linalg.svd(x.T @ y / len(x))
    s = np.diag([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ s @ vt
    scale = np.trace(np.diag(d) @ s) / (y**2).sum(1).mean()
    return lambda points: scale * (points - source.mean(0)) @ rotation.T + target.mean(0)


def mean_mm(a, b):
    return 1000 * np.linalg.norm(a - b, axis=-1).mean(-1)


def test_ho3d_scales_by_the_bone_from_wrist_to_middle_base(task, dataset, truth):
    predictions = noisy(truth)
    columns = scored(task, dataset, predictions, PROTOCOLS["ho3d_v2"]).columns
    for i, (t, p) in enumerate(zip(truth["joints_cam_m"], predictions["joints_cam_m"], strict=True)):
        scale = np.linalg.norm(t[9] - t[0]) / np.linalg.norm(p[9] - p[0])
        moved = p * scale - (p * scale)[0] + t[0]
        error_m = np.linalg.norm(moved - t, axis=1)
        assert columns["st_mpjpe_mm"][i] == pytest.approx(1000 * error_m.mean(), rel=1e-9)
        curve = [(error_m <= threshold).mean() for threshold in np.linspace(0, 0.05, 100)]
        assert columns["st_auc_joints"][i] == pytest.approx(np.trapezoid(curve) / 99, rel=1e-9)


def test_dexycb_has_an_area_for_each_of_its_three_alignments(task, dataset, truth):
    shifted = {name: points + np.array([0.010, 0, 0]) for name, points in truth.items()}
    columns = scored(task, dataset, shifted, PROTOCOLS["dexycb"]).columns
    np.testing.assert_allclose(columns["abs_auc_joints"], 79.5 / 99, rtol=1e-9)
    wrist_only_is_exact = (1 + 20 * (1 - 0.5 / 99)) / 21
    assert (columns["rel_auc_joints"] >= wrist_only_is_exact - 1e-9).all()
    np.testing.assert_allclose(columns["auc_joints"], 1 - 0.5 / 99, rtol=1e-9)


def test_hamers_alignment_has_no_reflection_and_agrees_in_float32(task, dataset, truth):
    predictions = noisy(truth)
    columns = scored(task, dataset, predictions, PROTOCOLS["hamer_pa"]).columns
    for name, field in (("pa_mpjpe_mm", "joints_cam_m"), ("pa_mpvpe_mm", "verts_cam_m")):
        for i, (t, p) in enumerate(zip(truth[field], predictions[field], strict=True)):
            assert columns[name][i] == pytest.approx(
                mean_mm(similarity_without_reflection(t, p)(p), t), rel=2e-5
            )
    assert set(columns) == set(PROTOCOLS["hamer_pa"].metrics)


def test_the_house_protocol_counts_no_wrist_and_aligns_the_mesh_with_its_joints(task, dataset, truth):
    predictions = noisy(truth)
    columns = scored(task, dataset, predictions, PROTOCOLS["house"]).columns
    pairs = zip(
        *(table[f] for f in ("joints_cam_m", "verts_cam_m") for table in (truth, predictions)), strict=True
    )
    for i, (tj, pj, tv, pv) in enumerate(pairs):
        assert columns["mpjpe_mm"][i] == pytest.approx(mean_mm((pj - pj[0])[1:], (tj - tj[0])[1:]), rel=1e-9)
        move = similarity_without_reflection(tj, pj)
        assert columns["pa_mpjpe_mm"][i] == pytest.approx(mean_mm(move(pj), tj), rel=1e-9)
        assert columns["pa_mpvpe_mm"][i] == pytest.approx(mean_mm(move(pv), tv), rel=1e-9)
    perfect = scored(task, dataset, truth, PROTOCOLS["house"]).columns
    np.testing.assert_allclose(perfect["auc_joints"], 1, rtol=1e-12)
    mirrored = {name: points * [-1, 1, 1] for name, points in truth.items()}
    assert (scored(task, dataset, mirrored, PROTOCOLS["house"]).columns["pa_mpjpe_mm"] > 5).all()


def test_the_ladder_is_the_same_under_every_protocol_and_forgives_more_at_every_rung(task, dataset, truth):
    predictions = noisy(truth)
    ladders = [
        {name: scored(task, dataset, predictions, PROTOCOLS[p]).columns[name] for name in task.spec.ladder}
        for p in ("freihand", "dexycb", "house")
    ]
    for name in task.spec.ladder:
        for other in ladders[1:]:
            np.testing.assert_array_equal(ladders[0][name], other[name])
    rungs = ladders[0]
    assert (rungs["ladder_rigid_mm"] <= 1.05 * rungs["ladder_wrist_mm"]).all()
    assert (rungs["ladder_p1_mm"] <= 1.02 * rungs["ladder_p2_mm"]).all()
    expected = scored(task, dataset, predictions).columns
    np.testing.assert_allclose(ladders[0]["ladder_p1_mm"], expected["pa_mpjpe_mm"], rtol=1e-12)
    np.testing.assert_allclose(ladders[0]["ladder_wrist_mm"], expected["mpjpe_mm"], rtol=1e-12)
    np.testing.assert_allclose(ladders[0]["ladder_abs_mm"], expected["abs_mpjpe_mm"], rtol=1e-12)


def test_a_missing_flip_shows_in_the_camera_frame_and_hides_under_procrustes(task, dataset, truth):
    unflipped = {name: points * [1, -1, -1] for name, points in truth.items()}
    columns = scored(task, dataset, unflipped).columns
    distance_mm = 1000 * np.linalg.norm(truth["joints_cam_m"].mean(1), axis=-1)
    assert (columns["abs_mpjpe_mm"] > 1.8 * distance_mm).all()
    np.testing.assert_allclose(columns["pa_mpjpe_mm"], 0, atol=1e-5)


def test_official_protocols_align_another_topology_as_wrongly_as_their_scripts(task, dataset, truth):
    predictions = noisy(truth)
    every_second = predictions | {"verts_cam_m": predictions["verts_cam_m"][:, ::2]}
    measured = scored(task, dataset, every_second, PROTOCOLS["ho3d_v3"]).columns["f15"]
    for value, x, y, mesh, true in zip(
        measured, truth["joints_cam_m"], predictions["joints_cam_m"], every_second["verts_cam_m"],
        truth["verts_cam_m"], strict=True,
    ):  # fmt: skip
        s1, s2 = (np.linalg.norm(p - p.mean(0)) + 1e-8 for p in (x, y))
        rotation, s = orthogonal_procrustes((x - x.mean(0)) / s1, (y - y.mean(0)) / s2)
        moved = (mesh - mesh.mean(0)) @ rotation.T * s * s1 + x.mean(0) - y.mean(0) + mesh.mean(0)
        distance = cdist(true, moved)
        recall, precision = (distance.min(0) < 0.015).mean(), (distance.min(1) < 0.015).mean()
        assert value == pytest.approx(2 * recall * precision / (recall + precision), rel=1e-9)
        assert value < 0.5


def test_dexycb_aligns_millimetres(task, dataset, truth):
    predictions = noisy(truth)
    columns = scored(task, dataset, predictions, PROTOCOLS["dexycb"]).columns
    in_mm = official_scores(
        *(1000 * t[f] for f in ("joints_cam_m", "verts_cam_m") for t in (truth, predictions))
    )
    assert columns["pa_mpjpe_mm"].mean() == pytest.approx(in_mm["pa_mpjpe_mm"] / 1000, rel=1e-12)

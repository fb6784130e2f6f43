"""Meshes of any size: where they are put, what they score, and what becomes of those that are no solids."""

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from tasks.protocols import IM2HANDS_METRICS, IS_SCORED
from tasks.registry import PROTOCOLS
from tasks.two_hands import surfaces
from tasks.two_hands.meshes import regressed_joints
from tasks.two_hands.prediction import TwoHandPrediction
from tasks.two_hands.solids import PROBLEMS, Solid, predicted_pair
from tests.tasks.two_hands.free_surfaces import SIDES, as_fields, closed, marched, subdivided

COUNT = 20_000
NOISE_MM = 0.9
"""Chamfer distance between two samples of one hand with ``COUNT`` points each."""


@pytest.fixture(scope="module")
def true_m(pairs):
    return torch.from_numpy(pairs.verts_m[:1])


@pytest.fixture(scope="module")
def joints_m(task, true_m):
    """Joints that the truth's meshes have, 1 x 2 x 21 x 3."""
    return regressed_joints(true_m, task.hands).numpy()


@pytest.fixture(scope="module")
def solids(task, true_m):
    """The true hands of the frame, sealed."""
    return [closed(true_m[0, i].numpy(), task.hands, side) for i, side in enumerate(SIDES)]


@pytest.fixture(scope="module")
def measured(task, true_m):
    """The numbers of one frame's fields."""

    def columns(fields, count=COUNT):
        predicted = TwoHandPrediction.of(fields, 1)
        pair = predicted_pair(predicted, 0, task.hands)
        found = surfaces.surface_columns([pair], true_m, ["a"], task.hands, count)
        return {name: column.item() for name, column in found.items()}

    return columns


def sphere(radius, x=0.0):
    shape = trimesh.creation.icosphere(4, radius)
    return Solid(
        torch.from_numpy(shape.vertices + np.array([x, 0, 0])), torch.from_numpy(np.array(shape.faces))
    )


def test_concentric_spheres_have_their_closed_forms():
    found = surfaces.hand_values(sphere(0.2), sphere(0.25), [0, 0], 30_000)
    assert found["iou"] == pytest.approx(0.512, abs=0.04)
    assert found["cd_mm"] == pytest.approx(20, abs=0.1)
    assert found["cd_l2_mm2"] == pytest.approx(400, rel=0.01)
    assert found["normal_consistency"] == pytest.approx(1, abs=0.002)
    assert found["iou_near"] < 0.01
    inner, outer = (4 / 3 * np.pi * radius**3 / 1.1**3 for radius in (0.2, 0.25))
    assert found["iou_mixed"] == pytest.approx(inner / (outer + 0.5), rel=0.1)


def test_overlapping_spheres_share_a_lens():
    """V = pi (2r - d)^2 (d^2 + 4dr) / (12 d) for equal radii."""
    r, d = 0.03, 0.04
    lens_cm3 = 1e6 * np.pi * (2 * r - d) ** 2 * (d**2 + 4 * d * r) / (12 * d)
    meshes = [tuple(part.numpy() for part in sphere(r, x)) for x in (0, d)]
    predicted = TwoHandPrediction.of(as_fields([meshes], np.zeros((1, 2, 21, 3))), 1)
    found = surfaces.overlap(predicted_pair(predicted, 0, {}))
    assert found["penetration_cm3"] == pytest.approx(lens_cm3, rel=0.02)
    assert found["penetration_mm"] == pytest.approx(1000 * (2 * r - d), rel=0.01)


def test_the_models_own_sealed_mesh_scores_as_the_models_vertices_do(task, measured, true_m):
    own_m = true_m + 0.004 * torch.sin(40 * true_m)
    joints_m = regressed_joints(own_m, task.hands).numpy()
    meshes = [closed(own_m[0, i].numpy(), task.hands, side) for i, side in enumerate(SIDES)]
    free = measured(as_fields([meshes], joints_m))
    for name, value in measured({"joints_cam_m": joints_m, "verts_cam_m": own_m.numpy()}).items():
        assert free[name] == pytest.approx(value, rel=1e-4, abs=1e-4), name


def test_the_same_surface_with_other_vertices_scores_one(measured, joints_m, solids):
    found = measured(as_fields([[subdivided(*solid) for solid in solids]], joints_m))
    assert min(found[name] for name in ("iou", "iou_near", "iou_mixed")) > 0.999
    assert found["cd_mm"] < NOISE_MM
    assert found["normal_consistency"] > 0.97
    assert all(found[name] == 0 for name in PROBLEMS)


def test_marching_cubes_of_the_true_occupancy_are_near_the_truth(measured, joints_m, solids):
    """Cells of about 3 mm: the surface is off by a part of one."""
    found = measured(as_fields([[marched(*solid) for solid in solids]], joints_m))
    assert found["iou"] > 0.93
    assert found["cd_mm"] < NOISE_MM + 0.5
    assert all(found[name] == 0 for name in PROBLEMS)


def test_the_order_of_vertices_does_not_matter(measured, joints_m, solids):
    rng = np.random.default_rng(0)
    shuffled = []
    for verts, faces in solids:
        order = rng.permutation(len(verts))
        shuffled.append((verts[order], np.argsort(order)[faces]))
    assert measured(as_fields([shuffled], joints_m)) == pytest.approx(measured(as_fields([solids], joints_m)))


def test_a_surface_that_winds_inwards_is_turned(measured, joints_m, solids):
    (right, right_faces), (left, left_faces) = solids
    overlapping = [(right, right_faces), (left - left.mean(0) + right.mean(0), left_faces)]
    flipped = [(verts, faces[:, ::-1]) for verts, faces in overlapping]
    found, turned = (measured(as_fields([meshes], joints_m)) for meshes in (overlapping, flipped))
    assert found["penetration_cm3"] > 5
    assert turned["penetration_cm3"] == pytest.approx(found["penetration_cm3"], rel=1e-6)
    assert turned["iou"] == pytest.approx(found["iou"], abs=1e-3)


def test_a_hand_elsewhere_scores_the_same_and_a_turned_one_does_not(measured, joints_m, solids):
    shift = np.array([[0.2, -0.1, 0.3], [-0.1, 0.4, 0.1]])
    moved = [(verts + shift[i], faces) for i, (verts, faces) in enumerate(solids)]
    there = measured(as_fields([moved], joints_m + shift[:, None]))
    here = measured(as_fields([solids], joints_m))
    for name in surfaces.METRICS:
        assert there[name] == pytest.approx(here[name], rel=1e-3, abs=1e-3), name
    turn = Rotation.from_rotvec([0, 0, 0.5])
    wrists = joints_m[0, :, 0]
    turned = [(turn.apply(v - w) + w, f) for (v, f), w in zip(solids, wrists, strict=True)]
    assert measured(as_fields([turned], joints_m))["iou"] < 0.8


def test_a_surface_is_put_by_the_wrist_of_its_joints(measured, joints_m, solids):
    """Joints a centimetre beside the mesh put the mesh a centimetre beside the truth."""
    apart = joints_m.copy()
    apart[:, :, 0, 1] += 0.01
    found = measured(as_fields([solids], apart))
    assert found["iou"] < 0.8
    assert 2 < found["cd_mm"] < 10


def damaged(solid, how):
    verts, faces = solid[0].copy(), solid[1]
    if how == "nothing":
        return None
    if how == "no faces":
        return verts, faces[:0]
    if how == "a face lost":
        return verts, faces[1:]
    if how == "a face turned":
        return verts, np.concatenate([faces[:1, ::-1], faces[1:]])
    if how == "a face twice":
        return verts, np.concatenate([faces[:1], faces])
    verts[7] = {"not a number": np.nan, "infinite": np.inf}.get(how, verts[7])
    return (np.full_like(verts, 0.3) if how == "no size" else verts), faces


DAMAGES = {
    "nothing": "no_mesh", "no faces": "no_mesh", "not a number": "broken_mesh", "infinite": "broken_mesh",
    "no size": "broken_mesh", "a face lost": "open_mesh", "a face turned": "open_mesh", "a face twice": "open_mesh",
}  # fmt: skip


@pytest.mark.parametrize(("how", "problem"), DAMAGES.items())
def test_what_is_no_solid_is_undefined_and_counted_by_what_is_wrong(measured, joints_m, solids, how, problem):
    found = measured(as_fields([[solids[0], damaged(solids[1], how)]], joints_m))
    assert {name: found.pop(name) for name in PROBLEMS} == dict.fromkeys(PROBLEMS, 0) | {problem: 0.5}
    assert np.isnan(list(found.values())).all()


def test_a_surface_without_a_wrist_cannot_be_put(measured, joints_m, solids):
    lost = joints_m.copy()
    lost[0, 0, 5] = np.nan
    found = measured(as_fields([solids], lost))
    assert found["no_mesh"] == 0.5
    assert np.isnan(found["iou"])


def test_vertices_beside_surfaces_do_not_stand_in_for_them(measured, true_m, joints_m, solids):
    fields = as_fields([[solids[0], None]], joints_m) | {"verts_cam_m": true_m.numpy()}
    assert measured(fields)["no_mesh"] == 0.5


def test_surfaces_alone_have_all_numbers_but_those_of_the_models_vertices(task, dataset, pairs, few_points):
    rows = np.array([0, 1, 2])
    verts_m = np.nan_to_num(pairs.verts_m[rows])
    joints_m = regressed_joints(torch.from_numpy(verts_m), task.hands).numpy()
    meshes = [[closed(v, task.hands, s) for v, s in zip(frame, SIDES, strict=True)] for frame in verts_m]
    fields = as_fields(meshes, joints_m)
    scores = task.score(PROTOCOLS["im2hands"], fields, dataset, rows)
    assert scores.not_applicable == {"mpvpe_mm": "no vertices of the hand model"}
    np.testing.assert_array_equal(scores.columns[IS_SCORED], [1, 0, 1])
    for name in set(IM2HANDS_METRICS) - {"mpvpe_mm"}:
        np.testing.assert_array_equal(np.isfinite(scores.columns[name]), [True, False, True])
    assert scores.columns["iou"][[0, 2]].min() > 0.99
    house = task.score(PROTOCOLS["house_two_hands"], fields, dataset, rows)
    assert house.not_applicable.keys() == {"mpvpe_mm", "handedness_accuracy"}
    for name in surfaces.OVERLAP:
        np.testing.assert_allclose(house.columns[name], scores.columns[name], rtol=1e-12)


def test_keypoints_are_scored_about_the_middle_base_without_scale(task, dataset, pairs, noisy):
    """Against joints by the regressor's own rows and tips, frame by frame in numpy."""
    columns = task.score(PROTOCOLS["im2hands"], without_meshes(noisy), dataset, np.arange(8)).columns
    for row in (0, 2, 4):
        errors = []
        for i, side in enumerate(SIDES):
            data = task.hands[side].data
            j16 = np.asarray(data.J_regressor, np.float32).astype(np.float64) @ pairs.verts_m[row, i]
            tips = pairs.verts_m[row, i][[745, 317, 444, 556, 673]]
            order = [0, 13, 14, 15, None, 1, 2, 3, None, 4, 5, 6, None, 10, 11, 12, None, 7, 8, 9, None]
            true = np.array([tips[k // 4 - 1] if j is None else j16[j] for k, j in enumerate(order)])
            own = noisy["joints_cam_m"][row, i]
            errors.append(np.linalg.norm((own - own[9]) - (true - true[9]), axis=1).mean())
        assert columns["mpjpe_mm"][row] == pytest.approx(1000 * np.mean(errors), rel=1e-6)
    assert np.isnan(columns["mpjpe_mm"][[1, 3, 5, 6, 7]]).all()


def test_vertices_are_scored_as_intaghand_does_unscaled(scored, noisy, few_points):
    ours, theirs = (scored(protocol, noisy) for protocol in ("im2hands", "intaghand"))
    np.testing.assert_allclose(ours["mpvpe_mm"], theirs["mpvpe_unscaled_mm"], rtol=1e-9)


def without_meshes(fields):
    return {name: values for name, values in fields.items() if name != "verts_cam_m"}

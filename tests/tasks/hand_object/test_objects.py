"""DiffHOI's object protocol against iHOI's and DiffHOI's formulas in plain numpy, and its closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from tasks.geometry.registration import Settings, register
from tasks.hand_object import ClipTruth, score
from tasks.hand_object.objects import in_hand_values, registered_values, surface_points
from tasks.registry import PROTOCOLS

PROTOCOL = PROTOCOLS["diffhoi_object"]
QUICK = Settings(starts=2, points=1000, outer_steps=2, inner_steps=30)


def official_f_and_cd(own, true, thresholds_mm):
    """mesh_utils.py on two clouds: counts over the fixed number of samples, eps 1e-6, sum of mean squares in cm^2."""
    d1, d2 = np.empty(0), np.full(len(true), np.inf)
    for part in np.array_split(own, 20):
        d = cdist(part, true)
        d1, d2 = np.r_[d1, d.min(1)], np.minimum(d2, d.min(0))
    scores = {}
    for mm in thresholds_mm:
        precision, recall = (np.sum(x < mm / 1000) / 10_000 for x in (d1, d2))
        scores[mm] = 2 * precision * recall / (precision + recall + 1e-6)
    return scores, 1e4 * (np.mean(d1**2) + np.mean(d2**2))


def homogeneous(transform, points):
    return (transform @ np.c_[points, np.ones(len(points))].T).T[:, :3]


def in_the_hand(prediction, truth):
    """eval_mesh_in_hand: every frame by itself, then the mean over frames."""
    own = surface_points(prediction["object_verts_m"], prediction["object_faces"], 0)
    true = surface_points(truth.object_verts_m, truth.object_faces, 1)
    frames = []
    for own_pose, true_pose in zip(prediction["object_to_hand"], truth.object_to_hand, strict=True):
        scores, cd = official_f_and_cd(homogeneous(own_pose, own), homogeneous(true_pose, true), [20])
        frames.append((scores[20], cd))
    return np.mean(frames, axis=0)


def test_numbers_in_the_hand_frame_are_the_official_ones(truth, noisy):
    short = replace(truth, object_to_hand=truth.object_to_hand[:2])
    fields = noisy | {"object_to_hand": noisy["object_to_hand"][:2]}
    found = in_hand_values(fields, short)
    f20, cd = in_the_hand(fields, short)
    assert found["hand_object_f20"] == pytest.approx(f20, rel=1e-9)
    assert found["hand_object_cd_cm2"] == pytest.approx(cd, rel=1e-9)
    assert 0.1 < f20 < 1


def test_numbers_after_registration_are_the_official_ones_on_the_registered_mesh(truth, noisy):
    found = registered_values(noisy, truth, QUICK)
    mesh, target = (
        (noisy["object_verts_m"], noisy["object_faces"]),
        (truth.object_verts_m, truth.object_faces),
    )
    for suffix, with_scale in (("", False), ("_similarity", True)):
        fit = register(mesh, target, with_scale, QUICK)
        moved = fit.scale * mesh[0] @ fit.rotation.T + fit.translation
        scores, cd = official_f_and_cd(
            surface_points(moved, mesh[1], 0), surface_points(*target, 1), [5, 10, 20]
        )
        for mm, value in scores.items():
            assert found[f"object_f{mm}{suffix}"] == pytest.approx(value, rel=1e-9)
        assert found[f"object_cd_cm2{suffix}"] == pytest.approx(cd, rel=1e-9)


def test_the_truth_has_the_best_scores(truth, perfect):
    found = registered_values(perfect, truth, QUICK) | in_hand_values(perfect, truth)
    for name, value in found.items():
        if "_f" in name:
            assert 0.99 < value < 0.9999996, name
        else:
            assert value < 0.15, name


def test_a_moved_object_is_found_again_but_not_in_the_hand(truth, perfect):
    turn = Rotation.from_rotvec([0.3, -0.2, 0.4])
    perfect["object_verts_m"] = turn.apply(truth.object_verts_m) + np.array([0.2, 0.1, -0.3])
    found = registered_values(perfect, truth, QUICK) | in_hand_values(perfect, truth)
    assert found["object_f5"] > 0.95
    assert found["object_cd_cm2"] < 0.1
    assert found["hand_object_f20"] < 0.05
    assert found["hand_object_cd_cm2"] > 100


def test_an_object_of_another_size_fits_with_a_scale_alone(truth, perfect):
    perfect["object_verts_m"] = 1.5 * truth.object_verts_m
    found = registered_values(perfect, truth, QUICK)
    assert found["object_f5_similarity"] > 0.95
    assert found["object_f5"] < 0.6
    assert found["object_cd_cm2_similarity"] < 0.1 < found["object_cd_cm2"]


def test_a_shift_of_a_plane_costs_twice_its_square():
    """A large square moved along its normal by 8 mm: CD is 2 d^2, F is 0 up to d and 1 beyond."""
    plane = trimesh.creation.box(extents=[0.3, 0.3, 1e-6])
    verts, faces = np.asarray(plane.vertices), np.asarray(plane.faces)
    poses = np.eye(4)[None]
    truth = ClipTruth(verts, faces, poses, np.zeros((1, 21, 3)), np.zeros((1, 778, 3)))
    moved = {"object_verts_m": verts + np.array([0, 0, 0.03]), "object_faces": faces, "object_to_hand": poses}
    found = in_hand_values(moved, truth)
    assert found["hand_object_cd_cm2"] == pytest.approx(2 * 3.0**2, rel=5e-3)
    assert found["hand_object_f20"] == 0
    moved["object_verts_m"] = verts + np.array([0, 0, 0.019])
    assert in_hand_values(moved, truth)["hand_object_f20"] == pytest.approx(0.9999995, abs=1e-2)


@pytest.mark.parametrize("damage", ["no faces", "no vertices", "one point", "not finite"])
def test_an_object_without_a_surface_is_a_hole_in_every_number(truth, perfect, damage):
    if damage in ("no faces", "no vertices"):
        perfect["object_faces"] = np.zeros((0, 3), np.int64)
    if damage == "no vertices":
        perfect["object_verts_m"] = np.zeros((0, 3))
    if damage == "one point":
        perfect["object_verts_m"][:] = 0.1
    if damage == "not finite":
        perfect["object_verts_m"][3, 1] = np.nan
    scores = score(PROTOCOL, perfect, truth)
    assert not scores.not_applicable
    assert set(scores.columns) == set(PROTOCOL.metrics)
    assert all(np.isnan(values).all() for values in scores.columns.values())


def test_frames_without_a_true_pose_are_left_out_and_missing_ones_are_holes(truth, noisy):
    whole = in_hand_values(noisy, truth)
    gap = truth.object_to_hand.copy()
    gap[2] = np.nan
    rest = np.arange(len(truth)) != 2
    kept = in_hand_values(
        noisy | {"object_to_hand": noisy["object_to_hand"][rest]}, replace(truth, object_to_hand=gap[rest])
    )
    assert in_hand_values(noisy, replace(truth, object_to_hand=gap)) == kept != whole
    noisy["object_to_hand"][4, 0, 0] = np.nan
    assert all(np.isnan(value) for value in in_hand_values(noisy, truth).values())
    nothing = replace(truth, object_to_hand=np.full_like(gap, np.nan))
    assert all(np.isnan(value) for value in in_hand_values(noisy, nothing).values())


def test_without_poses_the_object_alone_is_scored(truth, perfect):
    del perfect["object_to_hand"]
    absent = {"hand_object_f20": "no object poses", "hand_object_cd_cm2": "no object poses"}
    perfect["object_faces"] = perfect["object_faces"][:0]
    assert score(PROTOCOL, perfect, truth).not_applicable == absent
    only_poses = {"object_to_hand": truth.object_to_hand}
    assert set(score(PROTOCOL, only_poses, truth).not_applicable.values()) == {"no object mesh"}


vectors = st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3)


@settings(max_examples=5)
@given(turn=st.lists(st.floats(-3, 3), min_size=3, max_size=3), shift=vectors)
def test_the_hand_frame_is_the_same_whatever_it_is_called_and_a_lost_object_is_seen(truth, turn, shift):
    """Turning both clips' hand frames changes nothing; moving the prediction's object alone does."""
    own = {
        "object_verts_m": 1.05 * truth.object_verts_m,
        "object_faces": truth.object_faces,
        "object_to_hand": truth.object_to_hand[:1],
    }
    short = replace(truth, object_to_hand=truth.object_to_hand[:1])
    other = np.eye(4)
    other[:3, :3], other[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), shift
    here = in_hand_values(own, short)
    there = in_hand_values(
        own | {"object_to_hand": other @ own["object_to_hand"]},
        replace(short, object_to_hand=other @ short.object_to_hand),
    )
    for name, value in here.items():
        assert there[name] == pytest.approx(value, rel=1e-6)
    far = own["object_to_hand"].copy()
    far[:, 0, 3] += 0.06
    assert (
        in_hand_values(own | {"object_to_hand": far}, short)["hand_object_cd_cm2"]
        > 10 * here["hand_object_cd_cm2"]
    )

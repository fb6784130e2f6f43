import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import smplx
import torch
from scipy.spatial.transform import Rotation

from tasks.errors import RequestError
from tasks.hands.hand import HandModel, load_hand
from tasks.hands.in_use import repair_left
from tasks.hands.model_file import read_model, write_npz, write_pickle
from tasks.hands.skeleton import MIDDLE_MCP, PARENTS_MANO16, TIP_VERTICES, mirror_pose, reorder


def random_parameters(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 48, generator=generator) * 0.6, torch.randn(n, 10, generator=generator)


@pytest.mark.parametrize("extension", ["npz", "pkl"])
@pytest.mark.parametrize("flat", [False, True])
def test_smplx_loading_the_written_file_from_disk_equals_ours(hand, right, tmp_path, extension, flat):
    path = tmp_path / f"MANO_RIGHT.{extension}"
    (write_npz if extension == "npz" else write_pickle)(right, path)
    theirs = smplx.MANO(str(path), ext=extension, use_pca=False, flat_hand_mean=flat, batch_size=64)
    pose, betas = random_parameters(64)
    output = theirs(betas=betas, global_orient=pose[:, :3], hand_pose=pose[:, 3:])
    verts, joints = hand(pose, betas, flat_hand_mean=flat)
    assert (verts - output.vertices).abs().max() < 1e-6
    assert (joints - output.joints).abs().max() < 1e-6


def test_smplx_create_accepts_a_folder_of_the_open_hand(right, tmp_path):
    write_npz(right, tmp_path / "MANO_RIGHT.npz")
    model = smplx.create(str(tmp_path / "MANO_RIGHT.npz"), model_type="mano", ext="npz", num_pca_comps=12)
    assert model().vertices.shape == (1, 778, 3)


def forward_by_the_book(data, pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """MANO's equations, written out in float64: shape, regress joints, correct, skin."""
    shaped = data.v_template + data.shapedirs.astype(float) @ betas
    joints = data.J_regressor.astype(float) @ shaped
    rotations = Rotation.from_rotvec(pose.reshape(16, 3)).as_matrix()
    corrected = shaped + data.posedirs.astype(float) @ (rotations[1:] - np.eye(3)).ravel()
    world = np.zeros((16, 3, 4))
    for j, parent in enumerate(PARENTS_MANO16):
        local = np.column_stack([rotations[j], joints[j] - rotations[j] @ joints[j]])
        if parent < 0:
            world[j] = local
        else:
            world[j, :, :3] = world[parent, :, :3] @ local[:, :3]
            world[j, :, 3] = world[parent, :, :3] @ local[:, 3] + world[parent, :, 3]
    blended = np.einsum("vj,jab->vab", data.weights.astype(float), world)
    return np.einsum("vab,vb->va", blended[:, :, :3], corrected) + blended[:, :, 3]


def test_the_forward_pass_is_manos_published_one(hand, right):
    pose, betas = random_parameters(5, seed=3)
    verts, _ = hand(pose, betas, flat_hand_mean=True)
    for k in range(5):
        expected = forward_by_the_book(right, pose[k].double().numpy(), betas[k].double().numpy())
        np.testing.assert_allclose(verts[k].numpy(), expected, atol=2e-6)


def test_a_left_hand_is_the_mirrored_right_hand(hand, right):
    left = HandModel(right.mirrored())
    pose, betas = random_parameters(32, seed=1)
    pose_left = torch.from_numpy(mirror_pose(pose.numpy()))
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    for flat in (True, False):
        verts, joints = hand(pose, betas, flat)
        verts_left, joints_left = left(pose_left, betas, flat)
        assert (verts * mirror - verts_left).abs().max() < 1e-6
        assert (joints * mirror - joints_left).abs().max() < 1e-6


def test_flat_hand_mean_says_whether_the_mean_pose_is_added(hand):
    pose, betas = random_parameters(4, seed=2)
    added = pose.clone()
    added[:, 3:] += hand.hands_mean
    torch.testing.assert_close(hand(pose, betas)[0], hand(added, betas, flat_hand_mean=True)[0])


def test_a_rigid_motion_of_the_hand_pivots_about_the_rest_wrist(hand):
    """x -> R x + t on vertices is global rotation R Rg and translation t - J0 + R J0."""
    pose, betas = random_parameters(1, seed=4)
    rotation = Rotation.from_rotvec([0.3, -1.1, 0.7])
    turned = pose.clone()
    turned[0, :3] = torch.from_numpy((rotation * Rotation.from_rotvec(pose[0, :3])).as_rotvec())
    (verts, _), (verts_turned, _) = hand(pose, betas), hand(turned, betas)
    _, rest = hand(torch.zeros(1, 48), betas, flat_hand_mean=True)
    j0, r = rest[0, 0], torch.from_numpy(rotation.as_matrix()).float()
    assert (verts[0] @ r.T - (verts_turned[0] - j0 + r @ j0)).abs().max() < 1e-6


def test_gradients_reach_pose_and_shape(hand):
    pose, betas = random_parameters(2)
    pose.requires_grad_()
    betas.requires_grad_()
    hand(pose, betas)[0].square().sum().backward()
    assert pose.grad.abs().sum() > 0
    assert betas.grad.abs().sum() > 0


def test_joints_of_the_mesh_follow_freihands_rule(hand, right):
    verts, _ = hand(*random_parameters(3))
    joints = hand.joints_from_verts(verts)
    assert joints.shape == (3, 21, 3)
    to_a = reorder("B", "A")
    np.testing.assert_allclose(joints[:, to_a[:16]], torch.from_numpy(right.J_regressor) @ verts, atol=1e-6)
    np.testing.assert_array_equal(joints[:, to_a[16:]], verts[:, TIP_VERTICES["freihand"]])
    np.testing.assert_array_equal(joints[:, [4, 8]], verts[:, TIP_VERTICES["smplx"][:2]])


def test_regressed_joints_stay_near_the_bones_of_a_bent_hand(hand):
    pose, betas = random_parameters(64, seed=5)
    verts, joints = hand(pose * 0.5, betas)
    regressed = hand.joints_from_verts(verts)[:, reorder("B", "A")[:16]]
    assert (regressed - joints).norm(dim=-1).mean() < 1.5e-3


def test_wrist_to_middle_knuckle_is_a_hands_length(hand):
    _, betas = random_parameters(64)
    verts, _ = hand(torch.zeros(64, 48), betas)
    joints = hand.joints_from_verts(verts)
    length = (joints[:, MIDDLE_MCP] - joints[:, 0]).norm(dim=-1)
    assert (length > 0.070).all()
    assert (length < 0.115).all()


def test_another_number_of_vertices_goes_through_the_same_code(right, tmp_path):
    """A hand cut off above the wrist: fewer vertices, fewer faces, its own tips."""
    keep = np.flatnonzero(right.v_template[:, 0] < 0.07)
    number = np.full(778, -1)
    number[keep] = np.arange(len(keep))
    faces = number[right.faces]
    cut = replace(
        right,
        v_template=right.v_template[keep],
        faces=faces[(faces >= 0).all(1)],
        shapedirs=right.shapedirs[keep],
        posedirs=right.posedirs[keep],
        weights=right.weights[keep],
        J_regressor=right.J_regressor[:, keep],
        tips=number[right.tips],
        vt=None,
        ft=None,
        wrist_loop=None,
    )
    write_npz(cut, tmp_path / "cut.npz")
    hand = HandModel(read_model(tmp_path / "cut.npz"))
    assert hand.n_verts == len(keep) < 778
    verts, _ = hand(*random_parameters(2))
    assert verts.shape == (2, len(keep), 3)
    assert hand.joint_regressor21().shape == (21, len(keep))
    np.testing.assert_array_equal(hand.joints_from_verts(verts)[:, 4], verts[:, cut.tips[0]])
    with pytest.raises(RequestError, match="names no fingertips"):
        HandModel(replace(cut, tips=None)).joint_regressor21()


def test_the_module_has_no_parameters_and_adds_nothing_to_checkpoints(hand):
    assert list(hand.parameters()) == []
    assert hand.state_dict() == {}
    assert hand.faces.dtype == torch.int64


def test_each_caller_gets_a_module_of_its_own(monkeypatch):
    monkeypatch.delenv("PALMARES_MANO", raising=False)
    one, other = load_hand(), load_hand()
    assert one is not other
    assert one.fingerprint == other.fingerprint
    assert load_hand("left").side == "left"


def test_palmares_mano_names_the_folder_of_licensed_files(right, tmp_path, monkeypatch):
    scaled = replace(right, v_template=right.v_template * 1.1)
    write_pickle(scaled, tmp_path / "MANO_RIGHT.pkl")
    write_pickle(scaled.mirrored(), tmp_path / "MANO_LEFT.pkl")
    monkeypatch.setenv("PALMARES_MANO", str(tmp_path))
    hand = load_hand("right")
    assert hand.name == "MANO"
    np.testing.assert_array_equal(hand.data.v_template, scaled.v_template)
    assert load_hand("left").side == "left"


def test_a_missing_folder_or_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PALMARES_MANO", str(tmp_path / "nowhere"))
    with pytest.raises(RequestError, match="nowhere"):
        load_hand()
    monkeypatch.setenv("PALMARES_MANO", str(tmp_path))
    with pytest.raises(RequestError, match=r"MANO_RIGHT\.pkl: no such hand model file"):
        load_hand()
    with pytest.raises(RequestError, match="side"):
        load_hand("both")


def test_the_released_left_hands_shape_directions_are_mended(right):
    left = right.mirrored()
    released = replace(left, shapedirs=right.shapedirs.copy())
    np.testing.assert_array_equal(repair_left(released, right).shapedirs, left.shapedirs)
    assert repair_left(left, right) is left


def test_the_left_hand_is_to_be_had_as_released(right, monkeypatch, tmp_path):
    """manopth, and so DexYCB's labels, never repaired it."""
    left = right.mirrored()
    released = replace(left, shapedirs=left.shapedirs * np.array([-1, 1, 1], np.float32)[:, None])
    write_pickle(right, tmp_path / "MANO_RIGHT.pkl")
    write_pickle(released, tmp_path / "MANO_LEFT.pkl")
    monkeypatch.setenv("PALMARES_MANO", str(tmp_path))
    np.testing.assert_array_equal(load_hand("left", as_released=True).data.shapedirs, released.shapedirs)
    np.testing.assert_array_equal(load_hand("left").data.shapedirs, left.shapedirs)
    np.testing.assert_array_equal(load_hand("right", as_released=True).data.shapedirs, right.shapedirs)


def test_loading_prints_nothing():
    code = "import warnings; warnings.simplefilter('ignore'); from tasks.hands.hand import load_hand; load_hand()"
    environment = {k: v for k, v in os.environ.items() if k != "PALMARES_MANO"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert run.stdout == ""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tasks.errors import RequestError
from tasks.geometry.surface import seal
from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import rotation_axes
from tasks.hands.skeleton import mirror_pose
from tasks.metrics.penetration import distance_to_surface, penetration
from tasks.synthesis import two_hands_posing
from tasks.synthesis.contact_seeking import seek
from tasks.synthesis.two_hands_posing import FRAMES, Motion, Poser

COUNT = 12


@pytest.fixture(scope="module")
def poser() -> Poser:
    return Poser(load_hand("right"), load_hand("left"))


def motions(poser: Poser, kind: str, count: int, held_out: bool = False) -> list[Motion]:
    streams = [np.random.default_rng(i) for i in range(count)]
    return poser.motions(streams, [kind] * count, shapes(count), held_out)


def shapes(count: int) -> np.ndarray:
    return np.random.default_rng(5).normal(0, 0.8, (count, 10))


@pytest.fixture(scope="module")
def interacting(poser: Poser) -> list[Motion]:
    return motions(poser, "interacting", COUNT)


def meshes_m(motion: Motion, betas: np.ndarray) -> np.ndarray:
    """(T, 2, V, 3) on the stage."""
    whole = []
    for k, side in enumerate(("right", "left")):
        pose = torch.tensor(motion.pose_aa[:, k]).float()
        turn = Rotation.from_rotvec(motion.pose_aa[:, k, :3]).as_matrix()
        pose[:, :3] = 0
        with torch.no_grad():
            shape = torch.tensor(betas).float().expand(len(pose), -1)
            own = load_hand(side)(pose, shape, flat_hand_mean=True)[0].double().numpy()
        whole.append(own @ turn.transpose(0, 2, 1) + motion.origin_m[:, k, None])
    return np.stack(whole, axis=1)


def test_interacting_hands_touch_and_hardly_overlap_on_their_meshes(interacting: list[Motion]) -> None:
    data = [load_hand(side).data for side in ("right", "left")]
    depths, gaps = [], []
    for motion, betas in zip(interacting, shapes(COUNT), strict=True):
        for pair in meshes_m(motion, betas)[:: FRAMES - 1]:
            sealed = [seal(verts, d.faces, d.wrist_loop) for verts, d in zip(pair, data, strict=True)]
            found = penetration(*(tuple(map(torch.from_numpy, mesh)) for mesh in sealed))
            depths.append(found.depth_mm)
            gaps.append(distance_to_surface(pair[0], pair[1], data[1].faces).min() * (found.depth_mm == 0))
    assert np.median(depths) < 3
    assert max(depths) < 7
    assert np.mean(np.array(gaps) < 0.0015) > 0.6
    assert max(gaps) < 0.08


@pytest.mark.parametrize("time", [0, FRAMES - 1])
def test_middle_and_end_joints_stay_hinges_within_their_limits(interacting: list[Motion], time: int) -> None:
    pose = np.stack([motion.pose_aa[time, :, 3:] for motion in interacting])
    pose[:, 1] = mirror_pose(pose[:, 1])
    rotations = pose.reshape(-1, 15, 3)
    for joint in (2, 5, 8, 11):  # middle joints of index, middle, pinky and ring
        for number, limit in ((joint, 108), (joint + 1, 80)):
            axis = rotation_axes()[number, 0]
            angle = np.rad2deg(rotations[:, number - 1] @ axis)
            assert angle.min() > -5.1
            assert angle.max() < limit + 0.1
            off_axis = rotations[:, number - 1] - np.outer(np.deg2rad(angle), axis)
            assert np.abs(off_axis).max() < 1e-6


def test_a_sequence_moves_a_little_from_frame_to_frame(interacting: list[Motion]) -> None:
    for motion, betas in zip(interacting, shapes(COUNT), strict=True):
        step = np.linalg.norm(np.diff(meshes_m(motion, betas), axis=0), axis=-1).mean(axis=(1, 2))
        assert (step > 0.0005).all()
        assert (step < 0.05).all()


def test_the_right_forearm_comes_from_the_right_and_neither_from_above(interacting: list[Motion]) -> None:
    along = np.stack([motion.pose_aa[0, :, :3] for motion in interacting])
    elbows = [Rotation.from_rotvec(along[:, k]).apply([(1, 0, 0), (-1, 0, 0)][k]) for k in (0, 1)]
    assert np.mean(elbows[0][:, 0] < elbows[1][:, 0]) > 0.8
    assert np.mean([side[:, 2] < 0.3 for side in elbows]) > 0.8


@pytest.mark.parametrize(("kind", "shows"), [("right", [True, False]), ("left", [False, True])])
def test_a_single_hand_is_about_the_middle_of_the_stage(poser: Poser, kind: str, shows: list[bool]) -> None:
    for motion, betas in zip(motions(poser, kind, 4), shapes(4), strict=True):
        assert motion.shows.tolist() == shows
        middle = meshes_m(motion, betas)[:, shows.index(True)].mean(axis=1)
        assert np.linalg.norm(middle, axis=-1).max() < 0.02


def test_two_hands_are_about_the_middle_of_the_stage(interacting: list[Motion]) -> None:
    for motion, betas in zip(interacting, shapes(COUNT), strict=True):
        assert np.linalg.norm(meshes_m(motion, betas).mean(axis=(1, 2)), axis=-1).max() < 0.02


def test_what_is_rejected_is_drawn_again(poser: Poser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse_first(encounters: list) -> list:
        found = seek(encounters)
        asked.append(len(found))
        return [replace(found[0], sound=False), *found[1:]] if len(asked) == 1 else found

    usual = motions(poser, "interacting", 2)
    monkeypatch.setattr(two_hands_posing, "seek", refuse_first)
    other = motions(poser, "interacting", 2)
    assert asked[:2] == [2, 1]
    assert np.abs(usual[0].pose_aa - other[0].pose_aa).max() > 0.01
    np.testing.assert_allclose(usual[1].pose_aa, other[1].pose_aa, atol=1e-3)


def test_a_model_that_finds_no_pose_is_named(poser: Poser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_hands_posing, "ATTEMPTS", 1)
    monkeypatch.setattr(
        two_hands_posing, "seek", lambda asked: [replace(posed, sound=False) for posed in seek(asked)]
    )
    with pytest.raises(RequestError, match="hand model 'open hand 1' passes through itself in 1 poses"):
        motions(poser, "right", 1)

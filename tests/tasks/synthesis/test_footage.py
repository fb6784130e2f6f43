from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import load_hand
from tasks.hands.skeleton import Side
from tasks.synthesis.footage import (
    FRAME_PX,
    HAND,
    THING,
    Camera,
    Cast,
    Scenery,
    Shot,
    cast,
    film,
    rig,
    scenery,
    tools,
)
from tasks.synthesis.objects import object_faces
from tasks.synthesis.things import THINGS

BOX = THINGS["004_sugar_box"]
SIDES: tuple[Side, ...] = ("right", "left")
BEHIND = scenery(np.random.default_rng(1))


def cameras() -> list[Camera]:
    return rig(np.random.default_rng(0), 4)


def played(side: Side) -> Cast:
    hand, stage = tools("")
    return cast(stage, hand, 0, "test", 5, 1, BOX, 8, cameras(), side == "left")


@pytest.fixture(scope="module")
def shots() -> dict[Side, list[Shot]]:
    """The last instant, from four sides."""
    _, stage = tools("")
    return {side: [film(stage, played(side), 7, camera, BEHIND) for camera in cameras()] for side in SIDES}


def seen(shot: Shot, verts_m: np.ndarray, faces: torch.Tensor) -> np.ndarray:
    """(480, 640) bool: where this mesh, drawn alone, is what stands in front by the shot's depth."""
    intrinsics = torch.from_numpy(shot.camera.intrinsics_px)
    alone = rasterise(torch.from_numpy(verts_m[None]), faces, intrinsics, FRAME_PX)
    return (alone.mask & (alone.depth_m < torch.from_numpy(shot.depth_m) + 1e-3))[0].numpy()


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("side", SIDES)
def test_labels_project_onto_the_rendered_hand(shots: dict[Side, list[Shot]], side: Side) -> None:
    for shot in shots[side]:
        assert overlap(shot.parts == HAND, seen(shot, shot.verts_m, load_hand(side).faces)) > 0.97


@pytest.mark.parametrize("side", SIDES)
def test_the_objects_pose_projects_onto_the_rendered_object(
    shots: dict[Side, list[Shot]], side: Side
) -> None:
    for shot in shots[side]:
        verts_m = BOX.verts_m @ shot.thing_rotation.T + shot.thing_centre_m
        assert np.linalg.det(shot.thing_rotation) == pytest.approx(1)
        assert overlap(shot.parts == THING, seen(shot, verts_m, torch.from_numpy(object_faces()))) > 0.97


@pytest.mark.parametrize("side", SIDES)
def test_the_parameters_give_the_vertices_and_joints(shots: dict[Side, list[Shot]], side: Side) -> None:
    hand = load_hand(side)
    for shot in shots[side]:
        pose, betas = (torch.tensor(each[None], dtype=torch.float32) for each in (shot.pose_aa, shot.betas))
        verts, joints = (part[0].numpy() + shot.trans_m for part in hand(pose, betas, flat_hand_mean=True))
        np.testing.assert_allclose(shot.verts_m, verts, atol=2e-6)
        np.testing.assert_allclose(shot.joints_mano16_m, joints, atol=2e-6)
        np.testing.assert_array_equal(
            shot.joints_m("ho3d")[[0, 8, 20]], [shot.joints_mano16_m[0], *shot.verts_m[[333, 672]]]
        )


@pytest.mark.parametrize("side", SIDES)
def test_all_cameras_see_one_world(shots: dict[Side, list[Shot]], side: Side) -> None:
    worlds = []
    for shot, camera in zip(shots[side], cameras(), strict=True):
        for name in ("intrinsics_px", "rotation", "trans_m"):
            np.testing.assert_allclose(getattr(shot.camera, name), getattr(camera, name), atol=1e-12)
        homogeneous = np.concatenate([shot.verts_m, np.ones((len(shot.verts_m), 1))], axis=1)
        worlds.append((homogeneous @ camera.to_stage.T)[:, :3])
    assert all(np.allclose(worlds[0], world, atol=1e-9) for world in worlds[1:])


def test_cameras_look_at_the_middle_of_the_stage_from_all_sides() -> None:
    places = []
    for camera in cameras():
        x, y = (camera.intrinsics_px @ (camera.points(np.zeros(3)) / camera.points(np.zeros(3))[2]))[:2]
        assert 250 < x < 390
        assert 180 < y < 300
        places.append(camera.to_stage[:3, 3])
    assert places[0][2] < -0.5
    assert np.linalg.norm(np.ptp(places, axis=0)) > 0.3


def test_a_mirror_twice_is_no_mirror(shots: dict[Side, list[Shot]]) -> None:
    shot = shots["left"][1]
    twice = shot.mirrored().mirrored()
    for field in fields(Shot):
        if field.name != "camera":
            np.testing.assert_allclose(getattr(twice, field.name), getattr(shot, field.name), atol=1e-12)


def test_nothing_but_the_window_changes_and_the_wall_stays_behind(shots: dict[Side, list[Shot]]) -> None:
    for shot in [*shots["right"], *shots["left"]]:
        changed = (shot.rgb != BEHIND.rgb).any(axis=2)
        assert 0.01 < changed.mean() < 0.5
        assert (shot.depth_m[~changed] == BEHIND.depth_m[~changed]).mean() > 0.999
        assert (shot.depth_m <= BEHIND.depth_m).all()
        assert shot.rgb.dtype == np.uint8
        assert shot.rgb.shape == (*FRAME_PX, 3)


def test_enough_of_the_hand_shows(shots: dict[Side, list[Shot]]) -> None:
    for side in SIDES:
        shares = []
        for shot in shots[side]:
            front = replace(shot, depth_m=np.full(FRAME_PX, np.inf))
            shares.append((shot.parts == HAND).sum() / seen(front, shot.verts_m, load_hand(side).faces).sum())
        assert np.mean(shares) > 0.4


def test_without_its_hand_the_object_is_alone() -> None:
    _, stage = tools("")
    camera = cameras()[0]
    shot = film(stage, played("right"), 0, camera, BEHIND, with_hand=False)
    assert set(np.unique(shot.parts)) == {0, THING}
    verts_m = BOX.verts_m @ shot.thing_rotation.T + shot.thing_centre_m
    assert overlap(shot.parts == THING, seen(shot, verts_m, torch.from_numpy(object_faces()))) > 0.97
    assert (shot.rgb != BEHIND.rgb).any(axis=2).mean() < 0.1


def test_a_hand_beside_the_frame_leaves_the_background_as_it_is() -> None:
    _, stage = tools("")
    camera = replace(cameras()[0], trans_m=np.array([0.0, 0.0, -3.0]))
    shot = film(stage, played("right"), 0, camera, BEHIND)
    np.testing.assert_array_equal(shot.rgb, BEHIND.rgb)
    assert not shot.parts.any()


def test_the_same_shot_has_the_same_bytes() -> None:
    _, stage = tools("")
    behind = Scenery(BEHIND.rgb.copy(), BEHIND.depth_m.copy())
    first, again = (film(stage, played("left"), 3, cameras()[2], behind) for _ in range(2))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.depth_m, again.depth_m)
    np.testing.assert_array_equal(behind.rgb, BEHIND.rgb)

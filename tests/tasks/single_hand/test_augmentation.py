from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tasks.geometry.cameras import project
from tasks.hands.hand import load_hand
from tasks.single_hand import HandDataset, augment
from tasks.single_hand.augmentation import turned_about_z

NOTHING = {"rotation_deg": 0.0, "scale": 0.0, "translation": 0.0, "colour": 0.0}


def ranges(**changes):
    return SimpleNamespace(**{**NOTHING, **changes})


MOVES = [
    ranges(rotation_deg=180.0),
    ranges(scale=0.3),
    ranges(translation=0.1),
    ranges(rotation_deg=45.0, scale=0.2, translation=0.1),
]


@pytest.fixture(scope="module")
def batch(samples):
    return HandDataset(samples, np.arange(len(samples)), 96).gather(torch.arange(len(samples)))


def moved(batch, changes, seed=0):
    return augment(batch, changes, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("changes", MOVES)
def test_projected_joints_stay_the_joints_in_pixels(batch, changes):
    after = moved(batch, changes)
    torch.testing.assert_close(
        project(after.joints_cam_m, after.intrinsics_px), after.joints_px, atol=2e-4, rtol=0
    )


@pytest.mark.parametrize("changes", MOVES)
def test_intrinsics_stay_a_cameras(batch, changes):
    after = moved(batch, changes).intrinsics_px
    assert (after[:, 1, 0] == 0).all()
    assert (after[:, 2] == torch.tensor([0.0, 0.0, 1.0])).all()
    assert (after[:, 0, 0] > 0).all()
    assert (after[:, 1, 1] > 0).all()
    assert (after[:, 0, 1].abs() < 0.01 * after[:, 0, 0]).all()


@pytest.mark.parametrize("changes", MOVES)
def test_the_image_moves_with_its_joints(batch, changes):
    """A bright square centred on each image's wrist pixel is found where the wrist has gone."""
    rows = torch.arange(96) + 0.5
    offset = torch.stack(torch.meshgrid(rows, rows, indexing="xy"), -1) - batch.joints_px[:, 9, None, None]
    marked = replace(batch, image=(offset.norm(dim=-1) < 5).float()[:, None].expand(-1, 3, -1, -1))
    after = moved(marked, changes)
    weight = after.image[:, 0]
    inside = ((after.joints_px[:, 9] > 10) & (after.joints_px[:, 9] < 86)).all(dim=1)
    x = (weight * rows).sum((1, 2)) / weight.sum((1, 2))
    y = (weight * rows[:, None]).sum((1, 2)) / weight.sum((1, 2))
    assert inside.sum() > 5
    torch.testing.assert_close(torch.stack([x, y], 1)[inside], after.joints_px[inside, 9], atol=0.35, rtol=0)


@pytest.mark.parametrize("changes", MOVES)
def test_the_scene_turns_rigidly_about_the_optical_axis(batch, changes):
    after = moved(batch, changes)
    torch.testing.assert_close(after.verts_cam_m[..., 2], batch.verts_cam_m[..., 2])
    before_m, after_m = (torch.cdist(b.joints_cam_m, b.joints_cam_m) for b in (batch, after))
    torch.testing.assert_close(after_m, before_m, atol=1e-5, rtol=0)


def test_pose_parameters_follow_the_turned_mesh(batch):
    after = moved(batch, ranges(rotation_deg=120.0))
    posed = load_hand("right")(after.pose_aa, after.betas)[0]
    relative = after.verts_cam_m - after.verts_cam_m[:, :1]
    torch.testing.assert_close(posed - posed[:, :1], relative, atol=2e-6, rtol=0)
    assert torch.equal(after.pose_aa[:, 3:], batch.pose_aa[:, 3:])


def test_turning_axis_angles_agrees_with_scipy():
    rng = np.random.default_rng(0)
    rotation = np.concatenate([rng.normal(0, 2, (200, 3)), np.zeros((1, 3)), [[0, 0, 3.0]], [[0, 0, 1e-9]]])
    angle = np.concatenate([rng.uniform(-np.pi, np.pi, 200), [0.0, 1.0, 0.0]])
    ours = turned_about_z(torch.from_numpy(rotation), torch.from_numpy(angle)).numpy()
    turn = Rotation.from_rotvec(angle[:, None] * np.array([0.0, 0.0, 1.0]))
    expected = turn * Rotation.from_rotvec(rotation)
    assert (Rotation.from_rotvec(ours) * expected.inv()).magnitude().max() < 1e-7
    assert np.linalg.norm(ours, axis=1).max() < np.pi + 1e-9


def test_colour_changes_the_image_only(batch):
    after = moved(batch, ranges(colour=0.3))
    assert not torch.equal(after.image, batch.image)
    assert after.image.min() >= 0
    assert after.image.max() <= 1
    unchanged = replace(after, image=batch.image)
    assert all(torch.equal(getattr(unchanged, name), value) for name, value in vars(batch).items())


def test_nothing_asked_nothing_changed(batch):
    assert moved(batch, ranges()) is batch


def test_the_same_generator_state_gives_the_same_batch(batch):
    changes = ranges(rotation_deg=30.0, scale=0.2, translation=0.1, colour=0.2)
    first, second, other = moved(batch, changes), moved(batch, changes), moved(batch, changes, seed=1)
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.verts_cam_m, second.verts_cam_m)
    assert not torch.equal(first.image, other.image)


@pytest.mark.parametrize("changes", MOVES)
def test_the_mask_moves_with_the_hand(batch, changes):
    after = moved(batch, changes)
    size = after.hand_mask.shape[-1]
    inside = ((after.joints_px >= 0) & (after.joints_px < size)).all(-1)
    columns, rows = after.joints_px.long().clamp(0, size - 1).unbind(-1)
    on_hand = after.hand_mask[torch.arange(len(after))[:, None], rows, columns]
    assert on_hand[inside].float().mean() > 0.95


def test_everything_happens_on_the_batchs_device(batch):
    changes = ranges(rotation_deg=30.0, scale=0.2, translation=0.1, colour=0.2)
    after = moved(batch.to("meta"), changes)
    assert {value.device.type for value in vars(after).values()} == {"meta"}

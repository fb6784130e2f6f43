import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.baselines.digit.space import CELLS, crop_width_m, depth_of_width_m, from_cells, to_cells
from tasks.geometry.cameras import unproject

SIDE = 96
SEEDS = st.integers(0, 2**31)


def scene(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints (3, 2, 21, 3) before cameras (3, 3, 3) with unequal focal lengths and a little skew."""
    noise = torch.Generator().manual_seed(seed)
    joints = 0.1 * torch.randn(3, 2, 21, 3, generator=noise, dtype=torch.float64)
    joints[..., 2] = 0.5 + joints[..., 2].abs()
    cameras = torch.eye(3, dtype=torch.float64).repeat(3, 1, 1)
    cameras[:, :2, :2] = torch.tensor([[210.0, 3.0], [0.0, 190.0]], dtype=torch.float64)
    cameras[:, :2, 2] = 40 + 10 * torch.rand(3, 2, generator=noise, dtype=torch.float64)
    return joints, cameras


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_joints_come_back_from_cells_and_the_wrists_depths(seed: int) -> None:
    joints, cameras = scene(seed)
    cells = to_cells(joints, cameras, SIDE)
    torch.testing.assert_close(from_cells(cells, joints[:, :, 0, 2], cameras, SIDE), joints)


def test_cells_are_shares_of_the_crop_and_of_400_mm() -> None:
    camera = torch.tensor([[[100.0, 0, 48], [0, 100, 48], [0, 0, 1]]])
    joints = torch.tensor([[0.0, 0, 1], [0.48, -0.24, 1.2]]).repeat_interleave(torch.tensor([1, 20]), 0)
    cells = to_cells(joints.expand(1, 2, 21, 3), camera, SIDE)
    torch.testing.assert_close(cells[0, 1, 0], torch.tensor([CELLS / 2, CELLS / 2, 0.0]))
    torch.testing.assert_close(cells[0, 1, 1], torch.tensor([(48 + 40) / 96 * 64, (48 - 20) / 96 * 64, 32.0]))


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_a_crop_is_as_wide_as_its_borders_lie_apart(seed: int) -> None:
    joints, cameras = scene(seed)
    cameras[:, 1, 1], cameras[:, 0, 1] = cameras[:, 0, 0], 0.0
    depth_m = joints[:, :, 0, 2]
    borders_px = torch.tensor([[0.0, 50.0], [SIDE, 50.0]], dtype=torch.float64).expand(3, 2, 2, 2)
    borders_m = unproject(borders_px, depth_m[..., None].expand(-1, -1, 2), cameras[:, None])
    width_m = crop_width_m(depth_m, cameras, SIDE)
    torch.testing.assert_close(width_m, (borders_m[..., 1, :] - borders_m[..., 0, :]).norm(dim=-1))
    torch.testing.assert_close(depth_of_width_m(width_m, cameras, SIDE), depth_m)


def test_zooming_the_camera_leaves_the_width_of_the_same_crop_alone() -> None:
    joints, cameras = scene(0)
    zoom = torch.tensor([2.0, 2.0, 1.0], dtype=torch.float64)[:, None]
    width_m = crop_width_m(joints[:, :, 0, 2], cameras, SIDE)
    torch.testing.assert_close(crop_width_m(2 * joints[:, :, 0, 2], zoom * cameras, SIDE), width_m)

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from methods.layers.joint_limits import LIMITS_DEG, joint_limit_excess

MIDDLE = [[(low + high) / 2 for low, high in limits] for limits in LIMITS_DEG]


def pose(angles_deg: list[list[float]]) -> torch.Tensor:
    vectors = Rotation.from_euler("xyz", np.deg2rad(angles_deg)).as_rotvec()
    return torch.tensor(vectors.reshape(1, 45), dtype=torch.float32)


def test_a_pose_inside_the_limits_costs_nothing() -> None:
    assert joint_limit_excess(pose(MIDDLE)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("axis", "weight"), [(0, 1.0), (1, 1.0), (2, 2.0)])
def test_excess_is_linear_and_bend_counts_twice(axis: int, weight: float) -> None:
    angles = [list(row) for row in MIDDLE]
    angles[4][axis] = LIMITS_DEG[4][axis][1] + 10
    expected = weight * math.radians(10) / 15
    assert joint_limit_excess(pose(angles)).item() == pytest.approx(expected, rel=1e-3)


def test_the_gradient_leads_back() -> None:
    angles = [list(row) for row in MIDDLE]
    angles[1][2] = 130
    start = pose(angles).requires_grad_()
    joint_limit_excess(start).backward()
    assert start.grad is not None
    assert joint_limit_excess(start - 0.1 * start.grad).item() < joint_limit_excess(start).item()

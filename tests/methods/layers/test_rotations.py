import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from methods.layers.rotations import axis_angle_to_matrix, matrix_to_angles, six_d_to_matrix


@given(seed=st.integers(0, 1000), size=st.sampled_from([1e-9, 1e-5, 0.1, 1.0, 3.0]))
@settings(max_examples=40, deadline=None)
def test_axis_angle_agrees_with_scipy(seed: int, size: float) -> None:
    vectors = size * np.random.default_rng(seed).normal(size=(5, 3))
    result = axis_angle_to_matrix(torch.from_numpy(vectors))
    np.testing.assert_allclose(result.numpy(), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-9)


def test_axis_angle_has_a_finite_gradient_at_zero() -> None:
    vector = torch.zeros(2, 3, requires_grad=True)
    axis_angle_to_matrix(vector)[:, 1, 0].sum().backward()
    assert vector.grad is not None
    torch.testing.assert_close(vector.grad, torch.tensor([[0.0, 0, 1]]).repeat(2, 1))


def test_six_numbers_give_a_rotation() -> None:
    matrix = six_d_to_matrix(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(50))


def test_angles_agree_with_scipy() -> None:
    angles = np.random.default_rng(0).uniform(-1.4, 1.4, (50, 3))
    matrix = Rotation.from_euler("xyz", angles).as_matrix()  # extrinsic: R = Rz Ry Rx
    np.testing.assert_allclose(matrix_to_angles(torch.from_numpy(matrix)).numpy(), angles, atol=1e-9)

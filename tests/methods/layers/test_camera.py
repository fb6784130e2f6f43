import pytest
import torch

from methods.layers.camera import (
    decode_camera,
    normalised_intrinsics,
    project_pinhole,
    project_weak_perspective,
    released_log_var,
    to_normalised,
)
from methods.layers.gaussian import Gaussian
from tasks.geometry.cameras import project, weak_to_translation
from tasks.single_hand.batch import HandBatch

SIZE = 64


def normal_cloud(mean: torch.Tensor, std: float, n: int = 200_000) -> torch.Tensor:
    noise = torch.Generator().manual_seed(0)
    return mean + std * torch.randn(n, *mean.shape, generator=noise, dtype=mean.dtype)


def test_pinhole_means_are_the_tasks_projection_in_normalised_units(batch: HandBatch) -> None:
    focal, centre = normalised_intrinsics(batch.intrinsics_px, SIZE)
    mean = project_pinhole(Gaussian(batch.joints_cam_m), focal, centre).mean
    expected = to_normalised(project(batch.joints_cam_m, batch.intrinsics_px), SIZE)
    torch.testing.assert_close(mean, expected, atol=1e-5, rtol=1e-5)


def test_delta_method_variance_agrees_with_monte_carlo() -> None:
    point = torch.tensor([[0.1, -0.05, 0.6]], dtype=torch.float64)
    std = 0.004
    focal, centre = torch.tensor([[4.2, 4.0]]).double(), torch.tensor([[0.1, 0.0]]).double()
    log_var = torch.full((1, 1, 3), std**2, dtype=torch.float64).log()
    predicted = project_pinhole(Gaussian(point[None], log_var), focal, centre)
    cloud = normal_cloud(point[0], std)
    spread = (focal[0] * cloud[:, :2] / cloud[:, 2:] + centre[0]).var(0)
    assert predicted.log_var is not None
    torch.testing.assert_close(predicted.log_var.exp()[0, 0], spread, rtol=0.02, atol=0)


def test_weak_perspective_variance_agrees_with_monte_carlo() -> None:
    camera = torch.tensor([[6.0, 0.02, -0.01]], dtype=torch.float64)
    point = torch.tensor([[0.1, -0.05, 0.02]], dtype=torch.float64)
    log_var = torch.full((1, 1, 3), 0.004**2, dtype=torch.float64).log()
    predicted = project_weak_perspective(Gaussian(point[None], log_var), camera)
    spread = (6.0 * (normal_cloud(point[0], 0.004)[:, :2] + camera[0, 1:])).var(0)
    assert predicted.log_var is not None
    torch.testing.assert_close(predicted.log_var.exp()[0, 0], spread, rtol=0.02, atol=0)


def test_a_projected_variance_teaches_the_variance_in_space_and_never_the_camera() -> None:
    camera = torch.tensor([[6.0, 0.02, -0.01]], requires_grad=True)
    points = torch.tensor([[[0.1, -0.05, 0.6]]], requires_grad=True)
    focal = torch.tensor([[4.0, 4.0]], requires_grad=True)
    for project_one in (
        lambda g: project_weak_perspective(g, camera),
        lambda g: project_pinhole(g, focal, torch.zeros(1, 2)),
    ):
        log_var = torch.full((1, 1, 3), -9.0, requires_grad=True)
        projected = project_one(Gaussian(points, log_var)).log_var
        assert projected is not None
        projected.sum().backward()
        assert log_var.grad is not None
        assert log_var.grad.sum().item() == pytest.approx(2)
    assert camera.grad is None
    assert points.grad is None
    assert focal.grad is None


def test_the_wrist_of_a_weak_camera_projects_where_the_camera_says(batch: HandBatch) -> None:
    weak = decode_camera(torch.randn(len(batch), 3, generator=torch.Generator().manual_seed(0)) * 0.2)
    wrist = weak_to_translation(weak, batch.intrinsics_px, SIZE)[:, None]
    focal, centre = normalised_intrinsics(batch.intrinsics_px, SIZE)
    by_pinhole = project_pinhole(Gaussian(wrist), focal, centre).mean
    by_camera = project_weak_perspective(Gaussian(torch.zeros_like(wrist)), weak).mean
    torch.testing.assert_close(by_pinhole, by_camera, atol=1e-5, rtol=1e-5)


def test_a_camera_never_turns_inside_out() -> None:
    raw = torch.tensor([[-1.0, 0, 0], [-50.0, 0, 0], [0.0, 1.0, -1.0]])
    camera = decode_camera(raw)
    assert (camera[:, 0] > 0).all()
    assert camera[2].tolist() == pytest.approx([6.0, 0.1, -0.1])


def test_the_released_log_variance_is_the_pixels_divided_by_the_side() -> None:
    log_var = torch.tensor([[[-6.0, -4.0]]])
    in_pixels = (log_var.exp() * (SIZE / 2) ** 2).log()
    result = released_log_var(Gaussian(torch.zeros(1, 1, 2), log_var), SIZE)
    torch.testing.assert_close(result.log_var, in_pixels / SIZE)

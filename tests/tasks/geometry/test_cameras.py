"""Cameras: projection and its inverse, what crops, resizes and axis flips do, weak perspective."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.geometry.cameras import (
    crop_intrinsics,
    flip_opengl_opencv,
    project,
    project_weak,
    scale_intrinsics,
    translation_to_weak,
    unproject,
    weak_to_translation,
)

K = torch.tensor([[480.0, 2.0, 110.0], [0.0, 470.0, 115.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
POINTS = torch.rand(4, 21, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + torch.tensor(
    [-0.5, -0.5, 0.3]
)


def test_projection_is_the_intrinsics_times_the_point_over_its_last_coordinate():
    homogeneous = POINTS @ K.T
    torch.testing.assert_close(project(POINTS, K), homogeneous[..., :2] / homogeneous[..., 2:])


def test_each_image_may_have_its_own_intrinsics():
    many = K + torch.arange(4, dtype=torch.float64)[:, None, None]
    many[:, 2] = K[2]
    many[:, 1, 0] = 0
    expected = torch.stack([project(p, k) for p, k in zip(POINTS, many, strict=True)])
    torch.testing.assert_close(project(POINTS, many), expected)


def test_unprojecting_returns_the_points():
    torch.testing.assert_close(unproject(project(POINTS, K), POINTS[..., 2], K), POINTS)


@given(left=st.floats(-50, 50), top=st.floats(-50, 50))
def test_cropping_moves_pixels_by_the_corner(left, top):
    moved = project(POINTS, crop_intrinsics(K, left, top))
    torch.testing.assert_close(moved, project(POINTS, K) - torch.tensor([left, top], dtype=torch.float64))


@given(x=st.floats(0.1, 4), y=st.floats(0.1, 4))
def test_resizing_multiplies_pixel_coordinates(x, y):
    scaled = project(POINTS, scale_intrinsics(K, x, y))
    torch.testing.assert_close(scaled, project(POINTS, K) * torch.tensor([x, y], dtype=torch.float64))


def test_crops_and_scales_may_differ_by_image():
    k, values = K.expand(4, 3, 3), torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    for i, value in enumerate(values.tolist()):
        torch.testing.assert_close(crop_intrinsics(k, values, -values)[i], crop_intrinsics(K, value, -value))
        torch.testing.assert_close(scale_intrinsics(k, values, values)[i], scale_intrinsics(K, value, value))


def test_the_axis_flip_is_a_rotation_and_its_own_inverse():
    flipped = flip_opengl_opencv(POINTS)
    torch.testing.assert_close(flipped[..., 1:], -POINTS[..., 1:])
    torch.testing.assert_close(flip_opengl_opencv(flipped), POINTS)
    assert torch.linalg.det(flip_opengl_opencv(torch.eye(3))) == 1


def test_the_centre_of_a_weak_camera_is_the_middle_of_the_image_and_one_its_edge():
    points = torch.tensor([[[0.0, 0.0, 0.0], [0.1, -0.1, 0.3]]])
    pixels = project_weak(points, torch.tensor([[10.0, 0.0, 0.0]]), 224)
    torch.testing.assert_close(pixels, torch.tensor([[[112.0, 112.0], [224.0, 0.0]]]))


def test_weak_and_full_perspective_agree_at_the_depth_of_the_root():
    k = K.clone()
    k[0, 1], k[1, 1] = 0, k[0, 0]
    weak = torch.tensor([[8.0, 0.02, -0.03], [12.0, -0.1, 0.05]], dtype=torch.float64)
    points = torch.rand(2, 21, 3, dtype=torch.float64) / 10
    flat = points * torch.tensor([1.0, 1.0, 0.0])
    translation = weak_to_translation(weak, k, 224)
    torch.testing.assert_close(project(flat + translation[:, None], k), project_weak(flat, weak, 224))
    error = project(points + translation[:, None], k) - project_weak(points, weak, 224)
    assert 0.1 < error.abs().max() < 60, "depth matters, to first order"


def test_weak_cameras_and_translations_are_inverse():
    weak = torch.rand(5, 3, dtype=torch.float64) + torch.tensor([3.0, -0.5, -0.5])
    torch.testing.assert_close(translation_to_weak(weak_to_translation(weak, K, 224), K, 224), weak)
    centred = torch.tensor([[500.0, 0, 112], [0, 500, 112], [0, 0, 1]])
    amvur = weak_to_translation(torch.tensor([5.0, 0.1, 0.2]), centred, 224)
    torch.testing.assert_close(amvur, torch.tensor([0.1, 0.2, 2 * 500 / (224 * 5)]))

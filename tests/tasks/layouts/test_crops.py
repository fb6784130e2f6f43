import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.layouts.crops import (
    CROP_SIZE_PX,
    crop_image,
    crop_mask,
    intrinsics_of_crops,
    joint_boxes,
    square_crops,
)

coordinates = st.floats(-150, 500, allow_nan=False)


def area_average(
    image: np.ndarray, left: float, top: float, side: float, row: int, column: int
) -> np.ndarray:
    """One pixel of a shrunk crop: every old pixel weighs as much as the new one covers of it; outside is black."""
    step = side / CROP_SIZE_PX
    x0, y0 = left + column * step, top + row * step
    total = np.zeros(image.shape[2])
    for y in range(max(0, int(y0)), min(image.shape[0], int(y0 + step) + 1)):
        for x in range(max(0, int(x0)), min(image.shape[1], int(x0 + step) + 1)):
            width = min(x + 1, x0 + step) - max(x, x0)
            height = min(y + 1, y0 + step) - max(y, y0)
            if width > 0 and height > 0:
                total += width * height * image[y, x]
    return total / step**2


@given(
    left=st.floats(-40, 30),
    top=st.floats(-40, 30),
    side=st.floats(CROP_SIZE_PX, 400),
    seed=st.integers(0, 99),
)
def test_shrinking_averages_over_the_area_of_each_pixel(
    left: float, top: float, side: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    crop = crop_image(image, np.array([left, top, side]))
    for row, column in ((0, 0), *rng.integers(0, 60, (4, 2))):
        expected = area_average(image, left, top, side, int(row), int(column))
        np.testing.assert_allclose(crop[row, column], expected, atol=0.5 + 1e-6)


def test_a_crop_of_its_own_size_is_a_copy_and_outside_is_black() -> None:
    image = np.random.default_rng(0).integers(1, 256, (480, 640, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_image(image, np.array([40.0, 30, 224])), image[30:254, 40:264])
    beyond = crop_image(image, np.array([-100.0, 400, 224]))
    assert not beyond[:, :100].any()
    assert not beyond[80:].any()
    np.testing.assert_array_equal(beyond[:80, 100:], image[400:, :124])
    assert not crop_image(image, np.array([700.0, 0, 50])).any()


def test_growing_is_linear_between_pixel_centres() -> None:
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    crop = crop_image(ramp, np.array([20.0, 20, 28]))
    centres = 20 + (np.arange(224) + 0.5) / 8
    np.testing.assert_allclose(crop[100, :, 0], centres - 0.5, atol=0.51)


@given(x=st.floats(60, 580), y=st.floats(60, 420), size=st.floats(20, 400), fx=st.floats(300, 900))
def test_the_cameras_of_crops_project_to_where_the_crops_show_a_point(
    x: float, y: float, size: float, fx: float
) -> None:
    k = np.array([[[fx, 0, 310.0], [0, fx * 1.01, 236.0], [0, 0, 1]]])
    crop = square_crops(np.array([[x - size / 2, y - size / 3, x + size / 2, y + size / 3]]))
    point = np.array([(x + 3 - 310) / fx * 0.7, (y - 2 - 236) / (fx * 1.01) * 0.7, 0.7])
    projected = intrinsics_of_crops(k, crop)[0] @ point
    left, top, side = crop[0]
    expected = (np.array([x + 3, y - 2]) - [left, top]) * 224 / side
    np.testing.assert_allclose(projected[:2] / projected[2], expected, atol=1e-6)


@pytest.mark.parametrize("side", [150.0, 224.0, 333.3])
def test_a_bright_spot_stays_where_the_camera_says(side: float) -> None:
    """The centre of gravity of a disc, to a tenth of a pixel: no half-pixel shift in either direction."""
    y, x = np.mgrid[:480, :640] + 0.5
    disc = ((x - 320.25) ** 2 + (y - 200.75) ** 2 < 30**2)[..., None].repeat(3, axis=2)
    left, top = 320.25 - 0.4 * side, 200.75 - 0.6 * side
    crop = crop_image(np.where(disc, np.uint8(255), np.uint8(0)), np.array([left, top, side]))[..., 0].astype(
        float
    )
    v, u = np.mgrid[:224, :224] + 0.5
    centre = [(crop * u).sum() / crop.sum(), (crop * v).sum() / crop.sum()]
    np.testing.assert_allclose(centre, [0.4 * 224, 0.6 * 224], atol=0.1)


def test_masks_keep_pixels_that_are_covered_by_more_than_half() -> None:
    mask = np.zeros((480, 640), bool)
    mask[:, :101] = True
    assert crop_mask(mask, np.array([0.0, 0, 448]))[0].tolist() == [True] * 50 + [False] * 174
    mask[:, 101] = True
    assert crop_mask(mask, np.array([0.0, 0, 448]))[0].sum() == 51


@given(st.lists(st.tuples(coordinates, coordinates), min_size=21, max_size=21))
def test_crops_hold_their_box_in_the_middle_with_a_margin(points: list[tuple[float, float]]) -> None:
    joints = np.array([points])
    box = joint_boxes(joints)[0]
    left, top, side = square_crops(box[None])[0]
    assert side == pytest.approx(1.5 * np.ptp(joints[0], axis=0).max())
    np.testing.assert_allclose([left + side / 2, top + side / 2], (box[:2] + box[2:]) / 2, atol=1e-9)

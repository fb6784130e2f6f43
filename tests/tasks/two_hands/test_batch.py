"""Batches of two-hand frames: what a method is given, cropped as IntagHand's preparation does."""

import numpy as np
import pytest
import torch

from tasks.errors import RequestError
from tasks.geometry.cameras import project
from tasks.two_hands import TwoHandDataset
from tasks.two_hands.crops import SPAN

ALL = torch.arange(8)
SIZE_PX = 64


@pytest.fixture(scope="module")
def batch(dataset):
    return dataset.gather(ALL)


def test_a_batch_has_the_types_and_shapes_of_the_contract(batch):
    shapes = {name: (tuple(v.shape), v.dtype) for name, v in vars(batch).items() if torch.is_tensor(v)}
    assert shapes == {
        "image": ((8, 3, SIZE_PX, SIZE_PX), torch.float32),
        "intrinsics_px": ((8, 3, 3), torch.float32),
        "joints_cam_m": ((8, 2, 21, 3), torch.float32),
        "joint_valid": ((8, 2, 21), torch.bool),
        "has_hand": ((8, 2), torch.bool),
        "verts_cam_m": ((8, 2, 778, 3), torch.float32),
        "has_fit": ((8, 2), torch.bool),
        "keypoints_cam_m": ((8, 2, 21, 3), torch.float32),
        "has_keypoints": ((8, 2), torch.bool),
        "true_keypoints_cam_m": ((8, 2, 21, 3), torch.float32),
        "index": ((8,), torch.int64),
    }
    assert batch.queries is None
    assert batch.derived == {}
    assert all(v.isfinite().all() for v in vars(batch).values() if torch.is_tensor(v))


def test_the_hands_span_four_fifths_of_the_crop(batch):
    pixels = project(batch.verts_cam_m, batch.intrinsics_px[:, None])
    for frame in torch.nonzero(batch.has_fit.all(dim=1)).flatten().tolist():
        low, high = pixels[frame].flatten(0, 1).amin(0), pixels[frame].flatten(0, 1).amax(0)
        assert float((high - low).max()) == pytest.approx(SPAN * SIZE_PX, abs=1e-3)
        np.testing.assert_allclose((low + high) / 2, SIZE_PX / 2, atol=1e-3)


def test_a_frame_without_a_fit_is_cropped_around_its_annotated_box(dataset, pairs, batch):
    lacking = 6
    x, _, width, height = pairs.box_px[lacking]
    side = max(width, height) / SPAN
    scale = SIZE_PX / side
    focal = pairs.intrinsics_px[lacking, 0, 0]
    left = x + width / 2 - side / 2
    np.testing.assert_allclose(batch.intrinsics_px[lacking, 0, 0], focal * scale, rtol=1e-6)
    expected = (pairs.intrinsics_px[lacking, 0, 2] - left) * scale
    np.testing.assert_allclose(batch.intrinsics_px[lacking, 0, 2], expected, rtol=1e-6)


def test_the_crop_shows_the_image_where_the_camera_says(dataset, pairs, batch):
    """Each crop pixel's centre, through both cameras, is a pixel of the image (here enlarged, hence linear)."""
    frame = 0
    whole = pairs.image(frame).astype(float) / 255
    k, crop_k = pairs.intrinsics_px[frame], batch.intrinsics_px[frame].double().numpy()
    u, v = 20, 33
    ray = np.linalg.inv(crop_k) @ [u + 0.5, v + 0.5, 1]
    x, y, _ = k @ ray
    x0, y0 = int(x - 0.5), int(y - 0.5)
    wx, wy = x - 0.5 - x0, y - 0.5 - y0
    corners = whole[y0 : y0 + 2, x0 : x0 + 2]
    expected = np.einsum("yxc,y,x->c", corners, [1 - wy, wy], [1 - wx, wx])
    assert crop_k[0, 0] >= k[0, 0], "the crop is enlarged"
    np.testing.assert_allclose(batch.image[frame, :, v, u], expected, atol=1.5 / 255)


def test_keypoints_are_the_fits_joints_and_the_annotation_where_there_is_no_fit(pairs, batch):
    np.testing.assert_array_equal(batch.has_keypoints, batch.has_hand)
    np.testing.assert_allclose(batch.keypoints_cam_m[6, 1], pairs.joints_m[6, 1], atol=1e-6)
    apart = (batch.keypoints_cam_m[0] - batch.joints_cam_m[0]).norm(dim=-1)
    assert 0.001 < float(apart.mean()) < 0.01, "annotated joints are a few millimetres off their fits"


def test_other_keypoints_take_their_place(dataset):
    given = np.full((8, 2, 21, 3), 0.25, np.float32)
    given[3, 1] = np.nan
    batch = dataset.with_keypoints(given).gather(torch.tensor([3, 5]))
    assert batch.has_keypoints.tolist() == [[True, False], [True, True]]
    assert (batch.keypoints_cam_m[0, 0] == 0.25).all()
    assert (batch.keypoints_cam_m[0, 1] == 0).all()
    true = dataset.gather(torch.tensor([3, 5])).keypoints_cam_m
    assert torch.equal(batch.true_keypoints_cam_m, true)
    with pytest.raises(RequestError, match="shape"):
        dataset.with_keypoints(given[:5])


def test_a_part_has_its_own_positions_keypoints_and_derived_values(dataset):
    given = np.arange(8, dtype=np.float32)[:, None, None, None] * np.ones((8, 2, 21, 3), np.float32)
    derived = {"anchors": np.arange(16, dtype=np.float16).reshape(8, 2)}
    part = dataset.with_keypoints(given).with_derived(derived).part(np.array([6, 1]))
    batch = part.gather(torch.tensor([1, 0]))
    assert batch.keypoints_cam_m[:, 0, 0, 0].tolist() == [1, 6]
    assert batch.derived["anchors"].tolist() == [[2, 3], [12, 13]]
    assert part.ids == [dataset.ids[6], dataset.ids[1]]
    assert dataset.gather(ALL[:1]).derived == {}


def test_hands_without_extent_are_refused_by_their_frame(make_pairs):
    pairs = make_pairs(("interacting",) * 2, awkward=False)
    pairs.verts_m[1] = pairs.verts_m[1, :, :1]
    pairs.verts_m[1, 1] = pairs.verts_m[1, 0]
    with pytest.raises(RequestError, match="0/ROM00/cam400001/00001' has no usable crop"):
        TwoHandDataset(pairs, [0, 1], SIZE_PX).gather(torch.arange(2))

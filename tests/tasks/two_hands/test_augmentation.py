"""Augmented batches: labels still lie on the hands, and a mirror makes each hand the other one."""

from dataclasses import dataclass, replace

import pytest
import torch

from tasks.geometry.cameras import project
from tasks.two_hands.augmentation import FLAGS, POINTS, augment, mirrored
from tasks.two_hands.batch import Queries


@dataclass(frozen=True)
class Ranges:
    rotation_deg: float = 0.0
    scale: float = 0.0
    translation: float = 0.0
    colour: float = 0.0
    flip: float = 0.0


@pytest.fixture(scope="module")
def batch(dataset):
    plain = dataset.gather(torch.tensor([0, 2, 4]))
    points = torch.rand(3, 2, 5, 3, generator=torch.Generator().manual_seed(0))
    derived = {"anchors": torch.rand(3, 2, 4)}
    return replace(plain, queries=Queries(points, points[..., 0] > 0.5), derived=derived)


def pixels(batch, name="verts_cam_m"):
    return project(getattr(batch, name), batch.intrinsics_px[:, None])


def noise():
    return torch.Generator().manual_seed(3)


def test_without_ranges_nothing_changes(batch):
    same = augment(batch, Ranges(), noise())
    assert torch.equal(same.image, batch.image)
    assert torch.equal(same.verts_cam_m, batch.verts_cam_m)


def test_moved_points_land_where_the_image_moved(batch):
    """The move is a similarity of pixels: lengths in pixels scale by one factor, and so does the image's content."""
    moved = augment(batch, Ranges(rotation_deg=90, scale=0.2, translation=0.1), noise())
    before, after = pixels(batch).flatten(1, 2), pixels(moved).flatten(1, 2)
    ratio = (after[:, 1:] - after[:, :1]).norm(dim=-1) / (before[:, 1:] - before[:, :1]).norm(dim=-1)
    spread = ratio.amax(dim=1) - ratio.amin(dim=1)
    assert (spread < 1e-2).all()
    assert not torch.allclose(before, after, atol=1.0)
    distance = (moved.verts_cam_m[:, 0] - moved.verts_cam_m[:, 1]).norm(dim=-1)
    expected = (batch.verts_cam_m[:, 0] - batch.verts_cam_m[:, 1]).norm(dim=-1)
    torch.testing.assert_close(distance, expected, atol=1e-5, rtol=1e-4)


def test_a_mirror_makes_each_hand_the_other_one(batch):
    other = mirrored(batch, torch.tensor([True, False, True]))
    side = batch.image.shape[-1]
    for sample in (0, 2):
        assert torch.equal(other.image[sample], batch.image[sample].flip(2))
        expected = pixels(batch)[sample].flip(0)
        expected[..., 0] = side - expected[..., 0]
        torch.testing.assert_close(pixels(other)[sample], expected, atol=1e-3, rtol=1e-5)
        for name in FLAGS:
            assert torch.equal(getattr(other, name)[sample], getattr(batch, name)[sample].flip(0))
        assert torch.equal(other.queries.points[sample], batch.queries.points[sample].flip(0))
        assert torch.equal(other.queries.occupied[sample], batch.queries.occupied[sample].flip(0))
        assert torch.equal(other.derived["anchors"][sample], batch.derived["anchors"][sample].flip(0))
    for name in POINTS:
        assert torch.equal(getattr(other, name)[1], getattr(batch, name)[1])
    assert torch.equal(other.image[1], batch.image[1])


def test_a_mirror_twice_is_none(batch):
    every = torch.ones(3, dtype=torch.bool)
    twice = mirrored(mirrored(batch, every), every)
    for name in (*POINTS, *FLAGS, "image"):
        torch.testing.assert_close(getattr(twice, name), getattr(batch, name))
    torch.testing.assert_close(twice.intrinsics_px, batch.intrinsics_px)


def test_a_mirrored_left_hand_has_a_right_hands_canonical_frame(batch):
    """The queries need not move: a hand's canonical frame is that of its mirror image under the other name."""
    from tasks.two_hands.canonical import canonical_frame

    other = mirrored(batch, torch.ones(3, dtype=torch.bool))
    left, right = batch.keypoints_cam_m[0, 1], other.keypoints_cam_m[0, 0]
    ours = canonical_frame(right, "right")(right, right[0])
    theirs = canonical_frame(left, "left")(left, left[0])
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_draws_depend_on_the_generator_alone(batch):
    ranges = Ranges(30, 0.1, 0.05, 0.2, 0.5)
    first, again = augment(batch, ranges, noise()), augment(batch, ranges, noise())
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.keypoints_cam_m, again.keypoints_cam_m)

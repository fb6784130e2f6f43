import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import RequestError
from tasks.geometry.cameras import project
from tasks.single_hand.dataset import HandDataset, resize_image, resize_mask, split_validation


def test_a_batch_has_the_types_and_shapes_of_the_contract(samples):
    batch = HandDataset(samples, np.arange(len(samples)), 64).gather(torch.tensor([3, 0, 7]))
    shapes = {name: (tuple(value.shape), value.dtype) for name, value in vars(batch).items()}
    assert shapes == {
        "image": ((3, 3, 64, 64), torch.float32),
        "intrinsics_px": ((3, 3, 3), torch.float32),
        "joints_cam_m": ((3, 21, 3), torch.float32),
        "verts_cam_m": ((3, 778, 3), torch.float32),
        "joints_px": ((3, 21, 2), torch.float32),
        "hand_mask": ((3, 64, 64), torch.bool),
        "has_mask": ((3,), torch.bool),
        "pose_aa": ((3, 48), torch.float32),
        "betas": ((3, 10), torch.float32),
        "index": ((3,), torch.int64),
    }
    assert len(batch) == 3
    assert batch.index.tolist() == [3, 0, 7]
    assert 0 <= batch.image.min() < batch.image.max() <= 1


def test_versions_of_a_sample_share_its_annotation(samples):
    batch = HandDataset(samples, np.arange(len(samples)), 64).gather(torch.tensor([1, 1 + len(samples) // 2]))
    assert torch.equal(batch.verts_cam_m[0], batch.verts_cam_m[1])
    assert not torch.equal(batch.image[0], batch.image[1])
    np.testing.assert_array_equal(batch.betas[0].numpy(), samples.betas[1])


@pytest.mark.parametrize("size_px", [64, 96, 224, 256])
def test_joints_land_on_the_resized_hand(samples, size_px):
    batch = HandDataset(samples, np.arange(4), size_px).gather(torch.arange(4))
    torch.testing.assert_close(project(batch.joints_cam_m, batch.intrinsics_px), batch.joints_px)
    columns, rows = batch.joints_px.long().unbind(-1)
    on_hand = batch.hand_mask[torch.arange(4)[:, None], rows, columns]
    assert on_hand.float().mean() > 0.95
    assert batch.has_mask.all()


def test_positions_are_those_of_the_given_indices(samples):
    part = HandDataset(samples, [5, 2], 64)
    whole = HandDataset(samples, np.arange(len(samples)), 64)
    assert torch.equal(part.gather(torch.tensor([1])).image, whole.gather(torch.tensor([2])).image)
    assert part.ids == [samples.ids[5], samples.ids[2]]
    assert part.clusters == [samples.clusters[5], samples.clusters[2]]


@pytest.mark.parametrize("cached", [0, 3, 12])
def test_the_cache_changes_speed_only(make_samples, cached):
    samples = make_samples()
    bounded = HandDataset(samples, np.arange(12), 64, cache_bytes=cached * 4 * 64 * 64)
    reference = HandDataset(samples, np.arange(12), 64)
    for _ in range(2):
        for order in (torch.arange(12), torch.tensor([11, 2, 2, 0])):
            ours, theirs = bounded.gather(order), reference.gather(order)
            assert torch.equal(ours.image, theirs.image)
            assert torch.equal(ours.hand_mask, theirs.hand_mask)
    samples.decoded.clear()
    bounded.gather(torch.arange(12))
    assert sorted(samples.decoded) == list(range(cached, 12))


def test_a_layout_without_masks_says_so(make_samples):
    dataset = HandDataset(make_samples(masks=False), np.arange(4), 64)
    batch = dataset.gather(torch.arange(4))
    assert not batch.has_mask.any()
    assert not batch.hand_mask.any()
    assert not dataset.stores_masks


def test_an_image_that_cannot_be_read_stops_the_batch_with_its_sentence(make_samples):
    samples = make_samples()

    def broken(index):
        raise RequestError(f"image {index} is truncated")

    samples.image = broken
    with pytest.raises(RequestError, match="is truncated"):
        HandDataset(samples, np.arange(4), 64).gather(torch.arange(4))


def test_gathering_a_cached_training_batch_takes_under_two_milliseconds(make_samples):
    samples = make_samples(count=64, versions=1, size_px=64)
    dataset = HandDataset(samples, np.arange(64), 64)
    order = torch.arange(64)
    dataset.gather(order)
    times = []
    for _ in range(15):
        start = time.process_time()
        dataset.gather(order)
        times.append(time.process_time() - start)
    assert min(times) < 2e-3


def test_shrinking_averages_areas():
    checkerboard = np.indices((224, 224)).sum(0) % 2 * 255
    image = np.repeat(checkerboard[..., None], 3, 2).astype(np.uint8)
    assert np.abs(resize_image(image, 56).astype(int) - 127.5).max() <= 1


@pytest.mark.parametrize(("covered", "kept"), [(8, False), (9, True)])
def test_a_mask_pixel_needs_more_than_half_its_area(covered, kept):
    mask = np.zeros((64, 64), bool)
    mask[:4, :4].reshape(-1)[:] = False
    block = np.zeros(16, bool)
    block[:covered] = True
    mask[:4, :4] = block.reshape(4, 4)
    assert resize_mask(mask, 16)[0, 0] == kept
    assert not resize_mask(mask, 16)[1:].any()


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 200), st.integers(1, 4))
def test_validation_holds_out_whole_samples(count, versions):
    clusters = [f"{i:08d}" for i in range(count)] * versions
    train, held_out = split_validation(clusters)
    assert sorted([*train, *held_out]) == list(range(count * versions))
    assert not {clusters[i] for i in train} & {clusters[i] for i in held_out}
    assert len(held_out) == versions * max(1, round(0.05 * count))


def test_validation_depends_on_the_ids_alone():
    clusters = [f"{i:08d}" for i in range(100)]
    chosen = {clusters[i] for i in split_validation(clusters)[1]}
    reordered = clusters[::-1]
    assert chosen == {reordered[i] for i in split_validation(reordered)[1]}


def test_validation_is_not_simply_the_first_or_last_samples():
    held_out = split_validation([f"{i:08d}" for i in range(400)])[1]
    assert held_out.min() < 100
    assert held_out.max() > 300

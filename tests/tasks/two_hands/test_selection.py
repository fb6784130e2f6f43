"""What a method can learn from: awkward frames are left out with their reason and never met in a batch."""

import numpy as np
import pytest
import torch

from tasks.two_hands import TwoHandDataset
from tasks.two_hands.selection import pairs, readable


def of(samples):
    return TwoHandDataset(samples, np.arange(len(samples)), 64)


def test_awkward_frames_are_counted_by_their_reason(make_pairs):
    kept, left_out = pairs(of(make_pairs()))
    assert left_out == {"one hand": 2, "hand type in doubt": 1, "no MANO fit of a hand": 1, "image dark": 1}
    assert kept.indices.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda p: p.verts_m.__setitem__((2, 0), p.verts_m[2, 0] - [0, 0, 2.0]), "hand out of the image"),
        (lambda p: p.verts_m.__setitem__((2, 1), p.verts_m[2, 1] + [3.0, 0, 0]), "hand out of the image"),
        (lambda p: p.verts_m.__setitem__((2, 1, 5, 0), np.nan), "MANO fit not finite"),
        (lambda p: p.lost_images.add(2), "image missing or damaged"),
    ],
    ids=["behind the camera", "beside the image", "not finite", "no image"],
)
def test_frames_that_could_not_be_used_are_left_out_beforehand(make_pairs, spoil, reason):
    samples = make_pairs(("interacting",) * 4, awkward=False)
    spoil(samples)
    kept, left_out = pairs(of(samples))
    assert left_out == {reason: 1}
    assert kept.indices.tolist() == [0, 1, 3]
    assert kept.gather(torch.arange(3)).image.shape[0] == 3


def test_single_hands_are_learnt_from_where_joints_are(make_pairs):
    samples = make_pairs()
    samples.joint_valid[1] = False
    samples.lost_images.add(3)
    kept, left_out = readable(of(samples))
    assert left_out == {"no valid joint": 1, "image missing or damaged": 1}
    assert kept.indices.tolist() == [0, 2, 4, 5, 6, 7]

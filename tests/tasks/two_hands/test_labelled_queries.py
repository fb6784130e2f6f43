"""Points to learn occupancy from: where they lie, and that their labels are true."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tasks.metrics.penetration import distance_to_surface
from tasks.two_hands.dataset import SIDES
from tasks.two_hands.labelled_queries import HALF_SIDE, draw_queries, sealed_canonical

SEEDS = [3, 1, 4]


@pytest.fixture(scope="module")
def batch(dataset):
    return dataset.gather(torch.tensor([0, 2, 4]))


def sealed_true(batch, sample, side):
    joints_m, verts_m = batch.true_keypoints_cam_m[sample, side], batch.verts_cam_m[sample, side]
    return sealed_canonical(joints_m.double(), verts_m.double(), SIDES[side])


def test_the_first_points_are_uniform_and_the_others_near_the_skin(batch):
    sigma = 0.004
    drawn = draw_queries(batch, SEEDS, 400, 0.5, sigma)
    assert drawn.points.shape == (3, 2, 400, 3)
    assert drawn.points.abs().max() <= HALF_SIDE
    uniform = drawn.points[:, :, :200].flatten(0, 2)
    assert (uniform.abs().amax(dim=0) > 0.95 * HALF_SIDE).all()
    verts, faces = sealed_true(batch, 0, 1)
    near = drawn.points[0, 1, 200:].double().numpy()
    distance = distance_to_surface(near, verts.numpy(), faces.numpy())
    assert np.median(distance) == pytest.approx(0.67 * sigma, rel=0.35), (
        "the normal part of a Gaussian offset"
    )


def solid_angle_winding(points, verts, faces):
    """Van Oosterom and Strackee, 1983: the solid angles of all faces over 4 pi."""
    a, b, c = (verts[faces[:, k]][None] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    above = (a * np.cross(b, c)).sum(2)
    below = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
    return np.arctan2(above, below).sum(1) / (2 * np.pi)


@pytest.mark.parametrize("side", [0, 1])
def test_labels_are_those_of_solid_angles(batch, side):
    drawn = draw_queries(batch, SEEDS, 300, 0.2, 0.02)
    verts, faces = sealed_true(batch, 1, side)
    winding = solid_angle_winding(drawn.points[1, side].double().numpy(), verts.numpy(), faces.numpy())
    np.testing.assert_allclose(winding, winding.round(), atol=1e-6)
    np.testing.assert_array_equal(drawn.occupied[1, side], winding.round() > 0)
    assert 0.1 < (winding > 0.5).mean() < 0.8


def test_a_sample_depends_on_its_own_seed_alone(batch, dataset):
    whole = draw_queries(batch, SEEDS, 50, 0.5, 0.01)
    alone = draw_queries(dataset.gather(torch.tensor([4])), SEEDS[2:], 50, 0.5, 0.01)
    assert torch.equal(whole.points[2:], alone.points)
    assert torch.equal(whole.occupied[2:], alone.occupied)
    other = draw_queries(batch, [5, 6, 7], 50, 0.5, 0.01)
    assert not torch.equal(whole.points, other.points)


def test_about_a_hand_without_a_fit_nothing_is_inside(dataset):
    drawn = draw_queries(dataset.gather(torch.tensor([6])), [0], 300, 0.0, 0.01)
    assert drawn.occupied[0, 0].any()
    assert not drawn.occupied[0, 1].any()
    assert drawn.points.isfinite().all()


class OnDevice(torch.Tensor):
    """Like a tensor on a GPU, it must be brought to the CPU before numpy sees it."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.numpy:
            raise TypeError("can't convert a device tensor to numpy")
        result = super().__torch_function__(function, types, args, kwargs)
        return result.as_subclass(torch.Tensor) if function is torch.Tensor.cpu else result


def test_a_batch_may_be_on_a_gpu(batch):
    fields = ("true_keypoints_cam_m", "verts_cam_m", "has_fit")
    there = replace(batch, **{name: getattr(batch, name).as_subclass(OnDevice) for name in fields})
    with pytest.raises(TypeError, match="device tensor"):
        there.verts_cam_m.numpy()
    drawn, expected = draw_queries(there, SEEDS, 50, 0.5, 0.01), draw_queries(batch, SEEDS, 50, 0.5, 0.01)
    assert torch.equal(drawn.points, expected.points)
    assert torch.equal(drawn.occupied, expected.occupied)

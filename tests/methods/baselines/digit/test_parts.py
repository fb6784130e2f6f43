import numpy as np
import torch

from methods.baselines.digit.parts import N_PARTS, PartPainter
from tasks.hands.hand import HandModel, load_hand
from tasks.two_hands.augmentation import mirrored
from tasks.two_hands.batch import TwoHandBatch

SIZE, SIDE = 64, 16
RIGHT = 1
"""The position of a right hand alone."""


def labels_of(batch: TwoHandBatch, paint: PartPainter) -> torch.Tensor:
    return paint(batch.verts_cam_m, batch.intrinsics_px, SIZE, SIDE)


def first_hit(origin_to: np.ndarray, corners: np.ndarray) -> int:
    """The face (of (F, 3, 3) corners) that a ray from the camera through a point meets first, -1 for none."""
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(origin_to, edge2)
    area = (edge1 * across).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (-corners[:, 0] * across).sum(1) / area
        q = np.cross(-corners[:, 0], edge1)
        v, t = (origin_to * q).sum(1) / area, (edge2 * q).sum(1) / area
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    return int(np.where(hit, t, np.inf).argmin()) if hit.any() else -1


def test_labels_are_the_parts_that_rays_through_the_pixels_meet(
    hand: HandModel, paint: PartPainter, batch: TwoHandBatch
) -> None:
    """Rays against triangles; a face belongs to the joint that moves it most."""
    labels = labels_of(batch, paint)
    faces = [load_hand(side).data.faces for side in ("right", "left")]
    own = [hand.data.weights[f].mean(1).argmax(1) for f in faces]
    for i in range(3):
        corners = np.concatenate([batch.verts_cam_m[i, h].numpy()[faces[h]] for h in (0, 1)])
        expected = np.concatenate([1 + own[0], 17 + own[1], [0]])
        inverse = np.linalg.inv(batch.intrinsics_px[i].numpy())
        rows, columns = np.mgrid[:SIDE, :SIDE]
        pixels = np.stack([columns + 0.5, rows + 0.5], -1).reshape(-1, 2) * (SIZE / SIDE)
        rays = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ inverse.T
        met = np.array([expected[first_hit(ray, corners)] for ray in rays])
        assert (met == labels[i].numpy().ravel()).mean() > 0.995
        assert 0.05 < (met > 0).mean() < 0.8


def test_each_hand_has_its_own_sixteen_parts(paint: PartPainter, batch: TwoHandBatch) -> None:
    both, right, left = labels_of(batch, paint)[:3]
    assert set(right.unique().tolist()) <= set(range(N_PARTS + 1))
    assert set(left.unique().tolist()) <= {0, *range(N_PARTS + 1, 2 * N_PARTS + 1)}
    assert len(both.unique()) > N_PARTS


def test_a_mirror_swaps_the_names_of_the_parts(paint: PartPainter, batch: TwoHandBatch) -> None:
    labels = labels_of(batch, paint)
    other = labels_of(mirrored(batch, torch.ones(6, dtype=torch.bool)), paint).flip(2)
    swapped = torch.where(other > N_PARTS, other - N_PARTS, torch.where(other > 0, other + N_PARTS, 0))
    assert (swapped == labels).float().mean() > 0.99


def test_the_nearer_hand_hides_the_other(paint: PartPainter, batch: TwoHandBatch) -> None:
    """A right hand, and behind it, in the same place of the image, another one: its left namesake does not show."""
    verts, camera = batch.verts_cam_m[RIGHT : RIGHT + 1], batch.intrinsics_px[RIGHT : RIGHT + 1]
    alone = paint(verts, camera, SIZE, SIDE)
    pair = paint(torch.cat([verts[:, :1], 1.5 * verts[:, :1]], 1), camera, SIZE, SIDE)
    assert (pair[alone > 0] == alone[alone > 0]).float().mean() > 0.97

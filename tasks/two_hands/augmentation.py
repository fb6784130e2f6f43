"""Training-time augmentation of two-hand crops: both hands move together; a mirror makes each the other one.

Labelled queries and what was derived of a sample are in the hands' own canonical frames, which neither moves nor
mirrors: under a mirror they change places with the hands.
"""

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from tasks.augmentation import Move, Ranges, moves, recoloured
from tasks.two_hands.batch import Queries, TwoHandBatch

POINTS = ("joints_cam_m", "verts_cam_m", "keypoints_cam_m", "true_keypoints_cam_m")
FLAGS = ("joint_valid", "has_hand", "has_fit", "has_keypoints")


class TwoHandRanges(Ranges, Protocol):
    """``flip`` is the probability of a mirror."""

    @property
    def flip(self) -> float: ...


def augment(batch: TwoHandBatch, ranges: TwoHandRanges, generator: torch.Generator) -> TwoHandBatch:
    """The batch under random mirrors, in-plane rotation, scale, translation (shares of the side) and colour."""
    if ranges.flip:
        chosen = torch.rand(len(batch), generator=generator) < ranges.flip
        batch = mirrored(batch, chosen.to(batch.image.device))
    if moves(ranges):
        batch = _moved(batch, Move.draw(batch.intrinsics_px, batch.image.shape[-1], ranges, generator))
    if ranges.colour:
        batch = replace(batch, image=recoloured(batch.image, ranges.colour, generator))
    return batch


def _moved(batch: TwoHandBatch, move: Move) -> TwoHandBatch:
    turn = move.rotation.mT[:, None]
    points = {name: getattr(batch, name) @ turn for name in POINTS}
    return replace(batch, image=move.warp(batch.image), intrinsics_px=move.intrinsics_px, **points)


def mirrored(batch: TwoHandBatch, chosen: Tensor) -> TwoHandBatch:
    """The batch with the ``chosen`` samples (B,) seen in a mirror: x changes its sign, the hands change their names."""

    def picked(changed: Tensor, same: Tensor) -> Tensor:
        return torch.where(chosen.view(-1, *[1] * (same.dim() - 1)), changed, same)

    def swapped(values: Tensor) -> Tensor:
        return picked(values.flip(1), values)

    across = batch.image.new_tensor([-1.0, 1.0, 1.0])
    points = {name: picked(getattr(batch, name).flip(1) * across, getattr(batch, name)) for name in POINTS}
    flags = {name: swapped(getattr(batch, name)) for name in FLAGS}
    queries = batch.queries and Queries(swapped(batch.queries.points), swapped(batch.queries.occupied))
    return replace(
        batch,
        image=picked(batch.image.flip(3), batch.image),
        intrinsics_px=picked(
            _mirrored_camera(batch.intrinsics_px, batch.image.shape[-1]), batch.intrinsics_px
        ),
        queries=queries,
        derived={name: swapped(values) for name, values in batch.derived.items()},
        **points,
        **flags,
    )


def _mirrored_camera(intrinsics_px: Tensor, side: int) -> Tensor:
    """The camera that sees a mirrored scene where the mirrored image shows it."""
    camera = intrinsics_px.clone()
    camera[:, 0, 1] = -camera[:, 0, 1]
    camera[:, 0, 2] = side - camera[:, 0, 2]
    return camera

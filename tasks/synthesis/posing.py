"""Poses a batch of hands before their cameras, with forearm and object, so that at least half of each hand shows."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import HandModel
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.layouts.freihand.files import IMAGE_SIZE_PX, SplitName
from tasks.synthesis.arm import Arm, arm_rings_m, sample_arm
from tasks.synthesis.objects import N_VERTS, OCCLUDED_SHARE, ObjectDraw, object_verts_m, sample_object
from tasks.synthesis.shading import Stage
from tasks.synthesis.streams import stream
from tasks.synthesis.views import View, sample_view, translation_m

VISIBLE_SHARE = 0.5
"""Of the hand's pixels: a view that shows less is drawn again."""
ATTEMPTS = 40
"""Views tried with an object; the last one goes without."""
_COARSE_PX = 56
_NOWHERE = (0.0, 0.0, -5.0)
"""Where absent objects are: behind the camera."""


@dataclass(frozen=True)
class Draw:
    """Everything about one sample's geometry that is random."""

    hand_pose: np.ndarray
    """(45,) absolute axis-angle."""
    view: View
    arm: Arm
    thing: ObjectDraw | None


@dataclass(frozen=True)
class Posed:
    """A batch of hands before their cameras; metres, camera frame."""

    draws: list[Draw]
    verts_m: np.ndarray
    """(B, V, 3) float32: hand, forearm, object, as ``Stage`` has them."""

    @property
    def pose_aa(self) -> np.ndarray:
        """(B, 48) float64: global rotation and absolute hand pose."""
        turned = Rotation.from_matrix(np.stack([draw.view.rotation for draw in self.draws])).as_rotvec()
        return np.concatenate([turned, np.stack([draw.hand_pose for draw in self.draws])], axis=1)

    @property
    def intrinsics_px(self) -> np.ndarray:
        """(B, 3, 3) float64."""
        return np.stack([draw.view.intrinsics_px for draw in self.draws])


def pose_batch(
    stage: Stage, hand: HandModel, seed: int, split: SplitName, first: int, betas: np.ndarray
) -> Posed:
    """The samples ``first`` to ``first + len(betas)``; each is drawn again until enough of its hand shows."""
    streams = [stream(seed, split, first + i, "geometry") for i in range(len(betas))]
    occluded = [bool(rng.random() < OCCLUDED_SHARE) for rng in streams]
    accepted: dict[int, tuple[Draw, np.ndarray]] = {}
    for attempt in range(ATTEMPTS):
        pending = [i for i in range(len(betas)) if i not in accepted]
        if not pending:
            break
        last = attempt == ATTEMPTS - 1
        draws = [_draw(streams[i], occluded[i] and not last) for i in pending]
        verts_m = _place(stage, hand, draws, betas[pending])
        visible = _visible_share(stage, hand, verts_m, np.stack([draw.view.intrinsics_px for draw in draws]))
        for i, draw, verts, share in zip(pending, draws, verts_m, visible, strict=True):
            if share >= VISIBLE_SHARE or last:
                accepted[i] = draw, verts
    ordered = [accepted[i] for i in range(len(betas))]
    return Posed([draw for draw, _ in ordered], np.stack([verts for _, verts in ordered]))


def _draw(rng: np.random.Generator, with_object: bool) -> Draw:
    return Draw(
        hand_pose=sample_poses(1, rng)[0],
        view=sample_view(rng),
        arm=sample_arm(rng),
        thing=sample_object(rng) if with_object else None,
    )


def _place(stage: Stage, hand: HandModel, draws: list[Draw], betas: np.ndarray) -> np.ndarray:
    """(B, V, 3) float32 hands with forearms and objects in the camera frame."""
    pose = torch.zeros((len(draws), 48))
    pose[:, 3:] = torch.from_numpy(np.stack([draw.hand_pose for draw in draws]))
    with torch.no_grad():
        rest = hand(pose, torch.from_numpy(betas.astype(np.float32)), flat_hand_mean=True)[0]
    regressor = hand.joint_regressor21("freihand").numpy()
    placed = []
    for draw, verts in zip(draws, rest.double().numpy(), strict=True):
        rings = arm_rings_m(draw.arm, verts[stage.loop]).reshape(-1, 3)
        turned = np.concatenate([verts, rings]) @ draw.view.rotation.T
        own = turned[: len(verts)]
        shift = translation_m(own, draw.view)
        thing = np.tile(_NOWHERE, (N_VERTS, 1))
        if draw.thing:
            thing = object_verts_m(draw.thing, regressor @ (own + shift), own + shift)
        placed.append(np.concatenate([turned + shift, thing]))
    return np.stack(placed).astype(np.float32)


def _visible_share(
    stage: Stage, hand: HandModel, verts_m: np.ndarray, intrinsics_px: np.ndarray
) -> np.ndarray:
    """(B,) share of the hand's own pixels that neither forearm nor object hides."""
    verts = torch.from_numpy(verts_m)
    scale = torch.tensor([_COARSE_PX / IMAGE_SIZE_PX] * 2 + [1.0])[:, None]
    cameras = torch.from_numpy(intrinsics_px).float() * scale
    alone = rasterise(verts[:, : hand.n_verts], hand.faces, cameras, _COARSE_PX).mask
    together = rasterise(verts, stage.faces, cameras, _COARSE_PX).face_index
    seen = (together >= 0) & (together < stage.arm_face)
    return (seen.flatten(1).sum(1) / alone.flatten(1).sum(1).clamp(min=1)).numpy()

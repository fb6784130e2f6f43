"""The occupancy field of each hand by itself: HALO's, and the same in view of an image.

A ``Condition`` gives every query a feature from the image, which joins a layer of all part networks: none in HALO, a
pixel-aligned one in HALO*, that of query-image attention in Im2Hands.
"""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from methods.layers.hand_encoder import HandHeads
from methods.layers.implicit.canonicalisation import Bones, canonicalise
from methods.layers.implicit.config import PartsConfig
from methods.layers.implicit.ellipsoids import part_ellipsoids, start_as_ellipsoids
from methods.layers.implicit.palm_frame import HandFrames
from methods.layers.implicit.part_occupancy import PartOccupancy
from tasks.hands.hand import HandModel

SIDES = 2
"""Right, then left."""


class Condition(nn.Module):
    """Features of queries from an image."""

    channels: int
    """Of a feature."""
    layer: int
    """The linear layer of the part networks that it joins, counted from 1."""

    @abstractmethod
    def look(self, image: Tensor) -> tuple[Tensor, HandHeads | None]:
        """(B, 2, ...): what the queries of each hand will look at in images (B, 3, S, S), and the encoder's heads."""

    @abstractmethod
    def features(self, hands: "Hands", points_cam_m: Tensor) -> Tensor:
        """(H, N, channels) of queries (H, N, 3) in the camera frame."""


class Hands(NamedTuple):
    """H hands of a batch as queries meet them: computed once, however many queries there are."""

    frames: HandFrames
    bones: Bones
    is_left: Tensor
    """(H,) bool."""
    intrinsics_px: Tensor
    """(H, 3, 3)."""
    seen: Tensor | None
    """(H, ...): what the condition looks at."""

    def one(self, hand: int) -> "Hands":
        """A single hand of them."""
        at = slice(hand, hand + 1)
        return Hands(
            HandFrames(*(part[at] for part in self.frames)),
            Bones(*(part[at] for part in self.bones)),
            self.is_left[at],
            self.intrinsics_px[at],
            None if self.seen is None else self.seen[at],
        )


class HandField(nn.Module):
    """``forward`` gives logits (B, 2, N) of queries (B, 2, N, 3) in the hands' palm frames, and the encoder's heads."""

    def __init__(self, parts: PartsConfig, hand: HandModel, condition: Condition | None = None) -> None:
        super().__init__()
        self.condition = condition
        self.parts = PartOccupancy(
            hidden=parts.hidden,
            layers=parts.layers,
            length_hidden=parts.length_hidden,
            length_code=parts.length_code,
            pose_code=parts.pose_code,
            feature_size=condition.channels if condition else 0,
            feature_layer=condition.layer if condition else 3,
            n_networks=1 if parts.networks == "shared" else SIDES,
        )
        if parts.start == "ellipsoids":
            start_as_ellipsoids(self.parts, part_ellipsoids(hand))

    def forward(
        self, image: Tensor, intrinsics_px: Tensor, keypoints_cam_m: Tensor, queries: Tensor
    ) -> tuple[Tensor, HandHeads | None]:
        hands, heads = self._encode(image, intrinsics_px, keypoints_cam_m)
        return self.logits(hands, queries.flatten(0, 1)).unflatten(0, (-1, SIDES)), heads

    def hands(self, image: Tensor, intrinsics_px: Tensor, keypoints_cam_m: Tensor) -> Hands:
        """The hands of images (B, 3, S, S) with keypoints (B, 2, 21, 3) in the camera frame, two by two."""
        return self._encode(image, intrinsics_px, keypoints_cam_m)[0]

    def _encode(
        self, image: Tensor, intrinsics_px: Tensor, keypoints_cam_m: Tensor
    ) -> tuple[Hands, HandHeads | None]:
        is_left = torch.tensor([False, True], device=image.device).repeat(len(image))
        frames = HandFrames.of(keypoints_cam_m.flatten(0, 1), is_left)
        seen, heads = self.condition.look(image) if self.condition else (None, None)
        own = None if seen is None else seen.flatten(0, 1)
        cameras = intrinsics_px.repeat_interleave(SIDES, 0)
        return Hands(frames, canonicalise(frames.joints), is_left, cameras, own), heads

    def logits(self, hands: Hands, queries: Tensor) -> Tensor:
        """(H, N) of queries (H, N, 3) in the palm frames."""
        feature = None
        if self.condition is not None:
            feature = self.condition.features(hands, hands.frames.from_palm(queries))
        return self.parts(queries, hands.bones, hands.is_left, feature, logits=True)

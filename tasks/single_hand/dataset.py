"""A split in memory: labels as tensors, images decoded once and kept as bytes."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tasks.geometry.cameras import project, scale_intrinsics
from tasks.image_cache import CACHE_BYTES, ImageCache
from tasks.layouts.base import HandSamples
from tasks.single_hand.batch import HandBatch

VALIDATION_SHARE = 0.05
VALIDATION_SEED = 0


class HandDataset:
    """Images of a split at one size, gathered in batches by position."""

    def __init__(
        self,
        samples: HandSamples,
        indices: Sequence[int] | np.ndarray,
        image_size_px: int,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.samples = samples
        self.indices = np.asarray(indices, dtype=np.int64)
        self.image_size_px = image_size_px
        self._annotation = torch.from_numpy(np.asarray(samples.annotation_of)[self.indices])
        self._labels = {
            "joints_cam_m": _float32(samples.joints_m),
            "pose_aa": _float32(samples.pose_aa),
            "betas": _float32(samples.betas),
        }
        self._intrinsics_px = torch.from_numpy(np.asarray(samples.intrinsics_px, dtype=np.float64))
        shape = (4, image_size_px, image_size_px)  # RGB and mask (0 or 1)
        self._pixels = ImageCache(len(self.indices), shape, self._decode, cache_bytes)
        self._scale = torch.ones((len(self.indices), 2), dtype=torch.float64)
        self._has_mask = torch.zeros(len(self.indices), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def ids(self) -> list[str]:
        """The id of each image, by position."""
        return [self.samples.ids[i] for i in self.indices]

    @property
    def clusters(self) -> list[str]:
        """The unit of replication of each image, by position."""
        return [self.samples.clusters[i] for i in self.indices]

    @property
    def stores_masks(self) -> bool:
        """Whether the layout stores hand masks for this split."""
        return len(self) > 0 and self.samples.mask(int(self.indices[0])) is not None

    def gather(self, indices: Tensor) -> HandBatch:
        """The batch of these positions (B,) int64. Raises RequestError for an image that cannot be decoded."""
        pixels = self._pixels.take(indices.numpy())
        annotation = self._annotation[indices]
        labels = {name: values[annotation] for name, values in self._labels.items()}
        labels["verts_cam_m"] = _float32(self.samples.verts(annotation.numpy()))
        scale_x, scale_y = self._scale[indices].unbind(dim=1)
        intrinsics_px = scale_intrinsics(self._intrinsics_px[annotation], scale_x, scale_y).float()
        return HandBatch(
            image=pixels[:, :3].float().mul_(1 / 255),
            intrinsics_px=intrinsics_px,
            joints_px=project(labels["joints_cam_m"], intrinsics_px),
            hand_mask=pixels[:, 3] > 0,
            has_mask=self._has_mask[indices],
            index=indices,
            **labels,
        )

    def native(self, index: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Image (H, W, 3) uint8, mask (H, W) bool or None, and intrinsics (3, 3) at the layout's own resolution."""
        row = int(self.indices[index])
        intrinsics_px = np.asarray(
            self.samples.intrinsics_px[self.samples.annotation_of[row]], dtype=np.float64
        )
        return self.samples.image(row), self.samples.mask(row), intrinsics_px

    def truth(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """True joints (B, 21, 3) and vertices (B, 778, 3) in metres, camera frame, float64, without touching an image.

        As exact as the layout has them: labels of a test split are kept in float64.
        """
        annotation = self._annotation[indices].numpy()
        joints_m, verts_m = self.samples.joints_m[annotation], self.samples.verts(annotation)
        return torch.from_numpy(joints_m.astype(np.float64)), torch.from_numpy(verts_m.astype(np.float64))

    def _decode(self, position: int) -> Tensor:
        size = self.image_size_px
        image, mask, _ = self.native(position)
        pixels = torch.zeros((4, size, size), dtype=torch.uint8)
        pixels[:3] = torch.from_numpy(resize_image(image, size)).permute(2, 0, 1)
        if mask is not None:
            pixels[3] = torch.from_numpy(resize_mask(mask, size))
        self._has_mask[position] = mask is not None
        height, width = image.shape[:2]
        self._scale[position] = torch.tensor([size / width, size / height], dtype=torch.float64)
        return pixels


def resize_image(image: np.ndarray, size_px: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (S, S, 3) uint8: area average when shrinking, bilinear when growing."""
    if image.shape[:2] == (size_px, size_px):
        return np.array(image)
    shrinks = size_px <= min(image.shape[:2])
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.array(Image.fromarray(image).resize((size_px, size_px), method))


def resize_mask(mask: np.ndarray, size_px: int) -> np.ndarray:
    """(H, W) bool -> (S, S) bool: pixels of which more than half is covered."""
    if mask.shape == (size_px, size_px):
        return np.array(mask)
    share = Image.fromarray(mask.astype(np.float32)).resize((size_px, size_px), Image.Resampling.BOX)
    return np.asarray(share) > 0.5


def split_validation(clusters: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training and of the validation images.

    Whole samples are held out, so that the versions of one stay together: the 5 % of the sample ids (at least one)
    whose hash is smallest. The choice depends on the ids alone.
    """
    names = sorted(set(clusters), key=_hash)
    held_out = set(names[: max(1, round(VALIDATION_SHARE * len(names)))])
    is_held_out = np.array([cluster in held_out for cluster in clusters], dtype=bool)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _hash(name: str) -> str:
    return hashlib.sha256(f"{VALIDATION_SEED}:{name}".encode()).hexdigest()


def _float32(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

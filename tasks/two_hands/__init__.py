"""The two-hand task: joints, meshes and relative place of both hands from one RGB image.

``batch`` is what a method sees, ``dataset`` gathers batches and hands over the truth by position (``crops`` says where
images are cut, ``selection`` which frames can be learnt from), ``augmentation`` changes batches in training;
``prediction`` checks what is scored, ``scoring`` measures it by a protocol (``joints``, ``meshes``, ``surfaces`` and
``solids`` are its parts, ``canonical`` the frame of implicit hands), ``renders`` shows it and
``mesh_files`` writes its hands. ``TwoHands`` is what the engine holds.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image

from tasks.base import Protocol, TaskSpec
from tasks.hands.hand import HandModel, load_hand
from tasks.layouts.base import Layout
from tasks.ragged import Fields
from tasks.registry import TASKS
from tasks.single_hand.scoring import Scores
from tasks.two_hands.augmentation import augment
from tasks.two_hands.batch import TwoHandBatch
from tasks.two_hands.dataset import SIDES, TwoHandDataset
from tasks.two_hands.mesh_files import HandMesh, hand_meshes
from tasks.two_hands.renders import render_rows
from tasks.two_hands.scoring import score

__all__ = ["Scores", "TwoHandBatch", "TwoHandDataset", "TwoHands"]

NATIVE_SIZE_PX = 256
"""The side of the crops that InterHand2.6M's and IntagHand's networks see."""


class TwoHands:
    """The task as the engine holds it: data in, scores and pictures out."""

    spec: TaskSpec = TASKS["two_hands"]
    augment = staticmethod(augment)

    def __init__(self) -> None:
        self.hands: dict[str, HandModel] = {side: load_hand(side).cpu() for side in SIDES}

    def open(self, layout: Layout, image_size_px: int) -> dict[str, TwoHandDataset]:
        """The layout's own splits ``train``, ``val`` and ``test``."""
        return {name: _whole(layout, name, image_size_px) for name in ("train", "val", "test")}

    def test_set(self, layout: Layout, image_size_px: int = NATIVE_SIZE_PX) -> TwoHandDataset:
        """The split ``test`` alone, in the order of the official evaluation."""
        return _whole(layout, "test", image_size_px)

    def score(
        self,
        protocol: Protocol,
        predictions: Fields,
        dataset: TwoHandDataset,
        indices: torch.Tensor | np.ndarray,
    ) -> Scores:
        """Per-sample scores of the predictions for these positions; see ``scoring.score``."""
        positions = torch.as_tensor(indices, dtype=torch.int64)
        return score(protocol, predictions, dataset, positions, self.hands)

    def renders(
        self,
        predictions: Fields,
        dataset: TwoHandDataset,
        indices: torch.Tensor | np.ndarray,
    ) -> Image.Image:
        """A picture with one row per position: image, truth, prediction, both from the side and from above."""
        return render_rows(predictions, dataset, torch.as_tensor(indices, dtype=torch.int64), self.hands)

    def meshes(self, predictions: Fields, ids: Sequence[str], seal: bool = False) -> Iterator[HandMesh]:
        """Every predicted hand that has a mesh; see ``mesh_files.hand_meshes``."""
        return hand_meshes(predictions, ids, self.hands, seal)


def _whole(layout: Layout, split: str, image_size_px: int) -> TwoHandDataset:
    samples = layout.split(split)
    return TwoHandDataset(samples, np.arange(len(samples)), image_size_px)

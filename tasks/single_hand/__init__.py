"""The single-hand task: 3D joints, mesh and texture of one right hand from one RGB crop.

``batch`` is what a method sees, ``dataset`` gathers batches from a layout, ``augmentation`` changes them in training,
``scoring`` and ``texture`` measure predictions, ``renders`` shows them. ``SingleHand`` is what the engine holds.
"""

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image

from tasks.base import Protocol, TaskSpec
from tasks.hands.hand import load_hand
from tasks.layouts.base import Layout
from tasks.registry import TASKS
from tasks.single_hand.augmentation import augment
from tasks.single_hand.batch import HandBatch
from tasks.single_hand.dataset import HandDataset, split_validation
from tasks.single_hand.renders import render_rows
from tasks.single_hand.scoring import Scores, score

NATIVE_SIZE_PX = 224
"""Side of the crops that every layout gives."""

__all__ = ["HandBatch", "HandDataset", "Scores", "SingleHand", "augment"]


class SingleHand:
    """The task as the engine holds it: data in, scores and pictures out."""

    spec: TaskSpec = TASKS["single_hand"]
    augment = staticmethod(augment)

    def __init__(self) -> None:
        self.faces = load_hand("right").faces.cpu()

    def open(self, layout: Layout, image_size_px: int) -> dict[str, HandDataset]:
        """The splits ``train``, ``val`` (whole samples held out of the layout's training set) and ``test``."""
        train = layout.split("train")
        kept, held_out = split_validation(train.clusters)
        return {
            "train": HandDataset(train, kept, image_size_px),
            "val": HandDataset(train, held_out, image_size_px),
            "test": self.test_set(layout, image_size_px),
        }

    def test_set(self, layout: Layout, image_size_px: int = NATIVE_SIZE_PX) -> HandDataset:
        """The split ``test`` alone, in the order of the layout's official submissions."""
        test = layout.split("test")
        return HandDataset(test, np.arange(len(test)), image_size_px)

    def score(
        self,
        protocol: Protocol,
        predictions: Mapping[str, np.ndarray],
        dataset: HandDataset,
        indices: torch.Tensor | np.ndarray,
    ) -> Scores:
        """Per-sample scores of the predictions for these positions; see ``scoring.score``."""
        return score(protocol, predictions, dataset, torch.as_tensor(indices, dtype=torch.int64), self.faces)

    def renders(
        self,
        predictions: Mapping[str, np.ndarray],
        dataset: HandDataset,
        indices: torch.Tensor | np.ndarray,
    ) -> Image.Image:
        """A picture with one row per position: image, truth, prediction, texture, side view."""
        return render_rows(predictions, dataset, torch.as_tensor(indices, dtype=torch.int64), self.faces)

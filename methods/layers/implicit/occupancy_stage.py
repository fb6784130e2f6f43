"""The stage that trains a field of each hand by itself on labelled queries, and what it predicts alone."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Progress, Stage
from methods.config import MethodConfig
from methods.layers.hand_encoder import HandHeads
from methods.layers.hand_maps import head_loss
from methods.layers.hand_pair import HandPair
from methods.layers.implicit.config import ExtractionConfig, FieldConfig
from methods.layers.implicit.extraction import hand_surface, surface_fields
from methods.layers.implicit.hand_field import HandField
from methods.layers.implicit.losses import occupancy_loss
from methods.layers.implicit.stage_spec import OCCUPANCY
from methods.layers.precision import full_precision
from tasks.hands.hand import HandModel
from tasks.ragged import Ragged
from tasks.two_hands.batch import TwoHandBatch
from tasks.two_hands.labelled_queries import draw_queries
from tasks.two_hands.selection import pairs


class OccupancyStage(Stage):
    """Squared error of occupancy at fresh queries, with true keypoints."""

    spec = OCCUPANCY

    def __init__(
        self,
        field: FieldConfig,
        hand: HandModel,
        make: Callable[[HandModel], HandField],
        heads: float = 0.0,
    ) -> None:
        """``heads`` weighs what the image encoder's heads are taught; with 0 it has none."""
        self.field, self.make, self.heads = field, make, heads
        self.pair = HandPair(hand) if heads else None

    def select(self, dataset: Any) -> tuple[Any, dict[str, int]]:
        return pairs(dataset)

    def prepare(self, batch: TwoHandBatch, noise: torch.Generator) -> TwoHandBatch:
        asked = self.field.queries
        seeds = torch.randint(2**62, (len(batch),), generator=noise).tolist()
        drawn = draw_queries(batch, seeds, asked.count, asked.uniform_share, asked.sigma)
        return replace(batch, queries=drawn)

    def build(self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]) -> HandField:
        return self.make(hand)

    def loss(self, module: nn.Module, batch: TwoHandBatch, progress: Progress) -> dict[str, Tensor]:
        assert batch.queries is not None
        logits, heads = module(batch.image, batch.intrinsics_px, batch.keypoints_cam_m, batch.queries.points)
        error = occupancy_loss(logits, batch.queries.occupied, batch.has_keypoints, self.field.loss)
        return with_heads({"total": error}, heads, batch, self.pair, self.heads)


def with_heads(
    terms: dict[str, Tensor],
    heads: HandHeads | None,
    batch: TwoHandBatch,
    pair: HandPair | None,
    weight: float,
) -> dict[str, Tensor]:
    """The terms of a loss, with those of the image encoder's heads where it has any."""
    if heads is None or pair is None:
        return terms
    with full_precision(batch.image):
        error = head_loss(heads, batch, pair.to(batch.image.device), batch.image.shape[-1])
    return {**terms, "total": terms["total"] + weight * error, "heads": error}


def predicted_by(
    field: HandField, batch: TwoHandBatch, threshold: float, extraction: ExtractionConfig
) -> dict[str, Tensor | Ragged]:
    """A prediction of the two-hand task: the keypoints that were given, and the surfaces of the field about them."""
    hands = field.hands(batch.image, batch.intrinsics_px, batch.keypoints_cam_m)

    def surface_of(hand: int) -> Any:
        one = hands.one(hand)
        return hand_surface(
            lambda points: field.logits(one, points[None])[0].sigmoid(),
            threshold,
            one.frames.joints[0],
            extraction,
        )

    there = batch.has_keypoints.flatten().tolist()
    surfaces = [surface_of(hand) if known else None for hand, known in enumerate(there)]
    return {**given_joints(batch), **surface_fields(surfaces, hands.frames)}


def given_joints(batch: TwoHandBatch) -> dict[str, Tensor]:
    """The keypoints as joints, NaN for a hand that has none."""
    there = batch.has_keypoints[..., None, None]
    return {"joints_cam_m": torch.where(there, batch.keypoints_cam_m, torch.nan)}

"""Im2Hands as a method: keypoint refinement where it is wanted, initial occupancy, two-hand refinement."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Method, Progress, Stage
from methods.config import MethodConfig
from methods.im2hands.anchors import surface_anchors
from methods.im2hands.config import Im2HandsConfig, InitialConfig
from methods.im2hands.refinement import RefinementModule
from methods.im2hands.refiner import KeypointRefiner
from methods.im2hands.spec import INITIAL, REFINEMENT, REFINER, SPEC
from methods.layers.hand_pair import HandPair
from methods.layers.implicit.conditions import PixelAligned, QueryImageAttention
from methods.layers.implicit.extraction import Field, hand_surface, surface_fields
from methods.layers.implicit.hand_field import SIDES, Condition, HandField, Hands
from methods.layers.implicit.losses import occupancy_loss, penetration_loss
from methods.layers.implicit.occupancy_stage import OccupancyStage, given_joints, with_heads
from methods.layers.precision import full_precision
from tasks.hands.hand import HandModel
from tasks.hands.skeleton import MIDDLE_MCP
from tasks.ragged import Ragged
from tasks.two_hands.batch import Queries, TwoHandBatch
from tasks.two_hands.labelled_queries import draw_queries
from tasks.two_hands.selection import pairs


class RefineKeypoints(Stage):
    """From the keypoints that another method predicts to true ones."""

    spec = REFINER

    def __init__(self, config: Im2HandsConfig, hand: HandModel) -> None:
        self.config, self.pair = config.refiner, HandPair(hand)

    def select(self, dataset: Any) -> tuple[Any, dict[str, int]]:
        return pairs(dataset)

    def build(self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]) -> nn.Module:
        return KeypointRefiner(self.config, config.image_size_px)

    def loss(self, module: nn.Module, batch: TwoHandBatch, progress: Progress) -> dict[str, Tensor]:
        given_m = batch.keypoints_cam_m
        if module.training and self.config.noise_mm:
            given_m = given_m + self.config.noise_mm / 1000 * torch.randn_like(given_m)
        found_m, heads = module(batch.image, given_m)
        with full_precision(batch.image):
            off_mm = 1000 * (_about_knuckle(found_m.float()) - _about_knuckle(batch.true_keypoints_cam_m))
            per_hand = off_mm.square().mean(dim=(2, 3))
            there = batch.has_keypoints
            error = (torch.where(there, per_hand, 0.0).sum(0) / there.sum(0).clamp(min=1)).sum()
        return with_heads({"total": error}, heads, batch, self.pair, self.config.head_weight)


class InitialOccupancy(OccupancyStage):
    """Each hand by itself."""

    spec = INITIAL

    def __init__(self, config: Im2HandsConfig, hand: HandModel) -> None:
        super().__init__(
            config.initial,
            hand,
            lambda own: initial_field(config.initial, config.image_size_px, own),
            config.initial.head_weight,
        )


def initial_field(config: InitialConfig, image_size_px: int, hand: HandModel) -> HandField:
    """The field of the first stage, by what conditions it."""
    condition: Condition | None = None
    if config.conditioning == "query_attention":
        networks = 1 if config.parts.networks == "shared" else SIDES
        condition = QueryImageAttention(
            config.image, config.attention, networks, image_size_px, config.head_weight > 0
        )
    elif config.conditioning == "pixel_aligned":
        condition = PixelAligned(config.image, config.pixel, image_size_px, config.head_weight > 0)
    return HandField(config.parts, hand, condition)


class RefineOccupancy(Stage):
    """Both hands in view of each other. Anchors and initial occupancies are worked out once, by the stage before."""

    spec = REFINEMENT

    def __init__(self, config: Im2HandsConfig, hand: HandModel) -> None:
        self.whole, self.config, self.pair = config, config.refinement, HandPair(hand)

    def select(self, dataset: Any) -> tuple[Any, dict[str, int]]:
        return pairs(dataset)

    def derive(self, upstream: Mapping[str, nn.Module], batch: TwoHandBatch) -> dict[str, Tensor]:
        """``anchors`` (B, 2, A, 3), and a ``pool`` (B, 2, P, 3) of queries with ``pool_occupied`` and ``pool_initial``
        (B, 2, P, 2): occupancy in the own and in the other hand's field. Palm frames, half precision as Im2Hands' own
        samples."""
        field: HandField = upstream[INITIAL.name]  # type: ignore[assignment]
        hands = field.hands(batch.image, batch.intrinsics_px, batch.keypoints_cam_m)
        asked = self.config.queries
        drawn = draw_queries(batch, batch.index.tolist(), self.config.pool, asked.uniform_share, asked.sigma)
        return {
            "anchors": anchors_of(field, hands, self.whole).half(),
            "pool": drawn.points.half(),
            "pool_occupied": drawn.occupied,
            "pool_initial": initial_in_both(field, hands, drawn.points.to(batch.image.device)).half(),
        }

    def prepare(self, batch: TwoHandBatch, noise: torch.Generator) -> TwoHandBatch:
        """Some of the pool's queries, the same places of the pool for all samples."""
        chosen = torch.randperm(self.config.pool, generator=noise)[: self.config.queries.count]
        derived = batch.derived
        return replace(
            batch,
            queries=Queries(derived["pool"][:, :, chosen].float(), derived["pool_occupied"][:, :, chosen]),
            derived={
                "anchors": derived["anchors"].float(),
                "initial": derived["pool_initial"][:, :, chosen].float(),
            },
        )

    def build(self, config: MethodConfig, hand: HandModel, upstream: Mapping[str, nn.Module]) -> nn.Module:
        return RefinementModule(self.config, config.image_size_px)

    def loss(self, module: nn.Module, batch: TwoHandBatch, progress: Progress) -> dict[str, Tensor]:
        assert batch.queries is not None
        own, other, heads = module(
            batch.image,
            batch.intrinsics_px,
            batch.keypoints_cam_m,
            batch.derived["anchors"],
            batch.queries.points,
            batch.derived["initial"],
        )
        settings = self.config.penetration
        occupancy = occupancy_loss(own, batch.queries.occupied, batch.has_keypoints, self.config.loss)
        penetration = penetration_loss(own.sigmoid(), other.sigmoid(), settings.threshold)
        terms = {
            "total": occupancy + settings.weight * penetration,
            "occupancy": occupancy,
            "penetration": penetration,
        }
        return with_heads(terms, heads, batch, self.pair, self.config.head_weight)


class Im2Hands(Method):
    """Occupancy of both hands, refined unless told otherwise, and the keypoints that it was taken at."""

    spec = SPEC
    config: Im2HandsConfig

    def stages(self) -> list[Stage]:
        known = {kind.spec: kind for kind in (RefineKeypoints, InitialOccupancy, RefineOccupancy)}
        return [known[spec](self.config, self.hand) for spec in SPEC.stages(self.config, self.keypoints)]

    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor | Ragged]:
        if REFINER.name in modules:
            refiner: KeypointRefiner = modules[REFINER.name]  # type: ignore[assignment]
            batch = replace(batch, keypoints_cam_m=refiner.refined(batch.image, batch.keypoints_cam_m))
        field: HandField = modules[INITIAL.name]  # type: ignore[assignment]
        hands = field.hands(batch.image, batch.intrinsics_px, batch.keypoints_cam_m)
        fields = occupancies(field, hands, modules.get(REFINEMENT.name), batch, self.config)  # type: ignore[arg-type]
        there = batch.has_keypoints.flatten().tolist()
        surfaces = [
            hand_surface(*fields(hand), hands.frames.joints[hand], self.config.extraction) if known else None
            for hand, known in enumerate(there)
        ]
        return {**given_joints(batch), **surface_fields(surfaces, hands.frames)}


def occupancies(
    field: HandField,
    hands: Hands,
    refinement: RefinementModule | None,
    batch: TwoHandBatch,
    config: Im2HandsConfig,
) -> Callable[[int], tuple[Field, float]]:
    """The occupancy in the palm frame of each hand of a batch, and where its surface is.

    A hand without the other one has nothing to be refined in view of.
    """
    both = batch.has_keypoints.all(dim=1)
    context = None
    if refinement is not None:
        anchors = anchors_of(field, hands, config)
        context = refinement.encode(batch.image, batch.intrinsics_px, batch.keypoints_cam_m, anchors)

    def of(hand: int) -> tuple[Field, float]:
        image, side = divmod(hand, SIDES)
        one = hands.one(hand)

        def initial(points: Tensor) -> Tensor:
            return field.logits(one, points[None])[0].sigmoid()

        if refinement is None or context is None or not both[image]:
            return initial, config.initial.threshold
        within = context.one(image, side)

        def refined(points: Tensor) -> Tensor:
            queries_cam_m = one.frames.from_palm(points[None])[:, None]
            return refinement.occupancy(within, queries_cam_m, initial(points)[None, None])[0, 0].sigmoid()

        return refined, config.refinement.threshold

    return of


def anchors_of(field: HandField, hands: Hands, config: Im2HandsConfig) -> Tensor:
    """(B, 2, A, 3): points of the initial surface of each hand, in its palm frame."""
    settings = config.refinement.anchors

    def of(hand: int) -> Tensor:
        one = hands.one(hand)
        return surface_anchors(
            lambda points: field.logits(one, points[None])[0].sigmoid(),
            one.frames.joints[0],
            settings,
            config.initial.threshold,
            config.extraction,
        )

    found = [of(hand) for hand in range(len(hands.is_left))]
    return torch.stack(found).unflatten(0, (-1, SIDES))


def initial_in_both(field: HandField, hands: Hands, queries: Tensor) -> Tensor:
    """(B, 2, N, 2): initial occupancy of each hand's queries (B, 2, N, 3) in its own field and in the other hand's."""
    in_camera_m = hands.frames.from_palm(queries.flatten(0, 1)).unflatten(0, (-1, SIDES))
    of_other = hands.frames.to_palm(in_camera_m.flip(1).flatten(0, 1))
    own = field.logits(hands, queries.flatten(0, 1)).unflatten(0, (-1, SIDES))
    other = field.logits(hands, of_other).unflatten(0, (-1, SIDES)).flip(1)
    return torch.stack([own, other], -1).sigmoid()


def _about_knuckle(joints_m: Tensor) -> Tensor:
    return joints_m - joints_m[:, :, MIDDLE_MCP, None]

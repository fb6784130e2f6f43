"""HALO*: HALO's fields with pixel-aligned image features."""

from methods.base import Stage
from methods.baselines.halo.method import Halo
from methods.baselines.halo_star.config import HaloStarConfig
from methods.baselines.halo_star.spec import SPEC
from methods.layers.implicit.conditions import PixelAligned
from methods.layers.implicit.hand_field import HandField
from methods.layers.implicit.occupancy_stage import OccupancyStage
from tasks.hands.hand import HandModel


class HaloStar(Halo):
    """One stage."""

    spec = SPEC
    config: HaloStarConfig  # type: ignore[assignment]

    def stages(self) -> list[Stage]:
        config = self.config

        def make(hand: HandModel) -> HandField:
            seen = PixelAligned(config.image, config.pixel, config.image_size_px, config.head_weight > 0)
            return HandField(config.field.parts, hand, seen)

        return [OccupancyStage(config.field, self.hand, make, config.head_weight)]

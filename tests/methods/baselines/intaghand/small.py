"""A configuration of IntagHand that tests can afford, with everything switched on."""

from typing import Any

from methods.baselines.intaghand.config import GraphConfig, IntagHandConfig
from methods.layers.backbone_config import BackboneConfig
from methods.layers.hand_encoder_config import HandEncoderConfig

GRAPH = GraphConfig(
    vertices=(10, 20, 40), widths=(24, 20, 16, 12), grid_widths=(12, 12, 8), blocks=2, cells=4, heads=2
)
SMALL = IntagHandConfig(
    image_size_px=64,
    encoder=HandEncoderConfig(
        backbone=BackboneConfig(widths=(8, 12, 16), blocks=(1, 1, 1), features=20), decoder_width=10
    ),
    fused_width=14,
    graph=GRAPH,
)


def small(**changes: Any) -> IntagHandConfig:
    return SMALL.model_copy(update=changes)

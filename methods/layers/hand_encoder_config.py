"""The settings of the two-hand image encoder: light, so that planning needs no torch."""

from pydantic import Field

from methods.config import Strict
from methods.layers.backbone_config import BackboneConfig


class HandEncoderConfig(Strict):
    """An image network and two decoders over its maps."""

    backbone: BackboneConfig = BackboneConfig()
    decoder_width: int = Field(128, ge=4, description="channels of every level of both decoders")
    skips: bool = Field(
        False,
        description="whether the decoders see the finer maps of the image network too; released: the coarsest alone",
    )

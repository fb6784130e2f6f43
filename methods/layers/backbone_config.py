"""Which image network a method uses: light, so that planning needs no torch."""

from typing import Literal

from pydantic import Field

from methods.config import Strict


class BackboneConfig(Strict):
    """An image network that returns one global vector and a pyramid of feature maps."""

    kind: Literal["residual", "hrnet_w64", "hrnet_w32", "resnet50"] = "residual"
    stem_stride: int = Field(4, ge=1, description="residual only: pixels per cell of the first map")
    widths: tuple[int, ...] = Field((48, 96, 192), description="residual only: channels of each map")
    blocks: tuple[int, ...] = Field((2, 2, 2), description="residual only: residual blocks of each map")
    pooling: Literal["average", "grid", "keypoints", "none"] = Field(
        "average",
        description="residual: grid keeps where in the last map a feature was; none, for all: no global vector",
    )
    features: int = Field(256, ge=8, description="residual only: length of the global vector")
    weights: str | None = Field(None, description="path of a state dict to start from")

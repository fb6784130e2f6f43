"""DIGIT's settings. Default widths are those of the released code."""

from typing import Literal

from pydantic import Field

from methods.config import SingleStageConfig, Strict, TwoHandAugmentConfig
from methods.layers.backbone_config import BackboneConfig


class LossWeights(Strict):
    """Of errors in cells: 1/64 of the crop's side in the image, 1/64 of 400 mm in depth."""

    joints: float = Field(1.0, ge=0, description="absolute error of 2.5D joints")
    relative_root: float = Field(
        1.0, ge=0, description="absolute error of the left wrist's depth less the right's"
    )
    handedness: float = Field(1.0, ge=0, description="binary cross-entropy")
    segmentation: float = Field(10.0, ge=0, description="cross-entropy over pixels")
    bones: float = Field(0.1, ge=0, description="squared error of bone vectors")
    crop_width: float = Field(
        20.0,
        ge=0,
        description="absolute error of the logarithm of the crop's width at each wrist; not DIGIT's",
    )


class DigitConfig(SingleStageConfig):
    """Image network, part segmentation, fusion, heads."""

    augment: TwoHandAugmentConfig = TwoHandAugmentConfig()
    backbone: BackboneConfig = BackboneConfig(kind="hrnet_w32")
    heatmap_level: int = Field(
        0, ge=0, description="which of the image network's maps, finest first, the heatmaps are as fine as"
    )
    map_channels: int = Field(
        32,
        ge=4,
        description="of the map made of that one and the coarser ones; a single map is taken as it is",
    )
    segmentation_channels: tuple[int, int] = Field((64, 33), description="of its head, before the logits")
    fusion: Literal["logits", "probabilities", "labels", "none"] = Field(
        "logits",
        description="what the joints see of the segmentation; labels: its most likely part; none: nothing",
    )
    fusion_channels: tuple[int, int] = (64, 512)
    unet_channels: tuple[int, ...] = Field(
        (64, 128, 256), description="per level; the deepest has the last again"
    )
    head_channels: tuple[tuple[int, int], ...] = Field(
        ((64, 128), (256, 512), (512, 512)), description="two convolutions per stage of the global head"
    )
    beta: float = Field(1.0, gt=0, description="sharpness of the softmax of the heatmaps")
    hidden: int = Field(512, ge=8, description="of the multilayer perceptrons of the global head")
    root_bins: int = Field(64, ge=2, description="of the relative root depth, over 400 mm")
    weights: LossWeights = LossWeights()

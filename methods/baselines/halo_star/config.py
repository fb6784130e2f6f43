"""The settings of HALO*."""

from pydantic import Field

from methods.config import SingleStageConfig, TwoHandAugmentConfig
from methods.layers.hand_encoder_config import HandEncoderConfig
from methods.layers.implicit.config import ExtractionConfig, FieldConfig, PixelConfig


class HaloStarConfig(SingleStageConfig):
    """HALO's, and those of the image."""

    image_size_px: int = Field(256, ge=32, le=512)
    augment: TwoHandAugmentConfig = TwoHandAugmentConfig()
    image: HandEncoderConfig = HandEncoderConfig()
    pixel: PixelConfig = PixelConfig()
    head_weight: float = Field(
        0.0,
        ge=0,
        description="of joints, masks and dense coordinates that the image encoder is taught beside",
    )
    field: FieldConfig = FieldConfig()
    extraction: ExtractionConfig = ExtractionConfig()

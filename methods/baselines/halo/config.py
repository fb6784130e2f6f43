"""The settings of HALO."""

from pydantic import Field

from methods.config import SingleStageConfig, TwoHandAugmentConfig
from methods.layers.implicit.config import ExtractionConfig, FieldConfig


class HaloConfig(SingleStageConfig):
    """A field without image, and how meshes are extracted from it."""

    image_size_px: int = Field(256, ge=32, le=512, description="of the crop, which it does not look at")
    augment: TwoHandAugmentConfig = TwoHandAugmentConfig()
    field: FieldConfig = FieldConfig()
    extraction: ExtractionConfig = ExtractionConfig()

"""Im2Hands' settings. Where the released code has a slip, the repaired form is the default and the released one a named
option (see README.md)."""

from typing import Literal

from pydantic import Field

from methods.config import MethodConfig, Strict, TrainingConfig, TwoHandAugmentConfig
from methods.layers.hand_encoder_config import HandEncoderConfig
from methods.layers.implicit.config import (
    ExtractionConfig,
    FieldConfig,
    OccupancyLoss,
    PixelConfig,
    QueriesConfig,
    QueryAttentionConfig,
)


class RefinerConfig(Strict):
    """Keypoint refinement, the optional first stage: a graph of joints that looks at the image."""

    use: Literal["auto", "on", "off"] = Field("auto", description="auto: where keypoints are predicted")
    image: HandEncoderConfig = HandEncoderConfig()
    head_weight: float = Field(
        0.0,
        ge=0,
        description="of joints, masks and dense coordinates that the image encoder is taught beside",
    )
    map_channels: int = Field(256, ge=1)
    joint_code: int = Field(16, ge=1)
    point_code: int = Field(32, ge=1)
    graph_width: int = Field(16, ge=1, description="joined to the tokens at each layer")
    grid_widths: tuple[int, ...] = Field((64, 82, 96, 112), description="of the image's tokens at each layer")
    graph_blocks: int = Field(2, ge=1)
    grid: int = Field(8, ge=1)
    heads: int = Field(4, ge=1)
    hidden: int = Field(32, ge=1)
    dropout: float = Field(0.01, ge=0, lt=1)
    output: Literal["positions", "offsets"] = Field(
        "positions", description="offsets: from the given keypoints"
    )
    graph: Literal["laplacian", "directed"] = Field(
        "laplacian", description="released: the directed parent-to-child matrix"
    )
    regressors: Literal["per_side", "left"] = Field("per_side", description="released: the left one for both")
    noise_mm: float = Field(0.0, ge=0, description="added to the given keypoints in training, per coordinate")
    training: TrainingConfig = TrainingConfig()


class InitialConfig(FieldConfig):
    """Initial occupancy of each hand by itself; ``threshold`` is where the surface is if it is not refined."""

    conditioning: Literal["query_attention", "pixel_aligned", "none"] = "query_attention"
    image: HandEncoderConfig = HandEncoderConfig()
    attention: QueryAttentionConfig = QueryAttentionConfig()
    pixel: PixelConfig = PixelConfig()
    head_weight: float = Field(
        0.0,
        ge=0,
        description="of joints, masks and dense coordinates that the image encoder is taught beside",
    )
    training: TrainingConfig = TrainingConfig()


class AnchorsConfig(Strict):
    """Points of the initial surfaces, which refinement attends to."""

    count: int = Field(512, ge=8)
    resolution: int = Field(
        32, ge=4, description="cells at the coarsest level, where the surface is extracted"
    )
    refinements: int = Field(3, ge=0)


class PenetrationConfig(Strict):
    """What both hands occupy at once."""

    weight: float = Field(
        8.2, ge=0, description="of the mean; released: 0.001 of a sum, the same at its sizes"
    )
    threshold: float = Field(
        0.0, ge=0, lt=1, description="products below count as 0; in the code's history: 0.2"
    )


class RefinementConfig(Strict):
    """Attentive two-hand refinement."""

    use: bool = True
    image: HandEncoderConfig = HandEncoderConfig()
    head_weight: float = Field(
        0.0,
        ge=0,
        description="of joints, masks and dense coordinates that the image encoder is taught beside",
    )
    pixel_channels: int = Field(32, ge=1)
    unit_m: float = Field(
        1.0,
        gt=0,
        description="length that is 1 to attention; released: metres, in which neighbours are 0.005 apart",
    )
    anchors: AnchorsConfig = AnchorsConfig()
    first_width: int = Field(120, ge=1)
    width: int = Field(256, ge=1)
    kept: tuple[int, ...] = Field((256, 128), description="anchors after each set abstraction")
    neighbours: int = Field(16, ge=1)
    full_layers: int = Field(3, ge=0)
    query_width: int = Field(200, ge=1)
    query_neighbours: int = Field(9, ge=1)
    anchors_of: Literal["own", "both"] = Field("own", description="whose anchors a hand's queries attend to")
    context: Literal["full", "without_other", "without_image"] = "full"
    fusing: Literal["once", "twice"] = Field(
        "once", description="released: the pass for penetration fuses codes that are fused already"
    )
    initial: Literal["input", "residual"] = Field(
        "input",
        description="the initial occupancy is an input; residual: its logit is also added to the output",
    )
    initial_copies: int = Field(32, ge=1)
    head_hidden: int = Field(32, ge=1)
    head_blocks: int = Field(5, ge=1)
    pool: int = Field(
        4096, ge=8, description="queries of each hand and image that initial occupancy is kept for"
    )
    queries: QueriesConfig = QueriesConfig(count=2048)
    loss: OccupancyLoss = "mse"
    penetration: PenetrationConfig = PenetrationConfig()
    threshold: float = Field(0.45, gt=0, lt=1, description="where the surface is")
    training: TrainingConfig = TrainingConfig()


class Im2HandsConfig(MethodConfig):
    """Keypoint refinement, initial occupancy, two-hand refinement."""

    image_size_px: int = Field(256, ge=32, le=512)
    augment: TwoHandAugmentConfig = TwoHandAugmentConfig()
    refiner: RefinerConfig = RefinerConfig()
    initial: InitialConfig = InitialConfig()
    refinement: RefinementConfig = RefinementConfig()
    extraction: ExtractionConfig = ExtractionConfig()

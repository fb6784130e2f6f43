"""Settings that implicit hands share: part networks, what conditions them, queries, mesh extraction. Light."""

from typing import Literal

from pydantic import Field

from methods.config import Strict


class PartsConfig(Strict):
    """The 16 part occupancy networks."""

    networks: Literal["shared", "per_side"] = Field(
        "per_side", description="one set for both hands, which are both right ones, or one for each side"
    )
    start: Literal["ellipsoids", "random"] = Field(
        "ellipsoids",
        description="of the weights: an ellipsoid about each part of the hand model in use, or noise",
    )
    hidden: int = Field(64, ge=4)
    layers: int = Field(5, ge=3, description="linear layers, the last one included")
    length_hidden: int = Field(40, ge=1)
    length_code: int = Field(16, ge=1, description="of all bone lengths")
    pose_code: int = Field(8, ge=1, description="of the 16 bone transforms' translations, for each part")


class PixelConfig(Strict):
    """Pixel-aligned features: what the image shows where a query projects to."""

    channels: int = Field(32, ge=1)
    layer: int = Field(2, ge=1, description="the linear layer before which the feature is joined")


class QueryAttentionConfig(Strict):
    """Query-image attention: each query with a grid of image tokens in one sequence."""

    channels: int = Field(32, ge=1, description="of the image map and its tokens")
    grid: int = Field(4, ge=1, description="tokens along each side of the image")
    point_hidden: int = Field(32, ge=1)
    point_code: int = Field(16, ge=1, description="joined with the query's place: 19 numbers with 16")
    blocks: int = Field(1, ge=1, description="self-attention blocks of query and grid")
    heads: int = Field(2, ge=1)
    dropout: float = Field(0.01, ge=0, lt=1)
    layer: int = Field(3, ge=1, description="the linear layer before which the feature is joined")
    depth: Literal["wrist", "first_query"] = Field(
        "wrist",
        description="what a query's depth is relative to; released: the first query of the batch's row",
    )


class QueriesConfig(Strict):
    """The points whose occupancy is learnt: uniform in a cube of side 1.1, the others near the surface."""

    count: int = Field(4096, ge=8, description="of each hand and image")
    uniform_share: float = Field(0.5, ge=0, le=1)
    sigma: float = Field(0.01, gt=0, description="of the noise on surface points, in units of 0.4 m")


class ExtractionConfig(Strict):
    """Octree marching cubes in the cube of side 1.1."""

    resolution: int = Field(32, ge=4, description="cells along each side at the coarsest level")
    refinements: int = Field(3, ge=0)
    box: Literal["cube", "keypoints"] = Field(
        "cube", description="where the field is looked at: everywhere, or within 4 cm of the keypoints' box"
    )


OccupancyLoss = Literal["mse", "bce"]
"""Squared error of probabilities, or cross-entropy that counts inside points 8/3 times, as Im2Hands' history has it."""


class FieldConfig(Strict):
    """An occupancy field and how it is learnt."""

    parts: PartsConfig = PartsConfig()
    queries: QueriesConfig = QueriesConfig()
    loss: OccupancyLoss = "mse"
    threshold: float = Field(0.5, gt=0, lt=1, description="where the surface is")

"""IntagHand's settings. Defaults are the paper's sizes; released forms that were decided against are named options."""

from typing import Literal

from pydantic import Field, model_validator

from methods.config import SingleStageConfig, Strict, TwoHandAugmentConfig
from methods.layers.hand_encoder_config import HandEncoderConfig


class GraphConfig(Strict):
    """The decoder: one graph per hand, from few vertices to more."""

    vertices: tuple[int, ...] = Field((63, 126, 252), description="of each level, coarsest first")
    widths: tuple[int, ...] = Field((512, 256, 128, 64), description="into each level, and out of the last")
    blocks: int = Field(4, ge=1, description="residual graph blocks per level")
    cells: int = Field(8, ge=1, description="grid of each level's map, a side")
    grid_widths: tuple[int, ...] = Field((256, 128, 64), description="of the grid tokens of each level")
    heads: int = Field(4, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    image_attention: bool = Field(True, description="vertices attend to the image")
    hand_attention: bool = Field(True, description="vertices attend to those of the other hand")
    upsampling: Literal["fitted", "interpolating"] = Field(
        "fitted", description="where the map from the last level to all vertices starts"
    )
    learn_upsampling: bool = Field(False, description="whether that map is trained as well")

    @model_validator(mode="after")
    def _one_of_each(self) -> "GraphConfig":
        levels = len(self.vertices)
        if not levels or len(self.widths) != levels + 1 or len(self.grid_widths) != levels:
            raise ValueError("needs a grid width for each level of vertices, and one width more than levels")
        if list(self.vertices) != sorted(set(self.vertices)):
            raise ValueError("each level needs more vertices than the one before")
        if min(self.widths[0] - 3, *self.widths) < self.heads:
            raise ValueError("a width is too small for so many attention heads")
        return self


class LossWeights(Strict):
    """Of terms in metres, image halves and map values; the published weights."""

    verts: float = Field(100.0, ge=0, description="absolute error of all vertices; of the coarse ones too")
    joints: float = Field(100.0, ge=0, description="absolute error of the regressed joints")
    relative_root: float = Field(100.0, ge=0, description="absolute error; has no effect on verts: joint")
    points_2d: float = Field(
        50.0, ge=0, description="squared error of the projected vertices; of the coarse too"
    )
    normals: float = Field(10.0, ge=0, description="cosine of predicted edges and true face normals")
    edges: float = Field(2000.0, ge=0, description="absolute error of edge lengths")
    edges_from: float = Field(0.25, ge=0, le=1, description="share of training before the edge term begins")
    palm: float = Field(1.0, ge=0, description="absolute error of the log palm length; with size: unit_palm")
    heatmaps: float = Field(100.0, ge=0, description="squared error")
    masks: float = Field(500.0, ge=0, description="see mask_loss")
    dense: float = Field(
        30.0, ge=0, description="smooth absolute error of surface coordinates inside the masks"
    )


class IntagHandConfig(SingleStageConfig):
    """Everything that an ablation may change."""

    image_size_px: int = Field(256, ge=32, le=512)
    augment: TwoHandAugmentConfig = TwoHandAugmentConfig()
    encoder: HandEncoderConfig = HandEncoderConfig()
    fused_width: int = Field(256, ge=4, description="channels of each level's fused map")
    graph: GraphConfig = GraphConfig()
    size: Literal["metres", "unit_palm"] = Field(
        "metres",
        description="unit_palm: meshes with a mean palm of 95 mm, and a palm length regressed beside (released: none)",
    )
    relative_root: Literal["head", "in_vertices"] = Field(
        "head", description="released: the right hand's vertices are counted from the left hand's root"
    )
    mask_loss: Literal["smooth_l1", "cross_entropy"] = Field(
        "smooth_l1",
        description="the published one is content with empty masks at first, where few cells are a hand's",
    )
    heatmap_sigma_cells: float = Field(2.0, gt=0)
    weights: LossWeights = LossWeights()

"""The settings of the MANO regressor."""

from pydantic import Field

from methods.config import SingleStageConfig, Strict
from methods.layers.backbone_config import BackboneConfig


class LossWeights(Strict):
    """Absolute errors of points (metres; 2D in halves of the image side), squared errors of parameters."""

    verts: float = Field(1.0, ge=0)
    joints: float = Field(1.0, ge=0)
    points_2d: float = Field(0.1, ge=0)
    rotation: float = Field(0.05, ge=0, description="squared difference of rotation matrices")
    pose: float = Field(0.02, ge=0, description="squared difference of the 45 angles, radians")
    betas: float = Field(0.001, ge=0)


class ManoRegressorConfig(SingleStageConfig):
    """Backbone, one hidden layer, parameters."""

    backbone: BackboneConfig = BackboneConfig()
    hidden: int = Field(256, ge=8)
    n_components: int = Field(45, ge=1, le=45, description="pose components of the hand model")
    weights: LossWeights = LossWeights()

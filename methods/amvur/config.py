"""AMVUR's settings. Where the released code has a slip, the repaired form is the default and ``released`` forms are
named options, so that every difference can be ablated (see README.md)."""

from typing import Literal

from pydantic import Field

from methods.config import SingleStageConfig, Strict
from methods.layers.backbone_config import BackboneConfig


class PriorConfig(Strict):
    """The MANO prior-net, P."""

    hidden: int = Field(512, ge=8)
    activation: bool = Field(True, description="ReLU between the two layers of each head; released: none")
    rotation: Literal["axis_angle", "six_d"] = "axis_angle"
    n_components: int = Field(30, ge=1, le=45, description="pose components of the hand model")
    shape: Literal["betas", "zeros"] = Field("betas", description="released: zeros")
    scale: Literal["one", "regressed"] = Field(
        "one", description="a global factor on the mesh; released: regressed"
    )
    variance: Literal["regressed", "mano_coordinates"] = Field(
        "regressed", description="log-variance per vertex; released: the coordinates of a second MANO mesh"
    )
    initial_std_mm: float = Field(
        5.0, gt=0, description="where regressed standard deviations start, in both branches"
    )


class RegressorConfig(Strict):
    """The attention-based mesh vertices uncertainty regressor, Q."""

    coarse_verts: int = Field(195, ge=8)
    offsets_from: Literal["wrist", "prior"] = Field(
        "wrist",
        description="what Q's coordinates are counted from; prior: from P's mesh where there is a P, "
        "without a gradient to it",
    )
    widths: tuple[int, ...] = Field((1024, 256, 64), description="hidden width of each block")
    outputs: tuple[int, ...] = Field(
        (512, 128), description="output width of each block but the last, which gives 3"
    )
    feed_forward: int = Field(4, ge=1, description="times the hidden width")
    heads: int = Field(4, ge=1)
    layers: int = Field(4, ge=0, description="self-attention layers per block; 0: none")
    cross_attention: bool = Field(True, description="vertices attend to joints")
    position_embedding: bool = True
    dropout: float = Field(0.1, ge=0, lt=1)


class TextureConfig(Strict):
    """Reverse interpolation, the colour net, the rasteriser."""

    enabled: bool = True
    features: Literal["shallow", "global", "both"] = Field("both", description="released: shallow")
    global_features: int = Field(64, ge=1, description="the global vector is projected to this length")
    vertices: Literal["all", "coarse"] = Field("all", description="coarse: colour Q's vertices, interpolate")
    pixels: bool = Field(
        False, description="sample the image itself too, and predict a change of that colour"
    )
    width: int = Field(216, ge=4)
    heads: int = Field(12, ge=1)
    layers: int = Field(4, ge=0)
    feed_forward: int = Field(216, ge=4)
    dropout: float = Field(0.1, ge=0, lt=1)
    context: Literal["joints", "first_vertices"] = Field(
        "joints", description="keys of the cross-attention; released: the first 21 vertices"
    )
    sampling: Literal["aligned", "released"] = Field(
        "aligned", description="released: pixel coordinates read as cells of each map"
    )
    colours: Literal["unit", "imagenet"] = Field(
        "unit", description="released: unbounded, ImageNet-normalised"
    )
    light: Literal["ambient", "phong"] = Field(
        "ambient", description="released: one point light at (0, 0, -2) m"
    )
    visibility: Literal["seen_faces", "released", "ignored"] = Field(
        "seen_faces",
        description="which vertices keep their colour; released: loses one face without background",
    )
    photometric_mask: Literal["hand", "rendered"] = Field(
        "hand", description="released: the rendered silhouette alone"
    )
    geometry_gradient: bool = Field(True, description="the photometric loss also moves the mesh")
    render_px: int = Field(224, ge=16, description="side of the rendering in the loss")
    visibility_px: int = Field(
        224, ge=16, description="side of the rendering that decides visibility in predictions"
    )
    loss_images: int = Field(
        0, ge=0, description="images per step and worker with a photometric loss; 0: all"
    )


class KlConfig(Strict):
    """How the two branches are tied."""

    weight: float = Field(0.1, ge=0)
    vertices: Literal["gaussian", "l1_tie"] = Field(
        "gaussian", description="released: abs in place of the square"
    )
    points_2d: Literal["gaussian", "unit_prior"] = Field(
        "gaussian", description="released: a unit-variance prior"
    )


class FullSupervision(Strict):
    """Loss weights with 3D labels (the sheet's 3.1)."""

    camera: Literal["weak_perspective", "known_intrinsics"] = "weak_perspective"
    verts: float = Field(1.0, ge=0)
    joints: float = Field(1.0, ge=0)
    points_2d: float = Field(1.0, ge=0)
    rotation: float = Field(
        0.0, ge=0, description="squared difference of P's and the true rotation matrix; released: none"
    )
    angles: float = Field(
        0.0, ge=0, description="squared difference of P's and the true 45 angles, radians; released: none"
    )
    joint_limits: float = Field(0.02, ge=0)
    betas: float = Field(0.0001, ge=0, description="L2 penalty on the shape")
    texture: float = Field(0.001, ge=0)
    texture_from: float = Field(
        0.0, ge=0, le=1, description="share of training before the photometric loss begins"
    )


class WeakSupervision(Strict):
    """Loss weights with 2D joints and true intrinsics only (the sheet's 3.2)."""

    camera: Literal["predicted_intrinsics", "known_intrinsics", "weak_perspective"] = "predicted_intrinsics"
    data_on: Literal["prior", "both"] = Field(
        "prior", description="released: AMVUR learns through the KL alone"
    )
    points_2d: float = Field(3.0, ge=0, description="released: three terms of weight 1")
    joint_limits: float = Field(0.02, ge=0)
    pose: float = Field(0.02, ge=0, description="L2 penalty on the pose coefficients; released: none")
    betas: float = Field(0.05, ge=0, description="L2 penalty on the shape; released: shape is zero")
    texture: float = Field(0.0001, ge=0)
    texture_from: float = Field(0.5, ge=0, le=1)


class AmvurConfig(SingleStageConfig):
    """Everything that an ablation may change."""

    backbone: BackboneConfig = BackboneConfig()
    supervision: Literal["full", "weak"] = "full"
    branches: Literal["joint", "prior", "regressor"] = Field("joint", description="which of P and Q exist")
    predict: Literal["auto", "prior", "regressor"] = Field(
        "auto", description="the branch that is evaluated: Q when fully, P when weakly supervised"
    )
    likelihood: Literal["gaussian_nll", "moments", "samples", "deterministic"] = Field(
        "gaussian_nll",
        description="moments: absolute errors teach the mean, the likelihood the variance; released: samples",
    )
    beta_nll: float = Field(0.5, ge=0, le=1, description="beta-NLL weighting of the Gaussian likelihood")
    variance_2d: Literal["propagated", "released"] = Field(
        "propagated", description="released: a learned affine map, or a log-variance divided by 224"
    )
    prior: PriorConfig = PriorConfig()
    regressor: RegressorConfig = RegressorConfig()
    texture: TextureConfig = TextureConfig()
    kl: KlConfig = KlConfig()
    full: FullSupervision = FullSupervision()
    weak: WeakSupervision = WeakSupervision()

"""AMVUR's network: backbone, prior-net P, regressor Q, camera, texture, put together."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from methods.amvur.camera import Camera, CameraKind, CameraNet, ReleasedVariance2D
from methods.amvur.config import AmvurConfig
from methods.amvur.prior import Points, Prior, PriorNet
from methods.amvur.regressor import Regressor
from methods.amvur.rendering import phong, render, visible
from methods.amvur.texture import TextureNet, from_imagenet
from methods.layers.backbone import Backbone
from methods.layers.coarse_mesh import coarse_mesh
from methods.layers.gaussian import Gaussian
from methods.layers.precision import full_precision
from methods.layers.skin import MeanSkin
from tasks.geometry.cameras import scale_intrinsics
from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import HandModel


@dataclass(frozen=True)
class Branch:
    """P or Q: points in space, and their projection in [-1, 1] image units (B, 21, 2)."""

    points: Points
    joints_2d: Gaussian


@dataclass(frozen=True)
class Texture:
    """Colours of the vertices of the first n images, in the space of ``texture.colours``."""

    vertex_rgb: Tensor
    """(n, V, 3), 0 where no pixel sees the vertex."""
    rendered: Tensor | None
    """(n, 3, R, R); None when the photometric loss is off."""
    mask: Tensor | None
    """(n, R, R) bool."""


@dataclass(frozen=True)
class AmvurOutput:
    """Everything that losses and predictions need."""

    p: Branch | None
    q: Branch | None
    prior: Prior | None
    camera: Camera
    scales: dict[str, Tensor]
    """Learned sampling scalars (B, 1): ``3d``, ``2d`` and ``camera``."""
    texture: Texture | None
    joint_regressor: Tensor
    """(21, V)."""
    hands_mean: Tensor
    """(45,), the mean pose."""


class SamplingScale(nn.Module):
    """The learned scalar of the reparameterisation: log-variances of an image to one number (sheet 2.4)."""

    def __init__(self, inputs: int, hidden: int | None) -> None:
        super().__init__()
        sizes = (inputs, 1) if hidden is None else (inputs, hidden, 1)
        self.net = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))

    def forward(self, *log_vars: Tensor) -> Tensor:
        return self.net(torch.cat([value.flatten(1) for value in log_vars], 1))


class AmvurModule(nn.Module):
    """Image (B, 3, S, S) and known intrinsics (B, 3, 3) to both branches, camera and texture."""

    faces: Tensor
    joint_regressor: Tensor
    hands_mean: Tensor

    def __init__(self, config: AmvurConfig, hand: HandModel) -> None:
        super().__init__()
        self.config = config
        probabilistic = config.likelihood != "deterministic"
        self.backbone = Backbone(config.backbone, config.image_size_px)
        features = self.backbone.features
        mesh = coarse_mesh(hand, config.regressor.coarse_verts)
        self.prior = (
            PriorNet(config.prior, features, hand, probabilistic) if config.branches != "regressor" else None
        )
        std = config.prior.initial_std_mm if probabilistic else None
        self.regressor = None
        if config.branches != "prior":
            self.regressor = Regressor(config.regressor, features, hand, mesh, std)
        kind: CameraKind = config.weak.camera if config.supervision == "weak" else config.full.camera
        heads = (features, config.prior.hidden, config.prior.activation)
        self.camera = CameraNet(kind, *heads, config.image_size_px, probabilistic)
        self.released_2d = None
        if probabilistic and config.variance_2d == "released":
            self.released_2d = ReleasedVariance2D(kind, *heads, with_prior=self.prior is not None)
        self.scales = self._scales(hand.n_verts) if config.likelihood == "samples" else nn.ModuleDict()
        self.texture = None
        if config.texture.enabled:
            channels = self.backbone.map_channels
            self.texture = TextureNet(config.texture, features, channels, mesh, config.image_size_px)
        self.skin = MeanSkin()
        self.register_buffer("faces", hand.faces.clone(), persistent=False)
        self.register_buffer("joint_regressor", hand.joint_regressor21().clone(), persistent=False)
        self.register_buffer("hands_mean", hand.hands_mean.clone(), persistent=False)

    def _scales(self, n_verts: int) -> nn.ModuleDict:
        nets = {"3d": SamplingScale(3 * (n_verts + 21), 512), "2d": SamplingScale(2 * 21, None)}
        if self.camera.kind == "predicted_intrinsics":
            nets["camera"] = SamplingScale(4, None)
        return nn.ModuleDict(nets)

    def forward(
        self,
        image: Tensor,
        intrinsics_px: Tensor,
        hand_mask: Tensor | None = None,
        render_loss: bool = False,
        predicting: bool = False,
    ) -> AmvurOutput:
        """``hand_mask`` feeds the running mean skin colour in training; ``render_loss`` asks for the loss's rendering;
        ``predicting`` colours every image, at the resolution that decides visibility."""
        if self.training and hand_mask is not None:
            self.skin.update(image, hand_mask)
        features, maps = self.backbone(image)
        with full_precision(image):
            features, maps = features.float(), [m.float() for m in maps]
            camera = self.camera(features, intrinsics_px)
            prior = None if self.prior is None else self.prior(features)
            p = None if prior is None else self._branch(features, prior, camera, is_prior=True)
            q = None
            if self.regressor is not None:
                points = self.regressor(features, None if prior is None else prior.verts.mean)
                q = self._branch(features, points, camera, is_prior=False)
            texture = self._textured(image, maps, features, camera, p, q, render_loss, predicting)
        scales = self._scale_values(p or q, camera)
        return AmvurOutput(p, q, prior, camera, scales, texture, self.joint_regressor, self.hands_mean)

    def _branch(self, features: Tensor, points: Points, camera: Camera, is_prior: bool) -> Branch:
        projected = camera.project(points.joints)
        if self.released_2d is not None:
            projected = self.released_2d(features, points.joints, projected, camera, is_prior)
        return Branch(points, projected)

    def _scale_values(self, branch: Branch | None, camera: Camera) -> dict[str, Tensor]:
        """The scalars read P's log-variances (Q's where there is no P)."""
        if not self.scales or branch is None:
            return {}
        points = branch.points
        inputs = {"3d": (points.verts.log_var, points.joints.log_var), "2d": (branch.joints_2d.log_var,)}
        if camera.intrinsics is not None:
            inputs["camera"] = (camera.intrinsics.log_var,)
        return {name: self.scales[name](*values) for name, values in inputs.items()}

    def _textured(
        self, image: Tensor, maps: list[Tensor], features: Tensor, camera: Camera, p: Branch | None, q: Branch | None,
        render_loss: bool, predicting: bool,
    ) -> Texture | None:  # fmt: skip
        """In the loss on P's mesh, as released; in predictions on the mesh that is evaluated."""
        if self.texture is None:
            return None
        config = self.config.texture
        branch = self.evaluated(p, q) if predicting else (p or q)
        assert branch is not None
        n = len(image) if predicting else (config.loss_images or len(image))
        verts, joints = (x[:n] for x in (branch.points.verts.mean, branch.points.joints.mean))
        if not config.geometry_gradient:
            verts, joints = verts.detach(), joints.detach()
        sub = _first(camera, n)
        rgb = self.texture(
            image[:n], [m[:n] for m in maps], features[:n],
            sub.project(Gaussian(verts)).mean, sub.project(Gaussian(joints)).mean,
        )  # fmt: skip
        return self._rendered(
            rgb, verts + sub.wrist_cam_m[:, None], sub.intrinsics_px, render_loss, predicting
        )

    def _rendered(
        self, rgb: Tensor, verts_cam_m: Tensor, intrinsics_px: Tensor, render_loss: bool, predicting: bool
    ) -> Texture:
        config = self.config.texture
        if not (render_loss or predicting):
            return Texture(rgb, None, None)
        side = config.visibility_px if predicting else config.render_px
        ratio = side / self.config.image_size_px
        fragments = rasterise(verts_cam_m, self.faces, scale_intrinsics(intrinsics_px, ratio, ratio), side)
        seen = visible(fragments, self.faces, verts_cam_m.shape[1], config.visibility)
        if config.light == "phong":
            rgb = phong(verts_cam_m, self.faces, rgb)
        if predicting and config.colours == "imagenet":
            rgb = from_imagenet(rgb)
        rgb = rgb * seen[..., None]
        return Texture(rgb, None if predicting else render(fragments, self.faces, rgb), fragments.mask)

    def evaluated(self, p: Branch | None, q: Branch | None) -> Branch:
        """The branch whose means are the prediction."""
        wanted = self.config.predict
        if wanted == "auto":
            wanted = "prior" if self.config.supervision == "weak" else "regressor"
        branch = (p or q) if wanted == "prior" else (q or p)
        assert branch is not None
        return branch


def _first(camera: Camera, n: int) -> Camera:
    """The camera of the first n images, means only."""
    return Camera(
        camera.kind,
        camera.image_size_px,
        camera.wrist_cam_m[:n],
        camera.intrinsics_px[:n],
        None if camera.weak is None else camera.weak[:n],
        None if camera.intrinsics is None else Gaussian(camera.intrinsics.mean[:n]),
    )

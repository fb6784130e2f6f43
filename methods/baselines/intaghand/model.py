"""IntagHand's network: image encoder, fused maps, interacting graphs, and the heads that make two placed meshes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.baselines.intaghand.config import IntagHandConfig
from methods.baselines.intaghand.graph_decoder import HANDS, GraphDecoder
from methods.baselines.intaghand.hierarchy import mesh_hierarchy
from methods.layers.camera import decode_camera
from methods.layers.coarse_mesh import CoarseMesh, coarse_mesh, fitted_upsampling
from methods.layers.hand_encoder import HandEncoder, HandEncoding, HandHeads
from methods.layers.hand_pair import HandPair
from methods.layers.heads import head
from methods.layers.initialisation import xavier
from methods.layers.precision import full_precision
from tasks.errors import RequestError
from tasks.geometry.cameras import weak_to_translation
from tasks.hands.hand import HandModel

DECIMETRE = 0.1
UNIT_PALM_M = 0.095
"""The mean palm of meshes in ``size: unit_palm``."""


@dataclass(frozen=True)
class IntagHandOutput:
    """Meshes in metres, or with a mean palm of 95 mm; right hand, then left."""

    verts: Tensor
    """(B, 2, V, 3), each about its own root, or both about the left hand's (``relative_root: in_vertices``)."""
    coarse_verts: Tensor
    """(B, 2, n, 3), the last level's."""
    cameras: Tensor
    """(B, 2, 3): s, tx, ty of these vertices in normalised image units."""
    relative_root: Tensor | None
    """(B, 3): right root minus left root, where it is regressed apart."""
    log_palm: Tensor | None
    """(B,): log of the mean palm length over 95 mm, in ``size: unit_palm``."""
    heads: HandHeads


class IntagHandModule(nn.Module):
    """``forward(image (B, 3, S, S)) -> IntagHandOutput``."""

    def __init__(self, config: IntagHandConfig, hand: HandModel) -> None:
        super().__init__()
        self.config = config
        graph = config.graph
        self.encoder = HandEncoder(config.encoder, config.image_size_px, with_heads=True)
        self.fuse = FusedMaps(self.encoder, config.fused_width, len(graph.vertices))
        self.pair = HandPair(hand)
        levels = mesh_hierarchy(hand, graph.vertices)
        self.decoder = GraphDecoder(
            graph, levels, self.pair.coordinates, self.encoder.features, config.fused_width,
            self.encoder.map_sizes[: len(levels)],
        )  # fmt: skip
        self.upsample = _upsampling(hand, coarse_mesh(hand, graph.vertices[-1]), config)
        width = graph.widths[-1]
        self.coordinates = nn.Linear(width, 3)
        self.average = nn.Linear(graph.vertices[-1], 1)
        self.camera = nn.Linear(width, 3)
        xavier(nn.ModuleList([self.coordinates, self.average, self.camera]))
        nn.init.normal_(self.camera.weight, std=0.01)
        self.relative_root = None
        if config.relative_root == "head":
            self.relative_root = head(HANDS * width, HANDS * width, 3, std=0.01)
        self.palm = head(self.encoder.features, 64, 1, std=0.001) if config.size == "unit_palm" else None

    def forward(self, image: Tensor) -> IntagHandOutput:
        encoding = self.encoder(image)
        with full_precision(image):
            return self._decoded(_in_float32(encoding))

    def _decoded(self, encoding: HandEncoding) -> IntagHandOutput:
        assert encoding.heads is not None
        hands = self.decoder(encoding.features, self.fuse(encoding))
        averages = [self.average(hand.mT)[..., 0] for hand in hands]
        coarse = DECIMETRE * torch.stack([self.coordinates(hand) for hand in hands], 1)
        relative_root = None
        if self.relative_root is not None:
            relative_root = DECIMETRE * self.relative_root(torch.cat(averages, 1))
        return IntagHandOutput(
            verts=self.upsample(coarse.mT).mT,
            coarse_verts=coarse,
            cameras=torch.stack([decode_camera(self.camera(average)) for average in averages], 1),
            relative_root=relative_root,
            log_palm=None if self.palm is None else self.palm(encoding.features)[:, 0],
            heads=encoding.heads,
        )

    def placed(self, out: IntagHandOutput, intrinsics_px: Tensor, has_hand: Tensor) -> Tensor:
        """Vertices (B, 2, V, 3) in metres in the camera frame; intrinsics (B, 3, 3), ``has_hand`` (B, 2).

        Each hand's camera says where its root is. Where both are there, the middle between the roots stays and the
        regressed relative root, which is far surer than the difference of two depths, says how far they are apart.
        """
        factor = torch.ones_like(out.verts[:, 0, 0, 0]) if out.log_palm is None else out.log_palm.exp()
        metres = factor[:, None, None, None]
        raw_roots = self.pair.roots(out.verts)
        relative = out.relative_root
        if relative is None:
            relative = (raw_roots[:, 0] - raw_roots[:, 1])[:, 0]
        weak = torch.cat(
            [out.cameras[..., :1] / factor[:, None, None],
             (out.cameras[..., 1:] + raw_roots[:, :, 0, :2]) * factor[:, None, None]], -1,
        )  # fmt: skip
        roots_m = weak_to_translation(weak, intrinsics_px[:, None], self.config.image_size_px)
        apart_m = 0.5 * factor[:, None] * relative
        joined_m = roots_m.mean(1, keepdim=True) + torch.stack([apart_m, -apart_m], 1)
        roots_m = torch.where(has_hand.all(1)[:, None, None], joined_m, roots_m)
        return metres * (out.verts - raw_roots) + roots_m[:, :, None]


class FusedMaps(nn.Module):
    """Heatmap map, dense map and, but on the coarsest level, the image network's own, by a 1x1 convolution to one."""

    def __init__(self, encoder: HandEncoder, width: int, levels: int) -> None:
        super().__init__()
        if levels > len(encoder.map_sizes):
            raise RequestError(
                f"graph.vertices has {levels} levels and the image network {len(encoder.map_sizes)} maps: give no more "
                "levels than maps."
            )
        own = (0, *encoder.image_channels[1:levels])
        self.levels = nn.ModuleList(
            nn.Conv2d(2 * encoder.decoder_width + channels, width, 1) for channels in own
        )

    def forward(self, encoding: HandEncoding) -> list[Tensor]:
        fused = []
        for i, level in enumerate(self.levels):
            maps = [encoding.heatmap_maps[i], encoding.dense_maps[i]]
            fused.append(level(torch.cat(maps if i == 0 else [*maps, encoding.image_maps[i]], 1)))
        return fused


def _upsampling(hand: HandModel, mesh: CoarseMesh, config: IntagHandConfig) -> nn.Linear:
    """The last level to all vertices."""
    fitted = config.graph.upsampling == "fitted"
    weights = fitted_upsampling(hand, mesh) if fitted else mesh.upsampling
    linear = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    linear.weight.data.copy_(weights)
    return linear.requires_grad_(config.graph.learn_upsampling)


def _in_float32(encoding: HandEncoding) -> HandEncoding:
    heads = encoding.heads
    return HandEncoding(
        encoding.features.float(),
        [m.float() for m in encoding.image_maps],
        [m.float() for m in encoding.heatmap_maps],
        [m.float() for m in encoding.dense_maps],
        heads and HandHeads(heads.heatmaps.float(), heads.masks.float(), heads.dense.float()),
    )

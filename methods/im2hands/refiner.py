"""Keypoint refinement: joints of each hand on a graph, which look at the image; no hand sees the other one.

Each layer joins the graph's output to the tokens, so they grow, and lets all joints of a hand and the image's grid
attend to each other.
"""

import torch
from torch import Tensor, nn

from methods.im2hands.config import RefinerConfig
from methods.layers.graph import GraphBlocks, GraphForm, graph_matrix
from methods.layers.hand_encoder import HandEncoder, HandHeads
from methods.layers.image_attention import ImageAttention
from tasks.hands.skeleton import BONES, MIDDLE_MCP, N_JOINTS

SIDES = 2
UNIT_M = 0.1
"""What joints are read and written in; the released code has millimetres, which only scales its first weights."""
FORMS: dict[str, GraphForm] = {"laplacian": "laplacian", "directed": "raw_directed"}


class KeypointRefiner(nn.Module):
    """``forward(image (B, 3, S, S), keypoints (B, 2, 21, 3))``: joints about the left middle knuckle, and heads."""

    def __init__(self, config: RefinerConfig, image_size_px: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = HandEncoder(config.image, image_size_px, config.head_weight > 0, with_features=False)
        channels = self.encoder.image_channels[-1] + 2 * config.image.decoder_width
        self.map = nn.Conv2d(channels, config.map_channels, 1)
        self.hands = nn.ModuleList(JointNetwork(config, self.encoder.map_sizes[-1]) for _ in range(SIDES))

    def forward(self, image: Tensor, keypoints_cam_m: Tensor) -> tuple[Tensor, HandHeads | None]:
        encoded = self.encoder(image)
        finest = [maps[-1] for maps in (encoded.image_maps, encoded.heatmap_maps, encoded.dense_maps)]
        seen = self.map(torch.cat(finest, 1))
        origin_m = keypoints_cam_m[:, 1:, MIDDLE_MCP, None]
        given = (keypoints_cam_m - origin_m) / UNIT_M
        tokens = [hand(given[:, side], seen) for side, hand in enumerate(self.hands)]
        regressors = self.hands if self.config.regressors == "per_side" else [self.hands[1]] * SIDES
        found = torch.stack([r.regress(t) for r, t in zip(regressors, tokens, strict=True)], 1)  # type: ignore[operator]
        found_m = UNIT_M * (given + found if self.config.output == "offsets" else found)
        return found_m, encoded.heads

    def refined(self, image: Tensor, keypoints_cam_m: Tensor) -> Tensor:
        """Keypoints (B, 2, 21, 3) in the camera frame: each hand's middle knuckle stays where it was given.

        The loss does not say where one hand is relative to the other, so the source keeps its say in that.
        """
        found_m, _ = self(image, keypoints_cam_m)
        shift_m = keypoints_cam_m[:, :, MIDDLE_MCP] - found_m[:, :, MIDDLE_MCP]
        return found_m + shift_m[:, :, None]


class JointNetwork(nn.Module):
    """The tokens of one side's joints."""

    def __init__(self, config: RefinerConfig, map_size: int) -> None:
        super().__init__()
        self.joint = nn.Embedding(N_JOINTS, config.joint_code)
        self.point = _two_layers(3, config.point_code, config.point_code, config.dropout)
        width = config.joint_code + config.point_code
        matrix = graph_matrix(N_JOINTS, BONES, FORMS[config.graph])
        self.graphs, self.looks = nn.ModuleList(), nn.ModuleList()
        for grid_width in config.grid_widths:
            self.graphs.append(
                GraphBlocks(
                    width, config.graph_width, matrix, blocks=config.graph_blocks, dropout=config.dropout
                )
            )
            width += config.graph_width
            self.looks.append(
                ImageAttention(
                    config.map_channels,
                    map_size,
                    width=width,
                    cells=config.grid,
                    grid_width=grid_width,
                    heads=config.heads,
                    dropout=config.dropout,
                    together=True,
                )
            )
        self.regress = _two_layers(width, config.hidden, 3, config.dropout)
        if config.output == "offsets":
            nn.init.zeros_(self.regress[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.regress[-1].bias)  # type: ignore[arg-type]

    def forward(self, joints: Tensor, seen: Tensor) -> Tensor:
        """(B, 21, C) of joints (B, 21, 3)."""
        codes = self.joint.weight.expand(len(joints), -1, -1)
        tokens = torch.cat([codes, self.point(joints)], 2)
        for graph, look in zip(self.graphs, self.looks, strict=True):
            tokens = look(torch.cat([tokens, graph(tokens)], 2), seen)
        return tokens


def _two_layers(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
    )

"""Chebyshev convolutions on a fixed graph (Defferrard et al., NIPS 2016), and the residual blocks made of them.

Source: Dw1010/IntagHand: models/model_attn (the norm before the first convolution, which the released block computes
and discards, is left out).
"""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.layers.initialisation import xavier

GraphForm = Literal["laplacian", "raw_directed"]
EPSILON = 1e-6


def graph_matrix(n_nodes: int, edges: Iterable[tuple[int, int]], form: GraphForm = "laplacian") -> Tensor:
    """The (n, n) float32 matrix that carries features along the edges.

    ``laplacian``: the symmetric normalised Laplacian I - D^-1/2 A D^-1/2, its eigenvalues moved from [0, 2] to
    [-1, 1]. ``raw_directed``: A itself, 1 from the first node of an edge to its second, as Im2Hands' released keypoint
    refiner has it with (parent, child): features of a child reach its parent, never the other way.
    """
    adjacency = torch.zeros(n_nodes, n_nodes)
    first, second = torch.as_tensor(list(edges), dtype=torch.int64).view(-1, 2).unbind(1)
    adjacency[first, second] = 1.0
    if form == "raw_directed":
        return adjacency
    adjacency = torch.maximum(adjacency, adjacency.mT)
    scale = adjacency.sum(1).clamp_min(1).rsqrt()
    return -scale[:, None] * adjacency * scale


class ChebyshevConv(nn.Module):
    """A linear map of [T_0 x, ..., T_(order-1) x] with T_k the Chebyshev polynomials of the graph's matrix."""

    matrix: Tensor

    def __init__(self, inputs: int, outputs: int, matrix: Tensor, order: int = 2) -> None:
        super().__init__()
        self.order = order
        self.register_buffer("matrix", matrix, persistent=False)
        self.linear = nn.Linear(order * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, inputs) -> (B, n, outputs)."""
        terms = [x]
        for k in range(1, self.order):
            step = self.matrix @ terms[-1]
            terms.append(step if k == 1 else 2 * step - terms[-2])
        return self.linear(torch.cat(terms, -1))


class GraphBlock(nn.Module):
    """Convolution, norm, ReLU, convolution, dropout; a linear shortcut; a norm after the sum."""

    def __init__(self, inputs: int, outputs: int, matrix: Tensor, order: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.conv1 = ChebyshevConv(inputs, outputs, matrix, order)
        self.norm1 = nn.LayerNorm(outputs, EPSILON)
        self.conv2 = ChebyshevConv(outputs, outputs, matrix, order)
        self.shortcut = nn.Linear(inputs, outputs)
        self.norm2 = nn.LayerNorm(outputs, EPSILON)
        xavier(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.norm1(self.conv1(x))))
        return self.norm2(F.dropout(y, self.dropout, self.training) + self.shortcut(x))


class GraphBlocks(nn.Module):
    """``blocks`` residual blocks with ReLUs between: (B, n, inputs) -> (B, n, outputs)."""

    def __init__(
        self, inputs: int, outputs: int, matrix: Tensor, *, blocks: int, order: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        widths = (inputs, *[outputs] * (blocks - 1))
        self.blocks = nn.ModuleList(GraphBlock(width, outputs, matrix, order, dropout) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(F.relu(x) if i else x)
        return x

"""From the loaded template to a few graphs, each with more of its vertices than the one before.

The released graphs were made from the licensed mesh by graph coarsening with padding; these are derived from whichever
template is loaded: vertices by farthest-point sampling, which keeps those of the coarser levels, and two of them
neighbours where the regions nearest to them touch. The left hand's mesh is the right one's mirrored, so both share
one hierarchy.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from methods.layers.graph import graph_matrix
from tasks.geometry.mesh import coarse_vertices, mesh_edges, upsampling_weights
from tasks.hands.hand import HandModel


@dataclass(frozen=True)
class GraphLevel:
    """n of the template's vertices."""

    vertices: Tensor
    """(n,) int64, ascending."""
    matrix: Tensor
    """(n, n) float32: what graph convolutions multiply by."""
    nearest_coarser: Tensor
    """(n,) int64: the place of the nearest vertex of the level before; empty for the first level."""


def mesh_hierarchy(hand: HandModel, sizes: tuple[int, ...]) -> list[GraphLevel]:
    """One level per size, coarsest first. Raises RequestError for a size beyond the mesh's."""
    template, faces = hand.data.v_template, hand.data.faces
    chosen = [coarse_vertices(template, faces, size) for size in sizes]
    regions = [upsampling_weights(template, faces, vertices, k=1).argmax(1) for vertices in chosen]
    parents = [np.empty(0, np.int64)]
    parents += [region[vertices] for region, (_, vertices) in zip(regions, pairwise(chosen), strict=False)]
    return [
        GraphLevel(
            torch.from_numpy(vertices),
            graph_matrix(len(vertices), touching(region, faces)),
            torch.from_numpy(parent),
        )
        for vertices, region, parent in zip(chosen, regions, parents, strict=True)
    ]


def touching(region: np.ndarray, faces: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of regions that an edge of the mesh connects; ``region`` (V,) says to which each vertex belongs."""
    pairs = np.unique(np.sort(region[mesh_edges(faces)], axis=1), axis=0)
    return [(int(a), int(b)) for a, b in pairs if a != b]

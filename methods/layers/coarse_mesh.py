"""A few vertices that stand for all: chosen from whichever template is loaded, never shipped."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.geometry.mesh import coarse_vertices, upsampling_weights
from tasks.hands.hand import HandModel


@dataclass(frozen=True)
class CoarseMesh:
    """A subset of a template's vertices and the weights that interpolate from it."""

    vertices: Tensor
    """(n,) int64."""
    upsampling: Tensor
    """(V, n) float32, rows sum to 1."""


def coarse_mesh(hand: HandModel, n: int) -> CoarseMesh:
    """``n`` vertices spread over the hand's flat mesh."""
    template, faces = hand.data.v_template, hand.data.faces
    vertices = coarse_vertices(template, faces, n)
    weights = upsampling_weights(template, faces, vertices)
    return CoarseMesh(torch.from_numpy(vertices), torch.from_numpy(weights).float())

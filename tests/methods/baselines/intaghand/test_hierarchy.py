from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components

from methods.baselines.intaghand.hierarchy import mesh_hierarchy, touching
from methods.layers.hand_pair import surface_coordinates
from tasks.errors import RequestError
from tasks.geometry.mesh import edge_graph
from tasks.hands.hand import HandModel


def sheet(side: int) -> SimpleNamespace:
    """A flat square of side^2 vertices: a template that is no hand."""
    y, x = np.divmod(np.arange(side * side), side)
    corner = (y * side + x)[(x < side - 1) & (y < side - 1)]
    lower = np.stack([corner, corner + 1, corner + side], 1)
    upper = np.stack([corner + 1, corner + side + 1, corner + side], 1)
    verts = np.stack([x, y, 0 * x], 1).astype(float)
    return SimpleNamespace(data=SimpleNamespace(v_template=verts, faces=np.concatenate([lower, upper])))


def test_each_level_keeps_the_vertices_of_the_one_before(hand: HandModel) -> None:
    levels = mesh_hierarchy(hand, (63, 126, 252))
    assert [len(level.vertices) for level in levels] == [63, 126, 252]
    for coarse, fine in pairwise(levels):
        assert set(coarse.vertices.tolist()) <= set(fine.vertices.tolist())
        kept = torch.isin(fine.vertices, coarse.vertices)
        nearest = coarse.vertices[fine.nearest_coarser]
        assert torch.equal(nearest[kept], fine.vertices[kept])


def test_the_graph_of_every_level_is_whole_and_goes_both_ways(hand: HandModel) -> None:
    for level in mesh_hierarchy(hand, (16, 48)):
        matrix = level.matrix.numpy()
        assert np.array_equal(matrix, matrix.T)
        assert connected_components(matrix != 0)[0] == 1
        assert not matrix.diagonal().any()


def test_other_meshes_than_a_hands_have_a_hierarchy() -> None:
    levels = mesh_hierarchy(sheet(9), (4, 20))  # type: ignore[arg-type]
    verts = torch.from_numpy(sheet(9).data.v_template)
    fine, coarse = (verts[level.vertices] for level in reversed(levels))
    copied = (fine - coarse[levels[1].nearest_coarser]).norm(dim=1)
    assert float(copied.max()) <= float(torch.cdist(fine, coarse).min(1).values.max()) * 2**0.5


def test_regions_are_neighbours_exactly_where_an_edge_crosses_between_them() -> None:
    data = sheet(6).data
    region = np.repeat(np.arange(3), 12)  # three stripes of two rows
    assert touching(region, data.faces) == [(0, 1), (1, 2)]
    everything = touching(np.arange(36), data.faces)
    assert len(everything) == edge_graph(data.v_template, data.faces).nnz // 2


def test_surface_coordinates_fill_the_unit_box(hand: HandModel) -> None:
    coordinates = surface_coordinates(hand)
    assert coordinates.amin(0).tolist() == [0, 0, 0]
    assert coordinates.amax(0).tolist() == [1, 1, 1]


def test_more_vertices_than_the_mesh_has_are_refused(hand: HandModel) -> None:
    with pytest.raises(RequestError, match="779 coarse vertices of 778"):
        mesh_hierarchy(hand, (63, 779))

"""Topology of closed and open meshes, coarse vertices and the way back up."""

import numpy as np
import pytest
import trimesh

from tasks.errors import RequestError
from tasks.geometry.mesh import (
    coarse_vertices,
    edge_faces,
    edge_graph,
    is_closed,
    mesh_edges,
    upsampling_weights,
    watertight_problem,
)
from tasks.geometry.surface import seal
from tasks.hands.hand import load_hand

SPHERE = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
VERTS, FACES = np.asarray(SPHERE.vertices), np.asarray(SPHERE.faces)


def strip(n):
    """A flat strip of n unit squares: vertices along y = 0 then along y = 1."""
    x = np.arange(n + 1.0)
    verts = np.concatenate([np.stack([x, 0 * x, 0 * x], 1), np.stack([x, 0 * x + 1, 0 * x], 1)])
    low, up = np.arange(n), np.arange(n) + n + 1
    return verts, np.concatenate([np.stack([low, low + 1, up], 1), np.stack([low + 1, up + 1, up], 1)])


def test_edges_are_those_of_trimesh():
    ours = {tuple(edge) for edge in mesh_edges(FACES)}
    assert ours == {tuple(edge) for edge in np.sort(SPHERE.edges_unique, 1)}
    assert len(VERTS) - len(ours) + len(FACES) == 2, "Euler's formula"


def test_every_edge_of_a_closed_mesh_has_the_two_faces_that_hold_it():
    edges, owners = edge_faces(FACES)
    assert (owners >= 0).all()
    assert (owners[:, 0] != owners[:, 1]).all()
    for edge, pair in zip(edges, owners, strict=True):
        assert all(set(edge) <= set(FACES[face]) for face in pair)


def test_the_border_of_an_open_mesh_has_one_face_per_edge():
    _, faces = strip(4)
    edges, owners = edge_faces(faces)
    border = edges[owners[:, 1] < 0]
    assert len(border) == 2 * 4 + 2
    assert len(edges) - len(border) == 3 + 4


def test_an_edge_with_three_faces_is_refused():
    with pytest.raises(RequestError, match="3 faces"):
        edge_faces(np.array([[0, 1, 2], [0, 1, 3], [1, 0, 4]]))


def test_the_edge_graph_holds_lengths_and_is_symmetric():
    graph = edge_graph(VERTS, FACES)
    assert abs(graph - graph.T).max() == 0
    a, b = mesh_edges(FACES)[17]
    assert graph[a, b] == pytest.approx(np.linalg.norm(VERTS[a] - VERTS[b]))


def test_coarse_vertices_are_distinct_spread_out_and_the_same_every_time():
    coarse = coarse_vertices(VERTS, FACES, 40)
    assert coarse.dtype == np.int64
    assert len(set(coarse)) == 40
    assert (np.diff(coarse) > 0).all()
    assert np.array_equal(coarse, coarse_vertices(VERTS, FACES, 40))
    gaps = np.linalg.norm(VERTS[coarse][:, None] - VERTS[coarse][None], axis=-1) + np.eye(40)
    cover = np.linalg.norm(VERTS[:, None] - VERTS[coarse][None], axis=-1).min(1)
    assert gaps.min() > 0.6 * cover.max(), "no two closer than the holes they leave"
    random = np.random.default_rng(0).choice(len(VERTS), 40, replace=False)
    assert cover.max() < np.linalg.norm(VERTS[:, None] - VERTS[random][None], axis=-1).min(1).max()


def test_the_spread_is_measured_along_the_surface():
    """A folded strip: its two ends touch in space and are farthest apart on the mesh."""
    verts, faces = strip(40)
    angle = verts[:, 0] / 40 * 2 * np.pi * 0.98
    folded = np.stack([np.cos(angle), np.sin(angle), verts[:, 1] / 10], 1)
    ends = set(coarse_vertices(folded, faces, 4) % 41)
    assert {0, 40} <= ends


def test_all_vertices_or_one_may_be_kept_and_nothing_else():
    assert np.array_equal(coarse_vertices(VERTS, FACES, len(VERTS)), np.arange(len(VERTS)))
    assert len(coarse_vertices(VERTS, FACES, 1)) == 1
    for n in (0, len(VERTS) + 1):
        with pytest.raises(RequestError, match="ask for 1 to"):
            coarse_vertices(VERTS, FACES, n)


def test_coinciding_vertices_are_not_chosen_twice():
    verts, faces = strip(3)
    verts[:] = verts[0]
    assert coarse_vertices(verts, faces, 5).tolist() == [0, 1, 2, 3, 4]


def test_separate_parts_each_get_a_coarse_vertex():
    verts = np.concatenate([VERTS, VERTS * 0.1 + 1])
    faces = np.concatenate([FACES, FACES + len(VERTS)])
    coarse = coarse_vertices(verts, faces, 2)
    assert sorted(coarse >= len(VERTS)) == [False, True]
    assert upsampling_weights(verts, faces, coarse).sum(1) == pytest.approx(1)
    with pytest.raises(RequestError, match="connected to no coarse vertex"):
        upsampling_weights(verts, faces, coarse[:1])


def test_upsampling_keeps_coarse_values_and_constants_and_uses_three_neighbours():
    coarse = coarse_vertices(VERTS, FACES, 60)
    weights = upsampling_weights(VERTS, FACES, coarse)
    assert weights.shape == (len(VERTS), 60)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(weights[coarse], np.eye(60))
    assert ((weights > 0).sum(1) <= 3).all()
    assert (weights >= 0).all()


def test_upsampling_weighs_by_inverse_distance_along_the_mesh():
    verts, faces = strip(6)
    weights = upsampling_weights(verts, faces, np.array([0, 3, 6]), k=2)
    np.testing.assert_allclose(weights[1], [2 / 3, 1 / 3, 0], rtol=1e-6)
    np.testing.assert_allclose(weights[5], [0, 1 / 3, 2 / 3], rtol=1e-6)


def test_a_smooth_function_survives_coarsening():
    coarse = coarse_vertices(VERTS, FACES, 160)
    up = upsampling_weights(VERTS, FACES, coarse) @ VERTS[coarse]
    assert np.linalg.norm(up - VERTS, axis=1).mean() < 0.005


def test_a_closed_mesh_has_no_problem_wherever_it_stands():
    for shape in (SPHERE, trimesh.creation.torus(0.1, 0.03), trimesh.creation.box((1, 2, 3))):
        for shift in (0.0, 0.5, -100.0):
            assert watertight_problem(np.asarray(shape.vertices) + shift, np.asarray(shape.faces)) is None


def test_closed_pieces_that_cross_or_share_an_edge_have_no_problem():
    crossing = trimesh.util.concatenate([SPHERE, SPHERE.copy().apply_translation([0.05, 0, 0])])
    assert watertight_problem(np.asarray(crossing.vertices), np.asarray(crossing.faces)) is None
    verts = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0], [0, 0, -1.0]])
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    other = np.array([0, 1, 4, 5, 0, 0])[tetrahedron]
    assert watertight_problem(verts, np.concatenate([tetrahedron, other])) is None


def test_edges_of_more_than_two_faces_are_no_border():
    """Two closed boxes that share an edge, as marching cubes may leave them."""
    box = trimesh.creation.box()
    verts, faces = np.array(box.vertices), np.array(box.faces)
    both = np.concatenate([verts, verts + np.array([1, 1, 0])]), np.concatenate([faces, faces + len(verts)])
    whole = trimesh.Trimesh(*both, process=True, merge_norm=True, merge_tex=True)
    assert len(whole.vertices) == 14
    assert not whole.is_watertight
    assert is_closed(np.array(whole.faces))
    assert not is_closed(np.array(whole.faces)[1:])


def test_a_face_that_is_a_line_neither_opens_nor_closes_a_mesh():
    assert watertight_problem(VERTS, np.vstack([FACES, [[0, 0, 1]]])) is None
    assert "open" in watertight_problem(VERTS, np.vstack([FACES[1:], [[0, 0, 1]]]))


@pytest.mark.parametrize(
    ("verts", "faces", "problem"),
    [
        (VERTS, FACES[:0], "has no faces"),
        (VERTS[:0], FACES[:0], "has no faces"),
        (np.where(np.arange(VERTS.size).reshape(VERTS.shape) == 7, np.nan, VERTS), FACES, "not finite"),
        (VERTS[:-1], FACES, f"names vertices beyond its {len(VERTS) - 1}"),
        (VERTS, FACES[1:], "open along 3 border edges"),
        (VERTS, np.vstack([FACES, FACES[:1]]), "open along 3 border edges"),
        (VERTS, np.vstack([FACES[:1, ::-1], FACES[1:]]), "winds inconsistently at 3 edges"),
        (VERTS, FACES[:, ::-1], "inside out"),
        (VERTS * [1, 1, 0], FACES, "enclose no volume"),
    ],
    ids=[
        "no faces",
        "nothing",
        "nan",
        "index",
        "hole",
        "a face twice",
        "a face turned",
        "inside out",
        "flat",
    ],
)
def test_what_is_wrong_with_a_mesh_is_said(verts, faces, problem):
    assert problem in watertight_problem(verts, faces)


def test_a_hand_is_open_at_its_wrist_until_it_is_sealed():
    hand = load_hand().data
    assert watertight_problem(hand.v_template, hand.faces) == "is open along 16 border edges"
    assert watertight_problem(*seal(hand.v_template, hand.faces, hand.wrist_loop)) is None

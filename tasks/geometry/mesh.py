"""Mesh topology: edges, geodesic distances, what keeps a mesh from being closed, coarse vertices and their weights.

Everything here is numpy and deterministic; what is about edges and coarse vertices runs once per template.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

from tasks.errors import RequestError


def mesh_edges(faces: np.ndarray) -> np.ndarray:
    """The distinct edges ``(E, 2)`` int64 of faces ``(F, 3)``, lower vertex first, in lexicographic order."""
    return np.unique(_half_edges(faces), axis=0)


def edge_faces(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges ``(E, 2)`` as ``mesh_edges`` and their two faces ``(E, 2)`` int64, -1 in the second place on a border.

    Raises RequestError for an edge with more than two faces.
    """
    edges, inverse, count = np.unique(_half_edges(faces), axis=0, return_inverse=True, return_counts=True)
    if len(count) and count.max() > 2:
        raise RequestError(
            f"a mesh edge has {count.max()} faces: expected at most two; clean the mesh first."
        )
    order = np.argsort(inverse.ravel(), kind="stable")
    last = np.cumsum(count) - 1
    owner = order % len(faces)
    pairs = np.stack([owner[last - count + 1], np.where(count == 2, owner[last], -1)], axis=1)
    return edges, pairs.astype(np.int64)


def edge_graph(verts: np.ndarray, faces: np.ndarray) -> csr_array:
    """The symmetric sparse ``(V, V)`` matrix of edge lengths, in the unit of ``verts``."""
    a, b = mesh_edges(faces).T
    length = np.linalg.norm(verts[a] - verts[b], axis=1)
    size = len(verts)
    return coo_array((np.r_[length, length], (np.r_[a, b], np.r_[b, a])), shape=(size, size)).tocsr()


def is_closed(faces: np.ndarray) -> bool:
    """Whether every edge of faces (F, 3) is run along as often in the one direction as in the other.

    Pieces may touch or cross, and a face may be a line.
    """
    start, end = faces.ravel().astype(np.int64), np.roll(faces, -1, axis=1).ravel().astype(np.int64)
    base = int(faces.max(initial=0)) + 1
    return bool((np.sort(start * base + end) == np.sort(end * base + start)).all())


def watertight_problem(verts: np.ndarray, faces: np.ndarray) -> str | None:
    """What keeps a mesh (V, 3), (F, 3) from having an inside, as the end of "the mesh ..."; None if nothing does.

    Outwards is judged by the volume of the whole, which a mesh without any fails too.
    """
    if not len(faces):
        return "has no faces"
    if not np.isfinite(verts).all():
        return "has a vertex that is not finite"
    if faces.min() < 0 or faces.max() >= len(verts):
        return f"names vertices beyond its {len(verts)}"
    if not is_closed(faces):
        return _open_edges(faces)
    if not _volume(verts, faces) > 0:
        return "is inside out: its faces wind inwards or enclose no volume"
    return None


def _open_edges(faces: np.ndarray) -> str:
    ends = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    ends = ends[ends[:, 0] != ends[:, 1]]
    edge = ends.min(axis=1) * (int(faces.max()) + 1) + ends.max(axis=1)
    _, place, count = np.unique(edge, return_inverse=True, return_counts=True)
    if (count % 2).any():
        return f"is open along {(count % 2).sum()} border edges"
    balance = np.bincount(place, np.where(ends[:, 0] < ends[:, 1], 1, -1))
    return f"winds inconsistently at {np.count_nonzero(balance)} edges"


def coarse_vertices(v_template: np.ndarray, faces: np.ndarray, n: int) -> np.ndarray:
    """``n`` vertices ``(n,)`` int64, ascending, spread over the mesh by farthest-point sampling along its edges.

    Starts at the vertex farthest from the centroid; ties go to the lower index. Raises RequestError unless
    1 <= n <= V.
    """
    if not 1 <= n <= len(v_template):
        raise RequestError(
            f"cannot keep {n} coarse vertices of {len(v_template)}: ask for 1 to {len(v_template)}."
        )
    graph = edge_graph(v_template, faces)
    chosen = [int(np.argmax(np.linalg.norm(v_template - v_template.mean(0), axis=1)))]
    nearest = np.full(len(v_template), np.inf)
    while len(chosen) < n:
        nearest = np.minimum(nearest, dijkstra(graph, indices=chosen[-1]))
        nearest[chosen] = -1
        chosen.append(int(np.argmax(nearest)))
    return np.sort(np.asarray(chosen, dtype=np.int64))


def upsampling_weights(
    v_template: np.ndarray, faces: np.ndarray, coarse: np.ndarray, k: int = 3
) -> np.ndarray:
    """Weights ``(V, n)`` float32 that interpolate values from the ``coarse`` vertices to all.

    Each vertex takes its k nearest coarse vertices by inverse geodesic distance; a coarse vertex keeps its own value.
    Rows sum to 1. Raises RequestError when a vertex is connected to no coarse one.
    """
    distance = dijkstra(edge_graph(v_template, faces), indices=coarse).T
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :k]
    near = np.take_along_axis(distance, nearest, axis=1)
    if not np.isfinite(near[:, 0]).all():
        lost = int(np.argmin(np.isfinite(near[:, 0])))
        raise RequestError(f"vertex {lost} is connected to no coarse vertex: ask for more coarse vertices.")
    inverse = np.where(near > 0, 1 / np.maximum(near, np.finfo(float).tiny), 0)
    inverse[near[:, 0] == 0] = np.eye(1, near.shape[1])
    weights = np.zeros(distance.shape)
    np.put_along_axis(weights, nearest, inverse / inverse.sum(1, keepdims=True), axis=1)
    return weights.astype(np.float32)


def _half_edges(faces: np.ndarray) -> np.ndarray:
    """(3F, 2): first all edges from corner 0 to 1, then 1 to 2, then 2 to 0, each lower vertex first."""
    return np.sort(
        np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1
    )


def _volume(verts: np.ndarray, faces: np.ndarray) -> float:
    """Signed volume of a closed mesh, positive if it winds outwards."""
    a, b, c = (verts[corner].astype(np.float64) - verts[0] for corner in faces.T)
    return float((a * np.cross(b, c)).sum() / 6)

"""How fast implicit surfaces are extracted and occupancy labels made, beside the plain ways, same run.

``python -m tests.benchmarks.bench_surfaces [--rounds 3] [--hands 4]``

Extraction: the octree beside marching cubes on all 257^3 samples of the same field, and whether both meshes are the
same. Labels: points of the training mixture, 100,000 a hand, beside trimesh's containment with the fastest engine that
is installed (Embree by ``embreex``; without it trimesh's own rays, which need ``rtree``, on fewer points, scaled up).
Tables show medians over rounds of wall and CPU seconds on one core.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
import torch
import trimesh
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes
from torch import Tensor

from tasks.geometry.octree import BEYOND_CUBE, POINTS_AT_ONCE, Occupancy, extract_surface
from tasks.geometry.queries import labelled_points
from tasks.geometry.surface import seal
from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.hands.skeleton import BONES

HALF_SIDE_M, SIGMA_M = 0.22, 0.004
QUERIES = 100_000
SLOW_QUERIES = 2000
SAMPLES = 257
Mesh = tuple[np.ndarray, np.ndarray]
Result = TypeVar("Result")


def timed(work: Callable[[], Result], rounds: int) -> tuple[Result, float, float]:
    """What it gives, median wall and CPU seconds."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return result, statistics.median(walls), statistics.median(cpus)


def capsules(start: Tensor, end: Tensor, radius: Tensor) -> Occupancy:
    """The union of capsules: ends (K, 3) and radii (K,) in metres, softened over half a millimetre."""
    step = end - start
    per_length = step / (step * step).sum(1, keepdim=True).clamp(min=1e-12)

    def field(points: Tensor) -> Tensor:
        along = (points @ per_length.T - (start * per_length).sum(1)).clamp_(0, 1)
        squared = sum((points[:, k, None] - start[:, k] - along * step[:, k]).square_() for k in range(3))
        return ((radius - squared.sqrt()).amax(1) / 5e-4).sigmoid()

    return field


def drawn_hand() -> Occupancy:
    """A palm of four bars and five straight fingers."""
    bases = torch.tensor([[x, 0.04, 0.0] for x in (-0.03, -0.01, 0.01, 0.03)])
    wrist = torch.tensor([[x, -0.05, 0.0] for x in (-0.02, -0.007, 0.007, 0.02)])
    tips = bases + torch.tensor(
        [[x, y, 0.01] for x, y in ((-0.02, 0.06), (-0.005, 0.08), (0.005, 0.075), (0.02, 0.06))]
    )
    thumb = torch.tensor([[-0.025, -0.03, 0.0]]), torch.tensor([[-0.085, 0.02, 0.02]])
    radius = torch.tensor([0.014] * 4 + [0.008] * 4 + [0.011])
    return capsules(torch.cat([wrist, bases, thumb[0]]), torch.cat([bases, tips, thumb[1]]), radius)


def posed_joints_m() -> Tensor:
    """(21, 3) joints of a posed hand about the wrist."""
    hand = load_hand()
    pose = np.concatenate([np.zeros((1, 3)), sample_poses(1, np.random.default_rng(0))], axis=1)
    with torch.no_grad():
        verts, _ = hand(torch.from_numpy(pose).float(), torch.zeros(1, 10), flat_hand_mean=True)
    joints = hand.joints_from_verts(verts)[0]
    return joints - joints[0]


def bones_hand(joints_m: Tensor) -> Occupancy:
    """Capsules along the 20 bones, thick at the palm and thin at the tips."""
    start, end = (joints_m[list(ends)] for ends in zip(*BONES, strict=True))
    radius = torch.tensor([(0.013, 0.009, 0.008, 0.007)[(child - 1) % 4] for _, child in BONES])
    return capsules(start, end, radius)


def dense_surface(field: Occupancy) -> Mesh:
    """Marching cubes on every sample, the sides closed as the official extraction closes them."""
    axis = torch.from_numpy((HALF_SIDE_M * (2 * np.arange(SAMPLES) / (SAMPLES - 1) - 1)).astype(np.float32))
    plane = torch.cartesian_prod(axis, axis)
    values = np.full((SAMPLES + 2,) * 3, BEYOND_CUBE, np.float32)
    for k, x in enumerate(axis):
        points = torch.cat([x.expand(len(plane), 1), plane], dim=1)
        found = torch.cat([field(part) for part in points.split(POINTS_AT_ONCE)])
        values[k + 1, 1:-1, 1:-1] = found.reshape(SAMPLES, SAMPLES).numpy()
    verts, faces, _, _ = marching_cubes(values, 0.5, gradient_direction="ascent")
    return HALF_SIDE_M * (2 * (verts - 1.0) / (SAMPLES - 1) - 1), faces


def compare_extraction(title: str, field: Occupancy, seeds: Tensor | None, rounds: int) -> None:
    """The octree and the whole grid, side by side."""
    extract_surface(field, HALF_SIDE_M, 8, 2)
    (verts, faces, evaluations), wall, cpu = timed(
        lambda: extract_surface(field, HALF_SIDE_M, seeds=seeds), rounds
    )
    whole, whole_wall, whole_cpu = timed(lambda: dense_surface(field), rounds)
    apart = cKDTree(whole[0]).query(verts.numpy())[0].max() if len(verts) == len(whole[0]) else np.inf
    same = len(faces) == len(whole[1]) and apart < 1e-7
    print(f"{title}: {len(verts)} vertices, {len(faces)} faces")
    print(f"  {'':14}{'evaluations':>12}{'wall s':>9}{'CPU s':>9}")
    print(f"  {'octree':14}{evaluations:>12}{wall:>9.2f}{cpu:>9.2f}")
    print(f"  {'whole grid':14}{SAMPLES**3:>12}{whole_wall:>9.2f}{whole_cpu:>9.2f}")
    print(
        f"  ratio: {SAMPLES**3 / evaluations:.0f} of evaluations, {whole_wall / wall:.0f} of wall time, "
        f"{whole_cpu / cpu:.0f} of CPU time; {'the same mesh' if same else 'NOT the same mesh'} (gap {apart:.0e} m)"
    )


def sealed_hands_m(count: int) -> tuple[Tensor, Tensor]:
    """Posed hands about their middle, closed: vertices (count, V + 1, 3) float64 and faces."""
    hand, rng = load_hand(), np.random.default_rng(1)
    pose = np.concatenate([rng.normal(0, 0.5, (count, 3)), sample_poses(count, rng)], axis=1)
    with torch.no_grad():
        verts, _ = hand(torch.from_numpy(pose).float(), torch.zeros(count, 10), flat_hand_mean=True)
    closed, faces = seal(verts.double().numpy(), hand.data.faces, hand.data.wrist_loop)
    return torch.from_numpy(closed - closed.mean(axis=1, keepdims=True)), torch.from_numpy(faces)


def trimesh_labels(points: Tensor, verts: Tensor, faces: Tensor) -> np.ndarray:
    return trimesh.Trimesh(verts.numpy(), faces.numpy(), process=False).contains(points.numpy())


def compare_labels(hands: int, rounds: int) -> None:
    """Labels of the training mixture and trimesh's of the same points, side by side."""
    verts, faces = sealed_hands_m(hands)

    def house() -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(0)
        return labelled_points(verts, faces, QUERIES, HALF_SIDE_M, SIGMA_M, 0.5, rng)

    house()
    (points, inside), wall, cpu = timed(house, rounds)
    engine = "embreex" if find_spec("embreex") else "rtree" if find_spec("rtree") else None
    print(f"labels of {QUERIES} points, half uniform and half near, per hand ({hands} hands):")
    print(f"  {'house, drawing them too':28}{wall / hands:>9.3f} s wall{cpu / hands:>9.3f} s CPU")
    if engine is None:
        print("  trimesh: neither embreex nor rtree is installed")
        return
    count = QUERIES if engine == "embreex" else SLOW_QUERIES
    some = points[:, torch.linspace(0, QUERIES - 1, count).long()]
    labels, trimesh_wall, trimesh_cpu = timed(
        lambda: [trimesh_labels(p, v, faces) for p, v in zip(some, verts, strict=True)], rounds
    )
    own = inside[:, torch.linspace(0, QUERIES - 1, count).long()].numpy()
    factor = QUERIES / count
    note = "" if factor == 1 else f", scaled up from {count} points"
    print(
        f"  {f'trimesh, {engine}':28}{factor * trimesh_wall / hands:>9.3f} s wall"
        f"{factor * trimesh_cpu / hands:>9.3f} s CPU{note}"
    )
    print(
        f"  ratio: {factor * trimesh_wall / wall:.1f} of wall time, {factor * trimesh_cpu / cpu:.1f} of CPU time; "
        f"{(own != np.stack(labels)).mean():.1e} of the labels differ (folds of a hand are inside here)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hands", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare_extraction("a drawn hand", drawn_hand(), None, options.rounds)
    joints_m = posed_joints_m()
    compare_extraction("capsules along a posed hand's bones", bones_hand(joints_m), joints_m, options.rounds)
    compare_labels(options.hands, options.rounds)


if __name__ == "__main__":
    main()

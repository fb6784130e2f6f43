"""How fast predictions are scored, beside a plain per-sample re-implementation of the official procedures, same run.

``python -m tests.benchmarks.bench_scoring [--frames 3960] [--plain-frames 3960] [--hands 4] [--rounds 3]``

FreiHAND's evaluation: joints and vertices, raw and after P1, mean error, AUC, F at 5 and 15 mm. The plain one goes
frame by frame as ``eval.py`` does: SciPy's Procrustes, a list of errors per point, a mean per point and threshold,
neighbour trees per F-score (HO-3D: all distances). Where it takes only the first ``--plain-frames``, its time is
scaled up, and the table says so. Tables show medians over rounds of wall and CPU seconds, and by how much the process's
peak memory grew. Run it on a machine that does nothing else: both use caches and cores that others take away.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from torch import Tensor

from tasks.geometry.alignment import align_procrustes
from tasks.geometry.queries import uniform_points
from tasks.geometry.surface import sample_surface, seal
from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.metrics import points
from tasks.metrics.chamfer import distances
from tasks.metrics.fscore import f_scores
from tasks.metrics.occupancy import mesh_iou
from tasks.threads import cores, one_thread

FREIHAND_FRAMES, HO3D_FRAMES = 3960, 20_137
THRESHOLDS_M = (0.005, 0.015)
CHUNK = 128
"""Frames at a time: what the memory depends on, instead of their number."""
QUERIES = 100_000
Frames = dict[str, np.ndarray]
Scores = dict[str, float]
Mesh = tuple[np.ndarray, np.ndarray]


def make_frames(count: int, seed: int = 0) -> Frames:
    """Joints and vertices of random hands 0.6 m away, and predictions some 30 mm off (7 mm when aligned)."""
    hand, rng = load_hand(), np.random.default_rng(seed)
    pose = np.concatenate([rng.normal(0, 0.5, (count, 3)), sample_poses(count, rng)], axis=1)
    shape = rng.normal(0, 1, (count, 10))
    off_m = rng.normal(0, 0.012, (count, 1, 3))
    frames = {}
    for name, p, b, shift in (
        ("true", pose, shape, 0.0),
        ("own", pose + rng.normal(0, 0.12, pose.shape), shape + rng.normal(0, 0.8, shape.shape), off_m),
    ):
        with torch.no_grad():
            verts, _ = hand(torch.tensor(p).float(), torch.tensor(b).float(), flat_hand_mean=True)
            joints = hand.joints_from_verts(verts)
        for kind, values in (("verts", verts), ("joints", joints)):
            frames[f"{name}_{kind}"] = values.double().numpy() + shift + [0, 0, 0.6]
    return frames


def chunks(frames: Frames) -> Iterator[dict[str, Tensor]]:
    for start in range(0, len(frames["true_joints"]), CHUNK):
        yield {name: torch.from_numpy(values[start : start + CHUNK]) for name, values in frames.items()}


def score_in_batches(frames: Frames) -> Scores:
    """The house's way: a table of one value per frame and metric, a chunk on each core, and its means."""
    with one_thread(), ThreadPoolExecutor(cores()) as pool:
        tables = list(pool.map(chunk_table, chunks(frames)))
    return {name: float(torch.cat([table[name] for table in tables]).mean()) for name in tables[0]}


def chunk_table(chunk: dict[str, Tensor]) -> dict[str, Tensor]:
    table: dict[str, Tensor] = {}
    for kind in ("joints", "verts"):
        own, true = chunk[f"own_{kind}"], chunk[f"true_{kind}"]
        for prefix, moved in (("", own), ("al_", align_procrustes(own, true))):
            distance_m = points.distances_m(moved, true)
            table[f"{prefix}{kind}_mean"] = points.mean_distance_mm(distance_m)
            table[f"{prefix}{kind}_auc"] = points.auc(distance_m)
            if kind == "verts":
                scores = torch.from_numpy(f_scores(moved.numpy(), true.numpy(), THRESHOLDS_M))
                table[f"{prefix}f5"], table[f"{prefix}f15"] = scores.unbind(dim=1)
    return table


def plain_align(target: np.ndarray, moving: np.ndarray) -> np.ndarray:
    middle, own_middle = target.mean(0), moving.mean(0)
    x, y = target - middle, moving - own_middle
    size, own_size = np.linalg.norm(x) + 1e-8, np.linalg.norm(y) + 1e-8
    rotation, scale = orthogonal_procrustes(x / size, y / own_size)
    return y / own_size @ rotation.T * scale * size + middle


def tree_distances(source: np.ndarray, target: np.ndarray) -> list[float]:
    return cKDTree(target).query(source)[0].tolist()


def all_distances(source: np.ndarray, target: np.ndarray) -> list[float]:
    return cdist(source, target).min(axis=1).tolist()


def plain_f(own: np.ndarray, true: np.ndarray, limit: float, nearest: Callable[..., list[float]]) -> float:
    to_own, to_true = nearest(true, own), nearest(own, true)
    recall = sum(d < limit for d in to_true) / len(to_true)
    precision = sum(d < limit for d in to_own) / len(to_own)
    return 2 * recall * precision / (recall + precision) if recall + precision > 0 else 0.0


class PlainCurves:
    """A list of errors per point; a mean per point and threshold."""

    def __init__(self, count: int) -> None:
        self.errors: list[list[float]] = [[] for _ in range(count)]

    def feed(self, true: np.ndarray, own: np.ndarray) -> None:
        for point, error in enumerate(np.sqrt(np.sum(np.square(true - own), axis=1))):
            self.errors[point].append(error)

    def measures(self) -> tuple[float, float]:
        thresholds = np.linspace(0.0, 0.05, 100)
        norm = np.trapezoid(np.ones_like(thresholds), thresholds)
        means, areas = [], []
        for errors in self.errors:
            means.append(np.mean(np.array(errors)))
            curve = [np.mean((np.array(errors) <= t).astype("float")) for t in thresholds]
            areas.append(np.trapezoid(curve, thresholds) / norm)
        return 1000 * float(np.mean(means)), float(np.mean(areas))


def score_frame_by_frame(frames: Frames, nearest: Callable[..., list[float]] = tree_distances) -> Scores:
    """The official way."""
    curves = {
        f"{p}{k}": PlainCurves(frames[f"true_{k}"].shape[1]) for k in ("joints", "verts") for p in ("", "al_")
    }
    f: dict[str, list[float]] = {f"{p}f{mm}": [] for p in ("", "al_") for mm in (5, 15)}
    for i in range(len(frames["true_joints"])):
        for kind in ("joints", "verts"):
            own, true = frames[f"own_{kind}"][i], frames[f"true_{kind}"][i]
            aligned = plain_align(true, own)
            for prefix, moved in (("", own), ("al_", aligned)):
                curves[f"{prefix}{kind}"].feed(true, moved)
                if kind == "verts":
                    for limit in THRESHOLDS_M:
                        f[f"{prefix}f{round(1000 * limit)}"].append(plain_f(moved, true, limit, nearest))
    scores = {name: float(np.mean(values)) for name, values in f.items()}
    for name, curve in curves.items():
        scores[f"{name}_mean"], scores[f"{name}_auc"] = curve.measures()
    return scores


def sealed_pairs(hands: int) -> list[tuple[Mesh, Mesh]]:
    """Predicted and true hands about the true wrist, closed."""
    frames, data = make_frames(hands), load_hand().data
    wrist = frames["true_joints"][:, :1]
    closed = [seal(frames[f"{who}_verts"] - wrist, data.faces, data.wrist_loop) for who in ("own", "true")]
    (own, faces), (true, _) = closed
    return [((own[i], faces), (true[i], faces)) for i in range(hands)]


def score_surfaces(pairs: list[tuple[Mesh, Mesh]]) -> Scores:
    """IoU and Chamfer distance of sealed hands at ``QUERIES`` points each."""
    values = []
    for i, (own, true) in enumerate(pairs):
        solids = [(torch.from_numpy(verts), torch.from_numpy(faces)) for verts, faces in (own, true)]
        overlap = mesh_iou(*solids, uniform_points(QUERIES, 0.22, [i, 0]))
        clouds = [sample_surface(*mesh, QUERIES, [i, k]) for k, mesh in enumerate((own, true))]
        values.append([overlap, 1000 * distances(*clouds)["l1"]])
    return dict(zip(("iou", "cd_mm"), np.mean(values, axis=0).tolist(), strict=True))


def plain_contains(points_m: np.ndarray, verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Parity of the faces above and below each point, face by face."""
    above, below = np.zeros((2, len(points_m)), int)
    for a, b, c in verts[faces]:
        low, high = np.minimum(np.minimum(a, b), c)[:2], np.maximum(np.maximum(a, b), c)[:2]
        near = np.flatnonzero(((points_m[:, :2] >= low) & (points_m[:, :2] <= high)).all(axis=1))
        x, y, z = points_m[near].T
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        u = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        v = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        hit = (u > 0) & (v > 0) & (u + v < 1)
        depth = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])
        np.add.at(above, near[hit & (depth >= z)], 1)
        np.add.at(below, near[hit & (depth < z)], 1)
    return (above % 2 == 1) & (below % 2 == 1)


def plain_surfaces(pairs: list[tuple[Mesh, Mesh]]) -> Scores:
    """The same numbers from a loop over faces and one-core trees."""
    values = []
    for i, (own, true) in enumerate(pairs):
        queries = uniform_points(QUERIES, 0.22, [i, 0]).numpy()
        inside, truly = (plain_contains(queries, *mesh) for mesh in (own, true))
        clouds = [sample_surface(*mesh, QUERIES, [i, k]).points for k, mesh in enumerate((own, true))]
        ways = [cKDTree(b).query(a)[0].mean() for a, b in (clouds, clouds[::-1])]
        values.append([(inside & truly).sum() / (inside | truly).sum(), 500 * sum(ways)])
    return dict(zip(("iou", "cd_mm"), np.mean(values, axis=0).tolist(), strict=True))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], Scores], rounds: int) -> tuple[Scores, float, float, float]:
    """Its scores, median wall and CPU seconds, and by how many MiB the process's peak grew."""
    before, walls, cpus, scores = peak_mib(), [], [], {}
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        scores = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return scores, statistics.median(walls), statistics.median(cpus), peak_mib() - before


def compare(
    title: str, frames: Frames, plain_frames: int, rounds: int, nearest: Callable[..., list[float]]
) -> None:
    """Both ways on the same frames, side by side; the plain one on the first ``plain_frames``."""
    count = len(frames["true_joints"])
    some = {name: values[:plain_frames] for name, values in frames.items()}
    scores, wall, cpu, grown = timed(lambda: score_in_batches(frames), rounds)
    plain, plain_wall, plain_cpu, plain_grown = timed(lambda: score_frame_by_frame(some, nearest), 1)
    check = score_in_batches(some)
    worst = max(abs(check[name] - value) / max(abs(value), 1e-12) for name, value in plain.items())
    factor = count / len(some["true_joints"])
    note = "" if factor == 1 else f", scaled up from {len(some['true_joints'])} frames"
    print(f"{title}: {count} frames, {cores()} cores, torch threads {torch.get_num_threads()}")
    print(f"  {'':18}{'wall s':>9}{'CPU s':>9}{'peak grew MiB':>15}")
    print(f"  {'in batches':18}{wall:>9.2f}{cpu:>9.2f}{grown:>15.0f}")
    print(
        f"  {'frame by frame':18}{factor * plain_wall:>9.2f}{factor * plain_cpu:>9.2f}{plain_grown:>15.0f}{note}"
    )
    print(
        f"  ratio: {factor * plain_wall / wall:.1f} of wall time, {factor * plain_cpu / cpu:.1f} of CPU time"
    )
    print(f"  largest relative difference of their {len(plain)} numbers: {worst:.1e}")
    print("  " + ", ".join(f"{name} {value:.4f}" for name, value in sorted(scores.items())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=FREIHAND_FRAMES)
    parser.add_argument("--ho3d-frames", type=int, default=HO3D_FRAMES)
    parser.add_argument("--plain-frames", type=int, default=FREIHAND_FRAMES, help="for HO-3D a tenth of it")
    parser.add_argument("--hands", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    score_in_batches(make_frames(4))
    compare("FreiHAND", make_frames(options.frames), options.plain_frames, options.rounds, tree_distances)
    frames = make_frames(options.ho3d_frames)
    compare("HO-3D", frames, max(1, options.plain_frames // 10), 1, all_distances)
    pairs = sealed_pairs(options.hands)
    scores, wall, cpu, grown = timed(lambda: score_surfaces(pairs), options.rounds)
    plain, plain_wall, plain_cpu, _ = timed(lambda: plain_surfaces(pairs), 1)
    print(f"IoU and Chamfer distance at {QUERIES} points, {options.hands} hands (peak grew {grown:.0f} MiB):")
    for title, w, c, found in (("house", wall, cpu, scores), ("plain", plain_wall, plain_cpu, plain)):
        print(
            f"  {title}: {w / options.hands:.2f} s of wall and {c / options.hands:.2f} s of CPU time per hand, {found}"
        )
    print(f"  ratio: {plain_wall / wall:.1f} of wall time, {plain_cpu / cpu:.1f} of CPU time")


if __name__ == "__main__":
    main()

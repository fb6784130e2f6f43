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

import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from torch import Tensor

from tasks.geometry.alignment import align_procrustes
from tasks.geometry.surface import cores, sample_surface, seal
from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.metrics import points
from tasks.metrics.chamfer import distances
from tasks.metrics.fscore import f_scores
from tasks.metrics.occupancy import mesh_iou, uniform_points

FREIHAND_FRAMES, HO3D_FRAMES = 3960, 20_137
THRESHOLDS_M = (0.005, 0.015)
CHUNK = 128
"""Frames at a time: what the memory depends on, instead of their number."""
QUERIES = 100_000
Frames = dict[str, np.ndarray]
Scores = dict[str, float]


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
    """The house's way: a table of one value per frame and metric, chunk by chunk, and its means."""
    table: dict[str, list[Tensor]] = {}
    for chunk in chunks(frames):
        for kind in ("joints", "verts"):
            own, true = chunk[f"own_{kind}"], chunk[f"true_{kind}"]
            for prefix, moved in (("", own), ("al_", align_procrustes(own, true))):
                distance_m = points.distances_m(moved, true)
                table.setdefault(f"{prefix}{kind}_mean", []).append(points.mean_distance_mm(distance_m))
                table.setdefault(f"{prefix}{kind}_auc", []).append(points.auc(distance_m))
                if kind == "verts":
                    scores = torch.from_numpy(f_scores(moved.numpy(), true.numpy(), THRESHOLDS_M))
                    table.setdefault(f"{prefix}f5", []).append(scores[:, 0])
                    table.setdefault(f"{prefix}f15", []).append(scores[:, 1])
    return {name: float(torch.cat(values).mean()) for name, values in table.items()}


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


def score_surfaces(hands: int) -> Scores:
    """IoU and Chamfer distance of sealed hands at ``QUERIES`` points each."""
    frames, hand = make_frames(hands), load_hand()
    values = []
    for i in range(hands):
        own, true = (
            seal(
                frames[f"{who}_verts"][i] - frames["true_joints"][i, 0], hand.data.faces, hand.data.wrist_loop
            )
            for who in ("own", "true")
        )
        solids = [tuple(map(torch.from_numpy, mesh)) for mesh in (own, true)]
        overlap = mesh_iou(*solids, uniform_points(QUERIES, 0.22, [i, 0]))
        clouds = [sample_surface(*mesh, QUERIES, [i, k]) for k, mesh in enumerate((own, true))]
        values.append([overlap, 1000 * distances(*clouds)["l1"]])
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
    scores, wall, cpu, grown = timed(lambda: score_surfaces(options.hands), options.rounds)
    per_hand = (
        f"{wall / options.hands:.2f} s of wall time and {cpu / options.hands:.2f} s of CPU time per hand"
    )
    print(f"IoU and Chamfer distance at {QUERIES} points: {per_hand}, peak grew {grown:.0f} MiB, {scores}")


if __name__ == "__main__":
    main()

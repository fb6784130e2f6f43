"""How fast the rasteriser is: images of one hand per second and core, beside a plain loop over faces.

``python -m tests.benchmarks.bench_rasteriser [--batch 16] [--rounds 9] [--sizes 64 128 224] [--device cpu]``

The scene is a batch of random poses of the run's hand model, turned at random, that cover about 20 % of the image.
One thread; times are process CPU time, so that a busy machine does not change them much (wall time after
synchronising on a GPU). Every round measures every variant once; the table shows medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from tasks.geometry.cameras import project
from tasks.geometry.rasteriser import rasterise
from tasks.geometry.silhouette import soft_silhouette
from tasks.geometry.visibility import visible_faces
from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses

DISTANCE_M = 0.6
COVERAGE = 0.20
REFERENCE_IMAGES = 2
"""The loop is slow: it draws this many images per round."""


def make_scene(batch: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Vertices (B, V, 3) of posed and turned hands at ``DISTANCE_M``, and their faces."""
    hand = load_hand()
    pose = np.concatenate([np.zeros((batch, 3)), sample_poses(batch, np.random.default_rng(seed))], axis=1)
    with torch.no_grad():
        verts, _ = hand(torch.tensor(pose).float(), torch.zeros(batch, 10), flat_hand_mean=True)
    turn = torch.tensor(Rotation.random(batch, random_state=seed).as_matrix()).float()
    centred = (verts - verts.mean(1, keepdim=True)) @ turn.mT
    return centred + torch.tensor([0.0, 0.0, DISTANCE_M]), hand.faces


def intrinsics_for(verts: Tensor, faces: Tensor, size: int) -> Tensor:
    """The camera, centred, whose focal length makes the hands cover ``COVERAGE`` of the image."""
    focal = 2.0
    for _ in range(6):
        k = torch.tensor([[focal * size, 0, size / 2], [0, focal * size, size / 2], [0, 0, 1]]).to(verts)
        covered = rasterise(verts, faces, k, size).mask.float().mean().item()
        focal *= (COVERAGE / covered) ** 0.5
    return k


def draw_by_a_loop(verts_px: np.ndarray, depth_m: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """The straightforward rasteriser: for each face, test the pixels of its box. Returns face indices (H, W)."""
    index = np.full((size, size), -1)
    nearest = np.full((size, size), np.inf)
    for number, face in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = corners = verts_px[face]
        left, top = np.maximum(np.ceil(corners.min(0) - 0.5), 0).astype(int)
        right, bottom = np.minimum(np.floor(corners.max(0) - 0.5), size - 1).astype(int) + 1
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if right <= left or bottom <= top or area == 0:
            continue
        x, y = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
        first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
        second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
        third = 1 - first - second
        depth = 1 / (first / depth_m[face[0]] + second / depth_m[face[1]] + third / depth_m[face[2]])
        window = np.s_[top:bottom, left:right]
        wins = (first >= 0) & (second >= 0) & (third >= 0) & (depth < nearest[window])
        nearest[window][wins] = depth[wins]
        index[window][wins] = number
    return index


def variants(
    verts: Tensor, faces: Tensor, k: Tensor, size: int
) -> dict[str, tuple[int, Callable[[], object]]]:
    """Name -> number of images and what draws them."""
    leaf = verts.clone().requires_grad_()
    weights = torch.rand(len(verts), size, size, 3, device=verts.device)
    verts_px, depth_m = project(verts, k), verts[..., 2].contiguous()
    arrays = [value.cpu().numpy() for value in (verts_px, depth_m, faces)]

    def forward(cull: bool) -> None:
        with torch.no_grad():
            rasterise(verts, faces, k, size, cull_backfaces=cull)

    def forward_backward() -> None:
        fragments = rasterise(leaf, faces, k, size)
        loss = (fragments.barycentrics * weights).sum() + fragments.depth_m[fragments.mask].sum()
        torch.autograd.grad(loss, leaf)

    def silhouette() -> None:
        torch.autograd.grad(soft_silhouette(leaf, faces, k, size).sum(), leaf)

    def loop() -> None:
        for i in range(REFERENCE_IMAGES):
            draw_by_a_loop(arrays[0][i], arrays[1][i], arrays[2], size)

    batch = len(verts)
    return {
        "visibility": (batch, lambda: visible_faces(verts_px, depth_m, faces, (size, size), 0.01)),
        "forward": (batch, lambda: forward(False)),
        "forward, culled": (batch, lambda: forward(True)),
        "forward + backward": (batch, forward_backward),
        "silhouette, f + b": (batch, silhouette),
        "loop over faces": (REFERENCE_IMAGES, loop),
    }


def seconds(draw: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.process_time()
        draw()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    draw()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(size: int, batch: int, rounds: int, device: str) -> tuple[float, dict[str, float]]:
    """Coverage, and the median images per second of each variant."""
    verts, faces = (value.to(device) for value in make_scene(batch))
    k = intrinsics_for(verts, faces, size)
    coverage = rasterise(verts, faces, k, size).mask.float().mean().item()
    todo = variants(verts, faces, k, size)
    times: dict[str, list[float]] = {name: [] for name in todo}
    for warm in [True] + [False] * rounds:
        for name, (_, draw) in todo.items():
            elapsed = seconds(draw, device)
            if not warm:
                times[name].append(elapsed)
    return coverage, {name: n / statistics.median(times[name]) for name, (n, _) in todo.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 224])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = {size: measure(size, options.batch, options.rounds, options.device) for size in options.sizes}
    print(f"images per second{' and core' if options.device == 'cpu' else ''}, batches of {options.batch}")
    print("".join([f"{'':22}", *(f"{size:>9} px" for size in columns)]))
    print("".join([f"{'coverage':22}", *(f"{coverage:>12.1%}" for coverage, _ in columns.values())]))
    for name in next(iter(columns.values()))[1]:
        print("".join([f"{name:22}", *(f"{rates[name]:>12.1f}" for _, rates in columns.values())]))
    ratios = [rates["forward"] / rates["loop over faces"] for _, rates in columns.values()]
    print("".join([f"{'forward / loop':22}", *(f"{ratio:>11.0f}x" for ratio in ratios)]))


if __name__ == "__main__":
    main()

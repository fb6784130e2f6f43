"""How fast interacting hands are posed, and how good they are: overlap of their meshes, touch, limits, variety.

``python -m tests.benchmarks.bench_interactions [--sequences 80] [--together 4] [--every 1]``

Poses that many sequences of two hands in this process, with one thread, so many at a time as ``--together`` says; the
generator poses four at a time, two of them of two hands. Then measures every ``--every``-th sequence of them on the
meshes of the hand in use.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from tasks.geometry.surface import seal
from tasks.hands.hand import HandModel, load_hand
from tasks.hands.open_hand.pose_space import LIMITS_DEG, rotation_axes
from tasks.hands.skeleton import JOINTS_MANO16, mirror_pose
from tasks.metrics.penetration import distance_to_surface, penetration
from tasks.synthesis import two_hands_posing
from tasks.synthesis.contact_seeking import Encounter, Posed, seek
from tasks.synthesis.two_hands_posing import Motion, Poser
from tasks.threads import one_thread

SIDES = ("right", "left")
TOUCHING_MM = 1.5
TOLERANCE_DEG = 0.01


class Counter:
    """``seek`` that counts the sequences it was given, and those that were sound."""

    def __init__(self) -> None:
        self.asked = self.sound = 0

    def __call__(self, encounters: list[Encounter]) -> list[Posed]:
        found = seek(encounters)
        self.asked += len(found)
        self.sound += sum(posed.sound for posed in found)
        return found


class Quality(NamedTuple):
    """Of one instant."""

    depth_mm: float
    volume_cm3: float
    gap_mm: float


def meshes_m(hands: list[HandModel], motion: Motion, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 2, V, 3) vertices and (T, 2, 16, 3) joints of a sequence on the stage."""
    verts, joints = [], []
    for k, hand in enumerate(hands):
        pose = torch.tensor(motion.pose_aa[:, k], dtype=torch.float32)
        turn = Rotation.from_rotvec(motion.pose_aa[:, k, :3]).as_matrix()
        pose[:, :3] = 0
        with torch.no_grad():
            shape = torch.tensor(betas, dtype=torch.float32).expand(len(pose), -1)
            posed = hand(pose, shape, flat_hand_mean=True)
        for part, own in zip((verts, joints), posed, strict=True):
            part.append(own.double().numpy() @ turn.transpose(0, 2, 1) + motion.origin_m[:, k, None])
    return np.stack(verts, axis=1), np.stack(joints, axis=1)


def quality(hands: list[HandModel], pair: np.ndarray) -> Quality:
    """Of the meshes (2, V, 3) of an instant."""
    sealed = [seal(verts, h.data.faces, h.data.wrist_loop) for verts, h in zip(pair, hands, strict=True)]
    found = penetration(*(tuple(map(torch.from_numpy, mesh)) for mesh in sealed))
    gap = [distance_to_surface(pair[k], pair[1 - k], hands[1 - k].data.faces).min() for k in (0, 1)]
    return Quality(found.depth_mm, found.volume_cm3, 0.0 if found.depth_mm > 0 else 1000 * min(gap))


def violations(motion: Motion) -> int:
    """How many angles of a sequence are beyond their clinical limits: of knuckles, middle and end joints.

    The thumb's base, whose axes are not perpendicular, is left out.
    """
    pose = motion.pose_aa[..., 3:].copy()
    pose[:, 1] = mirror_pose(pose[:, 1])
    beyond = 0
    for joint, name in enumerate(JOINTS_MANO16[1:]):
        for limit, angle in angles_deg(name, pose.reshape(-1, 15, 3)[:, joint]).items():
            low, high = LIMITS_DEG[limit]
            beyond += int(((angle < low - TOLERANCE_DEG) | (angle > high + TOLERANCE_DEG)).sum())
    return beyond


def angles_deg(joint: str, rotations_aa: np.ndarray) -> dict[str, np.ndarray]:
    """The angles of a joint with limits, by the limit's name."""
    digit, number = joint.split("_")
    axes = rotation_axes()[JOINTS_MANO16.index(joint)]
    if number == "1":
        if digit == "thumb":
            return {}
        local = axes @ Rotation.from_rotvec(rotations_aa).as_matrix() @ axes.T
        spread, bend, _ = Rotation.from_matrix(local).as_euler("YXZ", degrees=True).T
        return {"knuckle_flexion": bend, "knuckle_abduction": spread}
    names = {"2": "thumb_knuckle", "3": "thumb_end"} if digit == "thumb" else {"2": "middle", "3": "end"}
    return {f"{names[number]}_flexion": np.rad2deg(rotations_aa @ axes[0])}


def main() -> None:
    """Pose, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("sequences", 80), ("together", 4), ("every", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    hands, n = [load_hand(side) for side in SIDES], options.sequences
    betas = np.clip(np.random.default_rng(0).normal(0, 0.8, (n, 10)), -2, 2)
    counter = two_hands_posing.seek = Counter()
    with one_thread():
        poser, motions = Poser(*hands), []
        started = time.process_time()
        for first in range(0, n, options.together):
            batch = range(first, min(first + options.together, n))
            streams = [np.random.default_rng([7, i]) for i in batch]
            motions += poser.motions(streams, ["interacting"] * len(batch), betas[batch], held_out=False)
        seconds = time.process_time() - started
    rate = counter.sound * two_hands_posing.FRAMES / seconds
    print(f"{rate:.1f} accepted instants/s/core, {counter.sound / counter.asked:.1%} of sequences accepted")
    report(hands, motions[:: options.every], betas[:: options.every])


def report(hands: list[HandModel], motions: list[Motion], betas: np.ndarray) -> None:
    """Print the quality of sequences."""
    found, pairs, steps_mm = [], [], []
    for motion, shape in zip(motions, betas, strict=True):
        verts, joints = meshes_m(hands, motion, shape)
        found.append([quality(hands, pair) for pair in verts])
        apart = np.linalg.norm(joints[:, 0, :, None] - joints[:, 1, None], axis=-1)
        pairs += apart.reshape(len(apart), -1).argmin(axis=1).tolist()
        steps_mm.append(1000 * np.linalg.norm(np.diff(verts, axis=0), axis=-1).mean(axis=(1, 2)).max())
    depth, volume, gap = np.moveaxis(np.array(found), 2, 0)
    touch = gap < TOUCHING_MM
    some = touch.any(axis=1)
    print(
        f"{touch.size} instants; {some.mean():.1%} of sequences touch, {touch[some].mean():.1%} of their instants"
    )
    print(f"depth in mm, where hands touch: {percentiles(depth[touch], 50, 90, 100)}")
    print(f"volume in cm3: {percentiles(volume[touch], 50, 90, 100)}")
    if not some.all():
        print(f"gap of the others in mm: {percentiles(gap[~some], 0, 50, 100)}")
    print(f"angles beyond their limits: {sum(map(violations, motions))}")
    print(f"longest step of a sequence in mm: {percentiles(np.array(steps_mm), 50, 100)}")
    share = np.bincount(pairs) / len(pairs)
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
    print(f"entropy of the closest pair of joints: {entropy:.2f} of {np.log(256):.2f} nats")


def percentiles(values: np.ndarray, *ranks: float) -> str:
    """A line of percentiles."""
    names = {0: "least", 50: "median", 100: "most"}
    found = zip(ranks, np.percentile(values, ranks), strict=True)
    return ", ".join(f"{names.get(int(rank), f'p{rank:g}')} {value:.3g}" for rank, value in found)


if __name__ == "__main__":
    main()

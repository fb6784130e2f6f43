"""Sequences of one hand or of two that interact, before the cameras: drawn, posed, and drawn again where that fails.

Half of the sequences show two hands. Most of those touch in every instant, some only come near. Joints stay within
their limits, and neither hands nor forearms nor the fingers of one hand pass through each other.

The stage's frame is in metres: x to the right, y away from the first camera, z up; the hands are about its origin. They
are those of somebody who stands behind them and looks at that camera.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.errors import RequestError
from tasks.hands.hand import HandModel
from tasks.hands.open_hand.pose_space import poses_of
from tasks.hands.skeleton import MIRROR_POINT, mirror_pose
from tasks.synthesis.arrangements import TEMPLATES, Template, between, plan_sequence
from tasks.synthesis.ball_hand import BallHand
from tasks.synthesis.contact_seeking import Encounter, Posed, seek

KINDS = ("interacting", "right", "interacting", "left")
"""Hand types of successive sequences: half of all frames interact."""
FRAMES = 4
"""Of a sequence."""
TOUCHING_SHARE = 0.8
"""Of the interacting sequences; in the others the hands stay apart."""
APART_GAP_M = (0.015, 0.05)
ATTEMPTS = 40
"""Draws of a sequence before its hands are given up."""
ELBOWS = np.array([[-0.5, 0.35, -0.8], [0.5, 0.35, -0.8]])
"""Where the forearms of the right and the left hand come from."""
SIDE_WEIGHT = 0.5
"""What it counts, beside the forearms, that the left hand is to the right of the right hand as the camera sees them."""
YAW_SD_DEG, TILT_SD_DEG = 50.0, 18.0
"""Of both hands together, about the vertical and off it."""
DRIFT_SD_DEG = 6.0
"""Of their turn during a sequence."""
_MIRROR = np.diag(MIRROR_POINT).astype(np.float64)


@dataclass(frozen=True)
class Motion:
    """A sequence of T instants in the stage's frame; right hand, then left. One that does not show has a pose too."""

    shows: np.ndarray
    """(2,) bool: which hands are there."""
    pose_aa: np.ndarray
    """(T, 2, 48) absolute."""
    origin_m: np.ndarray
    """(T, 2, 3) where the origin of the hands' own axes is: what is added to a hand that turned about it."""
    bend_aa: np.ndarray
    """(T, 2, 3) of the forearms, as an ``Arm`` has it."""


@dataclass(frozen=True)
class _Scene:
    """What is decided about a sequence before it is drawn."""

    kind: str
    template: Template
    swapped: bool
    """Whether the left hand is the first one."""
    touching: bool


class Poser:
    """Both hands of a model."""

    def __init__(self, right: HandModel, left: HandModel) -> None:
        self._hands = BallHand(right.data), BallHand(left.data)
        self._name = right.name

    def motions(
        self, streams: Sequence[np.random.Generator], kinds: Sequence[str], betas: np.ndarray, held_out: bool
    ) -> list[Motion]:
        """The sequences of these random streams, kinds and shapes (S, 10), posed together.

        ``held_out`` leaves a part of each template out. Raises RequestError for a hand model that finds no pose.
        """
        scenes = [_scene(rng, kind) for rng, kind in zip(streams, kinds, strict=True)]
        found: dict[int, Posed] = {}
        for _ in range(ATTEMPTS):
            pending = [i for i in range(len(scenes)) if i not in found]
            if not pending:
                break
            drawn = [self._encounter(streams[i], scenes[i], betas[i], held_out) for i in pending]
            found |= {i: posed for i, posed in zip(pending, seek(drawn), strict=True) if posed.sound}
        if len(found) < len(scenes):
            raise RequestError(
                f"hand model '{self._name}' passes through itself in {ATTEMPTS} poses in a row: is it a hand?"
            )
        return [_on_stage(streams[i], scenes[i], found[i]) for i in range(len(scenes))]

    def _encounter(
        self, rng: np.random.Generator, scene: _Scene, betas: np.ndarray, held_out: bool
    ) -> Encounter:
        right, left = (hand.shaped(betas) for hand in self._hands)
        plan = plan_sequence(rng, scene.template, FRAMES, held_out)
        gap_m = rng.uniform(*APART_GAP_M)
        return Encounter(
            plan,
            *((left, right) if scene.swapped else (right, left)),
            together=scene.kind == "interacting",
            gap_m=None if scene.touching else gap_m,
        )


def _scene(rng: np.random.Generator, kind: str) -> _Scene:
    if kind != "interacting":
        return _Scene(kind, TEMPLATES["free contact"], False, False)
    shares = np.array([template.share for template in TEMPLATES.values()])
    template = list(TEMPLATES.values())[rng.choice(len(shares), p=shares / shares.sum())]
    return _Scene(kind, template, bool(rng.random() < 0.5), bool(rng.random() < TOUCHING_SHARE))


def _on_stage(rng: np.random.Generator, scene: _Scene, posed: Posed) -> Motion:
    """Put the hands, whose axes are the first hand's, about the middle of the stage."""
    shows = np.array([scene.kind != "left", scene.kind != "right"])
    turns = np.stack([np.broadcast_to(np.eye(3), posed.turn.shape), posed.turn], axis=1)
    shifts = np.stack([np.zeros_like(posed.shift_m), posed.shift_m], axis=1)
    middles, angles, bends = posed.middles_m, posed.angles, posed.bend_aa
    if scene.swapped:
        turns, shifts, middles, angles, bends = (
            part[:, ::-1] for part in (turns, shifts, middles, angles, bends)
        )
        turns, shifts, middles = _MIRROR @ turns @ _MIRROR, shifts @ _MIRROR, middles @ _MIRROR
    together = _facing_camera(rng, turns, middles, shows) @ _drift(rng, len(turns))
    middle = middles[:, shows].mean(axis=1, keepdims=True)
    rotations = Rotation.from_matrix((together[:, None] @ turns).reshape(-1, 3, 3)).as_rotvec()
    poses = poses_of(np.rad2deg(angles).reshape(-1, 5, 5)).reshape(-1, 2, 45)
    poses[:, 1] = mirror_pose(poses[:, 1])
    return Motion(
        shows=shows,
        pose_aa=np.concatenate([rotations.reshape(-1, 2, 3), poses], axis=2),
        origin_m=(shifts - middle) @ together.mT,
        bend_aa=bends,
    )


def _facing_camera(
    rng: np.random.Generator, turns: np.ndarray, middles: np.ndarray, shows: np.ndarray
) -> np.ndarray:
    """(3, 3) from the first hand's axes to the stage's, so that the forearms come from where somebody stands."""
    turn, (right, left) = turns[len(turns) // 2], middles[len(middles) // 2]
    arms = np.stack([turn[0] @ [1, 0, 0], turn[1] @ [-1, 0, 0]])
    yaw, tilts = rng.normal(0, YAW_SD_DEG), rng.normal(0, TILT_SD_DEG, 2)
    further = Rotation.from_euler("zxy", [yaw, *tilts], degrees=True)
    if not shows.all():
        about = Rotation.from_euler("z", rng.uniform(-180, 180), degrees=True)
        upright = Rotation.align_vectors([[0, 0, -1]], arms[shows])[0]
        return (further * about * upright).as_matrix()
    aside = (left - right) / np.linalg.norm(left - right)
    meant = np.concatenate([ELBOWS / np.linalg.norm(ELBOWS, axis=1, keepdims=True), [[1, 0, 0]]])
    upright = Rotation.align_vectors(meant, np.concatenate([arms, [aside]]), [1, 1, SIDE_WEIGHT])[0]
    return (further * upright).as_matrix()


def _drift(rng: np.random.Generator, length: int) -> np.ndarray:
    """(T, 3, 3) small turns, none at first."""
    turn = between(np.linspace(0, 1, length), np.zeros(3), rng.normal(0, DRIFT_SD_DEG, 3))
    return Rotation.from_rotvec(turn, degrees=True).as_matrix()

"""How two hands are about to meet: templates of interactions, and what is random about a sequence of one.

Everything is in the axes of the first hand, as if that were a right one: its fingers point along -x, its palm looks
along -y, its thumb is towards +z. The second hand, a left one then, is turned and comes from the side of the approach.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.hands.open_hand.anatomy import LONG_FINGERS
from tasks.hands.open_hand.pose_space import END_TO_MIDDLE, LIMITS_DEG, THUMB, sample_angles_deg
from tasks.hands.skeleton import MANO_FINGERS
from tasks.synthesis.ball_hand import BALLS

_END_OFFSET_DEG = (-5.0, 12.0)
"""With these a finger's end joint stays within its limits whatever its middle joint does."""
_FINGER = (
    *(LIMITS_DEG[name] for name in ("knuckle_abduction", "knuckle_flexion", "middle_flexion")),
    _END_OFFSET_DEG,
)
_THUMB = tuple(
    LIMITS_DEG[f"thumb_{name}"] for name in ("abduction", "opposition", "knuckle_flexion", "end_flexion")
)
_WRIST = (-18.0, 18.0), (-50.0, 70.0)
FREE_LIMITS_DEG = np.array(
    [limit for name in MANO_FINGERS for limit in (_THUMB if name == "thumb" else _FINGER)] + list(_WRIST)
)
"""(22, 2) of the angles of a hand that can be chosen. Of each digit in MANO's order: spread (the thumb's abduction),
bend (opposition), middle joint, and end joint, counted from where it follows a finger's middle joint. Then the turn of
the forearm at the wrist: about y, and about z, which extends the hand."""
_MARGIN = 0.05
"""Of their range that angles are planned to stay away from their limits."""

WRIST_DEG, WRIST_SD_DEG = 10.0, (7.0, 12.0)
SPREAD_SD_DEG, END_OFFSET_DEG = 2.5, (1.0, 3.0)
OWN_SHARE = 0.6
"""Deviation of each finger from what all have in common, as a share of that."""
TWIST_SD_DEG = 2.0
SHYNESS_SD_M = 0.004
DRIFT = 0.5
"""From the first instant to the last, as a share of the way to an independent draw."""
HELD_OUT = 0.2
"""Share of the turns of a template that training never sees."""


@dataclass(frozen=True)
class Grip:
    """How one hand is held, in degrees."""

    bend: float
    middle: float
    spread: float = 0.0
    """Of the outer fingers away from the middle of the hand."""
    thumb: tuple[float, float, float, float] = (5.0, 12.0, 8.0, 8.0)
    sd: float = 6.0
    """Of what is common to all fingers."""
    wrist: float = WRIST_DEG
    """Extension."""

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """(22,) free angles."""
        digits = np.empty((5, 4))
        common = rng.normal(0, self.sd)
        for k, name in enumerate(LONG_FINGERS):
            own = rng.normal(0, OWN_SHARE * self.sd, 2)
            digits[MANO_FINGERS.index(name)] = (
                self.spread * (1.5 - k) / 1.5 + rng.normal(0, SPREAD_SD_DEG),
                self.bend + common + own[0],
                self.middle + 0.8 * common + own[1],
                rng.normal(*END_OFFSET_DEG),
            )
        digits[THUMB] = self.thumb + rng.normal(0, self.sd, 4)
        return _free(digits, rng.normal([0, self.wrist], WRIST_SD_DEG))


class AnyGrip:
    """Any natural pose."""

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """(22,) free angles."""
        digits = sample_angles_deg(1, rng)[0][:, [0, 1, 3, 4]]
        fingers = np.arange(len(digits)) != THUMB
        digits[fingers, 3] -= END_TO_MIDDLE * digits[fingers, 2]
        return _free(digits, rng.normal([0, WRIST_DEG], WRIST_SD_DEG))


def _free(digits_deg: np.ndarray, wrist_deg: np.ndarray) -> np.ndarray:
    low, high = FREE_LIMITS_DEG.T
    margin = _MARGIN * (high - low)
    return np.clip(np.concatenate([digits_deg.ravel(), wrist_deg]), low + margin, high - margin)


FACING = Rotation.from_euler("z", 180, degrees=True)
"""Of the second hand, whose fingers point along +x: palm to palm, fingers along those of the first."""
_UPSIDE_DOWN = Rotation.from_euler("x", 180, degrees=True)
_ALONG = Rotation.from_euler("y", 180, degrees=True)


@dataclass(frozen=True)
class Template:
    """One kind of interaction."""

    share: float
    first: Grip | AnyGrip
    second: Grip | AnyGrip
    turn: Rotation = FACING
    """Of the second hand."""
    yaw_deg: tuple[float, float] = (0.0, 0.0)
    """Further turn about the first hand's y axis, uniform."""
    wobble_deg: float = 10.0
    """Standard deviation of a further turn, about each axis."""
    approach: tuple[float, float, float] = (0.0, -1.0, 0.0)
    """Direction in which the second hand is moved away from where the middles of both hands coincide."""
    approach_sd: float = 0.1
    from_m: tuple[float, float] = (0.02, 0.04)
    """How far at least."""
    offset_sd_m: float = 0.01
    """Of the second hand's place before it is moved away."""


_CLASPING = Grip(45, 55, thumb=(8, 25, 10, 12), sd=9)
_FLAT = Grip(4, 6, wrist=35)
_TENT = Grip(32, 22, 9, wrist=25)
TEMPLATES: dict[str, Template] = {
    "free contact": Template(
        0.25, AnyGrip(), AnyGrip(), yaw_deg=(-180, 180), wobble_deg=40, approach_sd=0.5, offset_sd_m=0.03
    ),
    "palms together": Template(0.11, _FLAT, _FLAT, yaw_deg=(-25, 25), wobble_deg=6),
    "steeple": Template(0.11, _TENT, _TENT, yaw_deg=(-6, 6), wobble_deg=6, offset_sd_m=0.006),
    "clasp": Template(0.14, _CLASPING, _CLASPING, yaw_deg=(50, 110)),
    "fist in palm": Template(
        0.11, Grip(78, 92, thumb=(4, 30, 30, 40)), Grip(28, 30, 4, (8, 22, 8, 10), sd=8),
        yaw_deg=(-60, 60), wobble_deg=14,
    ),
    "pinch": Template(
        0.1, AnyGrip(), Grip(45, 40, thumb=(4, 30, 14, 12), sd=7), yaw_deg=(-120, 120), wobble_deg=25,
        approach=(-0.8, -0.6, 0), approach_sd=0.35,
    ),
    "hooked fingers": Template(
        0.08, Grip(20, 80), Grip(20, 80), _UPSIDE_DOWN, (-20, 20), approach=(-1, -0.2, 0), from_m=(0.05, 0.09)
    ),
    "stacked hands": Template(
        0.1, Grip(12, 15, sd=8), Grip(18, 22, sd=8), _ALONG, (-100, 100), approach=(0, 1, 0)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A sequence of T instants as it is meant; first hand, then second."""

    free_deg: np.ndarray
    """(T, 2, 22) angles as in ``FREE_LIMITS_DEG``."""
    twist_deg: np.ndarray
    """(2, 5) of the digits about themselves; of the thumb, beside what follows from its opposition."""
    turn: np.ndarray
    """(T, 3, 3) of the second hand."""
    approach: np.ndarray
    """(3,) unit vector."""
    from_m: float
    offset_m: np.ndarray
    """(T, 3)."""
    shyness_m: np.ndarray
    """(2, BALLS) what the balls seem farther away by when contacts are chosen."""


def plan_sequence(rng: np.random.Generator, template: Template, length: int, held_out: bool) -> Plan:
    """A sequence of this many instants; ``held_out`` says that the last part of the template's turns is left out."""
    time = np.linspace(0, DRIFT, length)
    grips = [np.stack([grip.draw(rng) for grip in (template.first, template.second)]) for _ in range(2)]
    low, high = template.yaw_deg
    yaw = rng.uniform(low, high - HELD_OUT * (high - low) * held_out)
    wobble = between(time, *rng.normal(0, template.wobble_deg, (2, 3)))
    turn = Rotation.from_euler("y", yaw, degrees=True) * Rotation.from_rotvec(wobble, degrees=True)
    approach = template.approach + rng.normal(0, template.approach_sd, 3)
    return Plan(
        free_deg=between(time, *grips),
        twist_deg=np.clip(rng.normal(0, TWIST_SD_DEG, (2, 5)), *LIMITS_DEG["knuckle_twist"]),
        turn=(turn * template.turn).as_matrix(),
        approach=approach / np.linalg.norm(approach),
        from_m=rng.uniform(*template.from_m),
        offset_m=between(time, *rng.normal(0, template.offset_sd_m, (2, 3))),
        shyness_m=rng.normal(0, SHYNESS_SD_M, (2, BALLS)),
    )


def between(time: np.ndarray, first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(T, ...) values on the way from ``first`` at time 0 to ``other`` at time 1."""
    return first + time.reshape(-1, *[1] * first.ndim) * (other - first)

"""Bones: where the joints of an open right hand are, how long and how thick its digits, and how hands differ.

Segment lengths are of the size published by Buryanov and Kotiuk, "Proportions of hand segments" (2010).
"""

from dataclasses import dataclass, replace

import numpy as np

from tasks.hands.skeleton import FINGERS, MANO_FINGERS

LONG_FINGERS = FINGERS[1:]
THUMB_DORSAL = np.array([0.25, 0.72, 0.65])
"""Out of the back of the resting thumb, roughly; fingers have +y."""


@dataclass(frozen=True)
class Digit:
    """One digit: three bones in a chain. The thumb's first bone is its metacarpal."""

    base: np.ndarray
    """(3,) first joint: a knuckle, or the thumb's carpal joint."""
    directions: np.ndarray
    """(3, 3) unit vectors along the bones, away from the wrist."""
    dorsal: np.ndarray
    """(3,) unit vector out of the back of the middle bone."""
    lengths: np.ndarray
    """(3,) the last one up to the tip of the pulp."""
    radii: np.ndarray
    """(4,) at the three joints and at the tip."""

    @property
    def joints(self) -> np.ndarray:
        """(3, 3)."""
        steps = self.directions[:2] * self.lengths[:2, None]
        return self.base + np.vstack([np.zeros(3), np.cumsum(steps, 0)])

    @property
    def tip(self) -> np.ndarray:
        """(3,) the most distal point."""
        return self.joints[2] + self.directions[2] * self.lengths[2]

    @property
    def tip_centre(self) -> np.ndarray:
        """(3,) centre of the ball that ends the digit."""
        return self.tip - self.directions[2] * self.radii[3]

    def frame(self, bone: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors of one bone: along it, out of its back, towards its radial side."""
        along = self.directions[bone]
        back = unit(self.dorsal - along * (self.dorsal @ along))
        return along, back, np.cross(back, along)


@dataclass(frozen=True)
class Anatomy:
    """A whole hand. ``size`` scales everything at the end; the other factors are relative to the default hand."""

    digits: dict[str, Digit]
    carpal_ends: dict[str, np.ndarray]
    """Proximal ends of the four finger metacarpals."""
    size: float = 1.0
    palm_thickness: float = 1.0
    palm_width: float = 1.0
    thenar: float = 1.0
    wrist: float = 1.0

    @property
    def joints(self) -> np.ndarray:
        """(16, 3) in MANO's order, before ``size``."""
        return np.vstack([np.zeros((1, 3)), *(self.digits[name].joints for name in MANO_FINGERS)])

    @property
    def palm_scale(self) -> np.ndarray:
        """(3,) what the landmarks of the palm are multiplied by."""
        return np.array([1.0, 1.0, self.palm_width])


def unit(vector: np.ndarray) -> np.ndarray:
    """Vectors scaled to length 1 along the last axis."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)


# The tables below count x from the wrist towards the fingers; ``_place`` turns that into the builder's -x.
_KNUCKLES = {
    "index": (87.0, 1.0, 25.0),
    "middle": (88.5, 3.5, 4.5),
    "ring": (81.5, 1.5, -15.0),
    "pinky": (71.0, -3.5, -32.5),
}
_CARPAL_ENDS = {
    "index": (20.0, 1.0, 12.0),
    "middle": (22.0, 3.0, 3.0),
    "ring": (20.0, 2.0, -6.0),
    "pinky": (17.0, -1.0, -14.0),
}
_SPREAD_DEG = {"index": 5.5, "middle": 0.5, "ring": -5.0, "pinky": -12.0}
_LENGTHS = {
    "index": (39.8, 22.4, 19.6),
    "middle": (44.6, 26.3, 21.4),
    "ring": (41.4, 25.7, 21.3),
    "pinky": (32.7, 18.1, 19.7),
}
_RADII = {
    "index": (11.2, 8.9, 7.6, 6.4),
    "middle": (11.4, 9.0, 7.8, 6.6),
    "ring": (10.6, 8.4, 7.3, 6.2),
    "pinky": (9.6, 7.5, 6.5, 5.5),
}
_THUMB_BASE = (20.0, -7.0, 19.0)
_THUMB_DIRECTIONS = ((0.74, -0.22, 0.64), (0.885, -0.10, 0.455), (0.93, -0.02, 0.365))
_THUMB_LENGTHS = (44.0, 31.6, 26.7)
_THUMB_RADII = (13.0, 10.8, 9.8, 7.6)


def _place(distal_dorsal_radial: tuple) -> np.ndarray:
    """Coordinates of the tables in the builder's frame."""
    return np.array(distal_dorsal_radial) * [-1.0, 1.0, 1.0]


def default_anatomy() -> Anatomy:
    """The hand that the topology is laid out on: 181 mm from wrist to middle tip, 84 mm across the knuckles."""
    digits = {name: _finger(name, _SPREAD_DEG[name]) for name in LONG_FINGERS}
    directions = unit(_place(_THUMB_DIRECTIONS))
    dorsal = THUMB_DORSAL
    digits["thumb"] = Digit(
        base=_place(_THUMB_BASE),
        directions=directions,
        dorsal=unit(dorsal - directions[1] * (dorsal @ directions[1])),
        lengths=np.array(_THUMB_LENGTHS),
        radii=np.array(_THUMB_RADII),
    )
    return Anatomy(digits, {name: _place(end) for name, end in _CARPAL_ENDS.items()})


def _finger(name: str, spread_deg: float) -> Digit:
    """A straight finger that leaves its knuckle at an angle in the plane of the palm."""
    angle = np.deg2rad(spread_deg)
    along = _place((np.cos(angle), 0.0, np.sin(angle)))
    return Digit(
        base=_place(_KNUCKLES[name]),
        directions=np.tile(along, (3, 1)),
        dorsal=np.array([0.0, 1.0, 0.0]),
        lengths=np.array(_LENGTHS[name]),
        radii=np.array(_RADII[name]),
    )


def random_anatomy(rng: np.random.Generator) -> Anatomy:
    """A random adult hand: mostly size, then proportions of palm and digits, then each digit's own."""

    def factor(deviation: float) -> float:
        return float(np.exp(rng.normal(0.0, deviation)))

    size, length, thickness, width = factor(0.065), factor(0.035), factor(0.06), factor(0.05)
    scale = np.array([1.0, 1.0, width])
    digits = {}
    for name in LONG_FINGERS:
        own_length, own_thickness = length * factor(0.025), thickness * factor(0.02)
        finger = _finger(name, _SPREAD_DEG[name] + rng.normal(0.0, 1.0))
        digits[name] = replace(
            finger,
            base=finger.base * scale,
            lengths=finger.lengths * own_length * [factor(0.015) for _ in range(3)],
            radii=finger.radii * own_thickness,
        )
    thumb = default_anatomy().digits["thumb"]
    digits["thumb"] = replace(
        thumb,
        base=thumb.base * scale,
        lengths=thumb.lengths * [factor(0.03), length * factor(0.035), length * factor(0.035)],
        radii=thumb.radii * thickness * [factor(0.02) for _ in range(4)],
    )
    return Anatomy(
        digits,
        {name: _place(end) * scale for name, end in _CARPAL_ENDS.items()},
        size=size,
        palm_thickness=factor(0.06),
        palm_width=width,
        thenar=factor(0.06),
        wrist=factor(0.06) * (1 + 0.5 * (thickness - 1)),
    )

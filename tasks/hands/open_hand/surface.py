"""Flesh: a signed distance around the bones, made of rounded cones that melt into each other.

Each end of a cone hangs on a bone, so the same surface can be posed rigidly bone by bone; that posed
surface is what the pose correctives are fitted to.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.hands.open_hand.anatomy import LONG_FINGERS, Anatomy, unit
from tasks.hands.skeleton import FINGERS, JOINTS_MANO16

BLEND_IN_DIGIT_MM = 2.2
BLEND_BETWEEN_DIGITS_MM = 1.4
"""Small, so that the webs between the fingers stay open."""
BLEND_IN_PALM_MM = 4.5
BLEND_DIGIT_TO_PALM_MM = 3.2
BLEND_THUMB_TO_PALM_MM = 5.0


class Cone(NamedTuple):
    """The convex hull of two balls; each centre moves with a bone (index into MANO's 16 joints)."""

    start: np.ndarray
    start_bone: int
    end: np.ndarray
    end_bone: int
    start_radius: float
    end_radius: float


@dataclass(frozen=True)
class _Cones:
    """Many cones as arrays."""

    start: np.ndarray
    axis: np.ndarray
    length: np.ndarray
    start_radius: np.ndarray
    end_radius: np.ndarray

    @classmethod
    def of(cls, cones: list[Cone], transforms: np.ndarray | None) -> "_Cones":
        """Cones in place, moved by (16, 4, 4) bone transforms where given."""
        ends = [_moved(cone.start, cone.start_bone, transforms) for cone in cones]
        span = np.array([_moved(cone.end, cone.end_bone, transforms) for cone in cones]) - ends
        length = np.linalg.norm(span, axis=-1)
        radii = np.array([(cone.start_radius, cone.end_radius) for cone in cones])
        return cls(np.array(ends), span / length[:, None], length, radii[:, 0], radii[:, 1])

    def distance(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, N) signed distances and (P, N, 3) gradients.

        The ball of the hull that is nearest to a point sits where the tangent cone's normal through the
        point meets the axis, or at an end.
        """
        offset = points[:, None] - self.start
        along = (offset * self.axis).sum(-1)
        across = np.sqrt(np.maximum((offset**2).sum(-1) - along**2, 0.0))
        slope = (self.start_radius - self.end_radius) / self.length
        place = np.clip(along - across * slope / np.sqrt(np.maximum(1 - slope**2, 1e-9)), 0.0, self.length)
        outward = offset - place[..., None] * self.axis
        reach = np.linalg.norm(outward, axis=-1)
        distance = reach - (self.start_radius - slope * place)
        return distance, outward / np.maximum(reach, 1e-9)[..., None]


def _moved(point: np.ndarray, bone: int, transforms: np.ndarray | None) -> np.ndarray:
    return point if transforms is None else transforms[bone, :3, :3] @ point + transforms[bone, :3, 3]


def _blend(distance: np.ndarray, gradient: np.ndarray, length_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Smooth minimum over axis 1 (log-sum-exp), with its gradient."""
    nearest = distance.min(1, keepdims=True)
    weight = np.exp((nearest - distance) / length_mm)
    total = weight.sum(1, keepdims=True)
    value = nearest[:, 0] - length_mm * np.log(total[:, 0])
    return value, np.einsum("pn,pnc->pc", weight / total, gradient)


class HandSurface:
    """The signed distance of a hand at rest, or posed by (16, 4, 4) bone transforms."""

    def __init__(self, anatomy: Anatomy, transforms: np.ndarray | None = None) -> None:
        self._digits = {
            name: _Cones.of(_thumb(anatomy) if name == "thumb" else _finger(anatomy, name), transforms)
            for name in FINGERS
        }
        self._palm = _Cones.of(_palm(anatomy), transforms)

    def distance(
        self, points: np.ndarray, digits: tuple[str, ...] = FINGERS, palm: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """(P,) signed distances in mm, negative inside, and (P, 3) gradients, of the chosen parts."""
        flesh = _blend(*self._palm.distance(points), BLEND_IN_PALM_MM) if palm else None
        for joined, blend in ((LONG_FINGERS, BLEND_DIGIT_TO_PALM_MM), (("thumb",), BLEND_THUMB_TO_PALM_MM)):
            own = [
                _blend(*self._digits[name].distance(points), BLEND_IN_DIGIT_MM)
                for name in joined
                if name in digits
            ]
            if own:
                together = _blend(*_stack(own), BLEND_BETWEEN_DIGITS_MM)
                flesh = together if flesh is None else _blend(*_stack([flesh, together]), blend)
        if flesh is None:
            raise ValueError("a surface needs at least one part")
        return flesh

    def project(
        self, points: np.ndarray, steps: int, max_step_mm: float, digits: tuple[str, ...] = FINGERS
    ) -> np.ndarray:
        """Points moved onto the surface by Newton steps along the gradient."""
        for _ in range(steps):
            distance, gradient = self.distance(points, digits)
            norm = np.maximum(np.linalg.norm(gradient, axis=-1), 1e-3)
            step = np.clip(distance / norm, -max_step_mm, max_step_mm)
            points = points - (step / norm)[:, None] * gradient
        return points

    def cast(
        self, origins: np.ndarray, directions: np.ndarray, digits: tuple[str, ...], palm: bool = False
    ) -> np.ndarray:
        """Where rays from inside leave the chosen parts (sphere tracing, which also walks back)."""
        travelled = np.zeros(len(origins))
        for _ in range(60):
            distance, _ = self.distance(origins + directions * travelled[:, None], digits, palm)
            travelled = travelled - 0.9 * distance
        return origins + directions * travelled[:, None]


def _stack(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([d for d, _ in parts], 1), np.stack([g for _, g in parts], 1)


def _finger(anatomy: Anatomy, name: str) -> list[Cone]:
    """Three bones, the palmar pads of each, and the bulge on the back of the middle joint."""
    digit = anatomy.digits[name]
    bone = JOINTS_MANO16.index(f"{name}_1")
    first, second, third = digit.joints
    along, back, _ = digit.frame(0)
    r_base, r_middle, r_end, r_tip = digit.radii
    length = digit.lengths

    def pad(joint: np.ndarray, place: float, depth: float) -> np.ndarray:
        return joint + along * place - back * depth

    return [
        Cone(first, bone, second, bone + 1, r_base, r_middle * 0.985),
        Cone(second, bone + 1, third, bone + 1, r_middle * 0.985, r_end),
        Cone(third, bone + 2, digit.tip_centre, bone + 2, r_end, r_tip),
        Cone(
            pad(first, 0.50 * length[0], 0.22 * r_base), bone,
            pad(first, 0.78 * length[0], 0.30 * r_middle), bone,
            0.86 * r_middle, 0.78 * r_middle,
        ),
        Cone(
            pad(second, 0.35 * length[1], 0.26 * r_middle), bone + 1,
            pad(second, 0.70 * length[1], 0.28 * r_end), bone + 1,
            0.78 * r_middle, 0.82 * r_end,
        ),
        Cone(
            pad(third, 4.0, 0.22 * r_end), bone + 2,
            pad(digit.tip_centre, -1.5, 0.20 * r_tip), bone + 2,
            0.80 * r_end, 0.92 * r_tip,
        ),
        Cone(
            pad(second, -3.0, -0.30 * r_middle), bone,
            pad(second, -1.0, -0.30 * r_middle), bone + 1,
            0.74 * r_middle, 0.74 * r_middle,
        ),
    ]  # fmt: skip


def _thumb(anatomy: Anatomy) -> list[Cone]:
    """Metacarpal, two phalanges, two pads, and the bulge on the back of the knuckle."""
    digit = anatomy.digits["thumb"]
    bone = JOINTS_MANO16.index("thumb_1")
    first, second, third = digit.joints
    back = digit.frame(1)[1]
    _, along, along_end = digit.directions
    r_base, r_middle, r_end, r_tip = digit.radii
    return [
        Cone(first, bone, second, bone + 1, r_base, r_middle),
        Cone(second, bone + 1, third, bone + 2, r_middle, r_end),
        Cone(third, bone + 2, digit.tip_centre, bone + 2, r_end, r_tip),
        Cone(
            third + along_end * 5.0 - back * 0.25 * r_end, bone + 2,
            digit.tip_centre - along_end * 3.0 - back * 0.25 * r_tip, bone + 2,
            0.82 * r_end, 0.95 * r_tip,
        ),
        Cone(
            second + along * 8.0 - back * 0.25 * r_middle, bone + 1,
            second + along * 20.0 - back * 0.22 * r_middle, bone + 1,
            0.82 * r_middle, 0.82 * r_end,
        ),
        Cone(
            second + back * 2.5, bone + 1, second + back * 2.5 + along, bone + 1,
            0.88 * r_middle, 0.86 * r_middle,
        ),
    ]  # fmt: skip


def _palm(anatomy: Anatomy) -> list[Cone]:
    """Four metacarpals, the pads and bellies of the palm, the first web, carpus and wrist."""
    scale, thick = anatomy.palm_scale, anatomy.palm_thickness
    thenar = anatomy.thenar * thick
    knuckles = {name: anatomy.digits[name].base for name in LONG_FINGERS}
    cones = [
        Cone(
            anatomy.carpal_ends[name], 0, knuckle - 2.0 * unit(knuckle - anatomy.carpal_ends[name]), 0,
            13.2 * thick, 1.02 * anatomy.digits[name].radii[0],
        )
        for name, knuckle in knuckles.items()
    ]  # fmt: skip
    thumb = anatomy.digits["thumb"]
    thumb_bone = JOINTS_MANO16.index("thumb_1")

    def on_thumb(share: float, *offset: float) -> np.ndarray:
        return thumb.joints[0] + share * (thumb.joints[1] - thumb.joints[0]) + np.array(offset)

    def on_index(share: float, *offset: float) -> np.ndarray:
        start = anatomy.carpal_ends["index"]
        return start + share * (knuckles["index"] - start) + np.array(offset)

    def at(distal: float, dorsal: float, radial: float) -> np.ndarray:
        return np.array([-distal, dorsal, radial]) * scale

    under_index = knuckles["index"] + np.array([-3.0, -5.5 * thick, -1.0])
    under_pinky = knuckles["pinky"] + np.array([-4.0, -4.5 * thick, 1.0])
    cones += [
        Cone(under_index, 0, under_pinky, 0, 9.5 * thick, 9.0 * thick),
        Cone(at(16, -7.5, -17), 0, at(56, -7.5, -31), 0, 13.0 * thick, 10.5 * thick),  # hypothenar
        Cone(at(20, -9, 15), 0, on_thumb(0.52, 0, -3.5, -6), thumb_bone, 13.5 * thenar, 12.0 * thenar),
        Cone(on_thumb(0.60, 0, 1.5, 0), thumb_bone, on_index(0.55, 0, -3, 3), 0, 8.5 * thenar, 8.5 * thenar),
        Cone(on_thumb(0.30, 0, 0, 0), thumb_bone, on_index(0.30, 0, -4, 2), 0, 10.5 * thenar, 10.0 * thenar),
    ]
    wrist = anatomy.wrist
    for side, radius, carpal_radius in ((1, 18.2, 15.5), (-1, 17.2, 15.0)):
        forearm = np.array([60.0, 0.0, side * 10.0 * wrist])
        cones.append(Cone(forearm, 0, at(18, -1, side * 9), 0, radius * wrist, carpal_radius * thick))
    return cones

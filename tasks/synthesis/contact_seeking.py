"""Hands that reach for each other: planned sequences become poses that touch and hardly overlap.

The second hand is moved away until balls of the two hands just meet. Then Adam changes all angles, which cannot leave
their limits, and the place of the second hand: balls that overlap are pushed apart, near ones are pulled together ever
less, and the motion stays as it was planned as far as it can. All instants of a sequence seek the same contacts.

Hands are the first and the second, in the axes of the first one, as if that were a right hand (``arrangements``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from tasks.hands.open_hand.pose_space import (
    END_TO_MIDDLE,
    LEAST_SPREAD,
    SPREAD_GONE_DEG,
    THUMB,
    TWIST_PER_OPPOSITION,
)
from tasks.hands.skeleton import MIRROR_POINT
from tasks.synthesis.arrangements import FREE_LIMITS_DEG, Plan
from tasks.synthesis.ball_hand import BALLS, Shaped, arms, batch, posed, rotation
from tasks.synthesis.ball_overlap import meeting_distance_m, overlaps_m, push

STEPS = 40
ANGLE_STEP, TURN_STEP, SHIFT_STEP_M = 0.12, 0.02, 0.0022
"""Adam's first steps: of the angles' logits, of the second hand's turn in radians and of its place."""
DECAYS, TINY = (0.9, 0.999), 1e-8
"""Adam's other constants."""
LAST_STEP, LAST_PULL = 0.1, 0.1
"""What is left at the end of the size of steps, and of the pull of contacts."""
YIELD_M = 0.0006
"""Overlap between the hands that costs nothing: skin gives way."""
PRESSED_M = 0.0004
"""Contacts are pulled until they overlap by this."""
OWN_GAP_M = 0.0005
"""Fingers of one hand keep this distance."""
SLACK_M = 0.03
"""Longer gaps pull no harder."""
OVERLAP_WEIGHT, PULL_WEIGHT, PLAN_WEIGHT, SMOOTH_WEIGHT = 3e4, 2e3, 0.2, 1.0
SMOOTH_UNITS = (1.0, 0.17, 0.01)
"""Departures from the plan that count alike when one instant has them and the next has not: of logits, turn, place."""
CONTACTS = 30
"""Pairs of balls that are pulled together."""
ALONE_M = 1.0
"""How far away the second hand is where only one is to be seen."""

DEEPEST_M, DEEPEST_OWN_M, DEEPEST_ARM_M = 0.003, 0.004, 0.006
"""Overlaps beyond which a sequence is rejected: of the hands, of one hand with itself, with and between forearms."""
TOUCHING_M, APART_M = 0.0005, (0.002, 0.1)
"""Gaps of hands that touch, and that are near without touching."""


@dataclass(frozen=True)
class Encounter:
    """A sequence that is to be posed."""

    plan: Plan
    first: Shaped
    second: Shaped
    together: bool = True
    """Whether both hands are there; else they do not see each other."""
    gap_m: float | None = None
    """What is to be between the hands; None where they touch."""

    @property
    def touching(self) -> bool:
        """Whether the hands seek contact."""
        return self.together and self.gap_m is None


@dataclass(frozen=True)
class Posed:
    """A sequence of T instants."""

    angles: np.ndarray
    """(T, 2, 5, 5) radians about ``digit_axes``, as of right hands."""
    bend_aa: np.ndarray
    """(T, 2, 3) of the forearms."""
    turn: np.ndarray
    """(T, 3, 3) of the second hand: its own axes, those of a left hand, to the first hand's."""
    shift_m: np.ndarray
    """(T, 3)."""
    middles_m: np.ndarray
    """(T, 2, 3) of both hands."""
    overlaps_m: np.ndarray
    """(T, 3) deepest: between the hands, inside a hand, with a forearm; negative where there is a gap."""
    sound: bool
    """Whether every instant is as it should be."""


def seek(encounters: Sequence[Encounter]) -> list[Posed]:
    """The sequences, all with the same number of instants; the same ones give the same poses."""
    search = _Search(encounters)
    search.run()
    return search.outcome()


class _Search:
    """Adam on the B = S T instants of S sequences."""

    def __init__(self, encounters: Sequence[Encounter]) -> None:
        self._encounters, self._plans = encounters, [each.plan for each in encounters]
        self._length = len(self._plans[0].turn)
        self._hands = batch(
            [hand for each in encounters for hand in self._length * (each.first, each.second)]
        )
        radii = torch.cat([self._hands.radii, self._hands.arm_radii], dim=1)
        self._radii = radii.unflatten(0, (-1, 2))
        self._low, high = torch.deg2rad(torch.tensor(FREE_LIMITS_DEG, dtype=torch.float32)).unbind(dim=1)
        self._span = high - self._low
        self._twist = torch.deg2rad(self._each([plan.twist_deg for plan in self._plans]))
        self._planned_turn = self._all([plan.turn for plan in self._plans])
        planned = torch.deg2rad(self._all([plan.free_deg for plan in self._plans]))
        self._planned = torch.logit((planned - self._low) / self._span)
        self._together = self._each([each.together for each in encounters])
        self._touching = self._each([each.touching for each in encounters])
        self._logits = self._planned.clone().requires_grad_()
        self._turn, self._shift = (torch.zeros((len(planned), 3), requires_grad=True) for _ in range(2))
        self._meet()

    def _all(self, values: list[np.ndarray]) -> Tensor:
        """(B, ...) of values of each instant, sequence by sequence."""
        return torch.tensor(np.concatenate(values), dtype=torch.float32)

    def _each(self, values: Sequence[object]) -> Tensor:
        """(B, ...) of values of each sequence."""
        return torch.tensor(np.stack(values), dtype=torch.float32).repeat_interleave(self._length, dim=0)

    @torch.no_grad()
    def _meet(self) -> None:
        """Place the second hand, and choose the contacts."""
        plans, radii = self._plans, self._radii[:, :, :BALLS]
        balls = self._balls(self._planned)[:, :, :BALLS]
        first, second = balls[:, 0], balls[:, 1] @ self._planned_turn.mT
        start = first.mean(dim=1) - second.mean(dim=1) + self._all([plan.offset_m for plan in plans])
        approach = self._each([plan.approach for plan in plans])
        away = meeting_distance_m(
            (first, radii[:, 0]),
            (second + start[:, None], radii[:, 1]),
            approach,
            self._each([plan.from_m for plan in plans]),
        )
        away += self._each([each.gap_m or 0.0 for each in self._encounters])
        away += ALONE_M * (1 - self._together)
        self._planned_shift = start + away[:, None] * approach
        apart = torch.cdist(first, second + self._planned_shift[:, None]).unflatten(0, (-1, self._length))
        self._choose(apart.mean(dim=1), radii)

    def _choose(self, apart: Tensor, radii: Tensor) -> None:
        """Contacts of each sequence from the mean distances (S, BALLS, BALLS) of its balls."""
        shyness = torch.tensor(np.stack([plan.shyness_m for plan in self._plans]), dtype=torch.float32)
        seeming = shyness - radii[:: self._length]
        seeming = apart + seeming[:, 0, :, None] + seeming[:, 1, None]
        chosen = seeming.flatten(1).topk(CONTACTS, largest=False).indices
        chosen = chosen.repeat_interleave(self._length, dim=0)
        self._contacts = chosen // BALLS, chosen % BALLS
        self._reach = sum(torch.gather(radii[:, k], 1, index) for k, index in enumerate(self._contacts))

    def _free(self, logits: Tensor) -> Tensor:
        """(B, 2, 22) angles within their limits."""
        return self._low + self._span * torch.sigmoid(logits)

    def _balls(self, logits: Tensor) -> Tensor:
        """(B, 2, n, 3) centres in the hands' own axes, those of the forearms last."""
        free = self._free(logits)
        angles, bend_aa = joint_angles(free, self._twist), _bend_aa(free)
        centres = torch.cat(
            [posed(self._hands, angles.flatten(0, 1)), arms(self._hands, bend_aa.flatten(0, 1))], dim=1
        )
        first, second = centres.unflatten(0, (-1, 2)).unbind(dim=1)
        return torch.stack([first, second * torch.from_numpy(MIRROR_POINT)], dim=1)

    def _whole_turn(self) -> Tensor:
        return rotation(self._turn) @ self._planned_turn

    def _placed(self) -> tuple[Tensor, Tensor]:
        """(B, 2, n, 3) centres in the hands' own axes, and (B, n, 3) those of the second hand where it is."""
        balls = self._balls(self._logits)
        place = (self._planned_shift + self._shift)[:, None]
        return balls, balls[:, 1] @ self._whole_turn().mT + place

    def run(self) -> None:
        """All steps."""
        adam = _Adam((self._logits, self._turn, self._shift), (ANGLE_STEP, TURN_STEP, SHIFT_STEP_M))
        between = self._radii - YIELD_M / 2
        between_scale = self._together[:, None, None] / (2 * (between[:, 0, :, None] + between[:, 1, None]))
        own = self._hands.radii + OWN_GAP_M / 2
        own_scale = self._hands.pairs / (2 * (own[:, :, None] + own[:, None]))
        for done in np.arange(STEPS) / STEPS:
            balls, second = self._placed()
            hands = balls[:, :, :BALLS].flatten(0, 1)
            pushed = push((balls[:, 0], between[:, 0]), (second, between[:, 1]), between_scale)
            pushed = pushed + push((hands, own), (hands, own), own_scale)
            pull = PULL_WEIGHT * (1 - (1 - LAST_PULL) * done)
            energy = OVERLAP_WEIGHT * pushed + pull * self._pull(balls[:, 0], second) + self._departure()
            adam.step(energy, 1 - (1 - LAST_STEP) * done)

    def _pull(self, first: Tensor, second: Tensor) -> Tensor:
        """Squared gaps of the contacts; linear beyond ``SLACK_M``."""
        ends = (
            torch.gather(balls, 1, index[..., None].expand(-1, -1, 3))
            for balls, index in zip((first, second), self._contacts, strict=True)
        )
        gap = torch.relu(torch.linalg.vector_norm(next(ends) - next(ends), dim=-1) - self._reach + PRESSED_M)
        bent = 2 * huber_loss(gap, torch.zeros_like(gap), reduction="none", delta=SLACK_M)
        return (bent.sum(dim=1) * self._touching).sum()

    def _departure(self) -> Tensor:
        """How far the motion is from its plan, and above all how unevenly."""
        logits = (self._logits - self._planned).flatten(1)
        energy = PLAN_WEIGHT * logits.square().mean(dim=1).sum()
        for change, unit in zip((logits, self._turn, self._shift), SMOOTH_UNITS, strict=True):
            uneven = (change / unit).unflatten(0, (-1, self._length)).diff(dim=1)
            energy = energy + SMOOTH_WEIGHT * uneven.square().mean(dim=2).sum()
        return energy

    @torch.no_grad()
    def outcome(self) -> list[Posed]:
        """What was found, sequence by sequence."""
        balls, second = self._placed()
        free = self._free(self._logits)
        parts = (
            joint_angles(free, self._twist),
            _bend_aa(free),
            self._whole_turn(),
            self._planned_shift + self._shift,
            torch.stack([part[:, :BALLS].mean(dim=1) for part in (balls[:, 0], second)], dim=1),
            self._overlaps_m(balls, second),
        )
        by_sequence = [part.double().unflatten(0, (-1, self._length)).numpy() for part in parts]
        return [
            Posed(*found, sound=_sound(each, found[-1]))
            for each, *found in zip(self._encounters, *by_sequence, strict=True)
        ]

    def _overlaps_m(self, balls: Tensor, second: Tensor) -> Tensor:
        """(B, 3) as ``Posed`` has them."""
        across = overlaps_m((balls[:, 0], self._radii[:, 0]), (second, self._radii[:, 1]))
        hands = balls[:, :, :BALLS].flatten(0, 1), self._hands.radii
        own = torch.where(self._hands.pairs > 0, overlaps_m(hands, hands), -ALONE_M)
        own = own.amax(dim=(1, 2)).unflatten(0, (-1, 2)).amax(dim=1)
        arm = torch.maximum(across[:, BALLS:].amax(dim=(1, 2)), across[:, :, BALLS:].amax(dim=(1, 2)))
        return torch.stack([across[:, :BALLS, :BALLS].amax(dim=(1, 2)), own, arm], dim=1)


class _Adam:
    """Adam (Kingma and Ba, 2015). torch's own imports torch's compiler before it steps: seconds in every process."""

    def __init__(self, variables: Sequence[Tensor], steps: Sequence[float]) -> None:
        self._variables, self._steps, self._count = variables, steps, 0
        self._means, self._squares = ([torch.zeros_like(each) for each in variables] for _ in range(2))

    def step(self, energy: Tensor, share: float) -> None:
        """One step down, of this share of the size."""
        self._count += 1
        gradients = torch.autograd.grad(energy, self._variables)
        with torch.no_grad():
            for k, gradient in enumerate(gradients):
                mean = self._means[k].lerp_(gradient, 1 - DECAYS[0]) / (1 - DECAYS[0] ** self._count)
                square = self._squares[k].lerp_(gradient.square(), 1 - DECAYS[1])
                size = (square / (1 - DECAYS[1] ** self._count)).sqrt() + TINY
                self._variables[k].sub_(share * self._steps[k] * mean / size)


def joint_angles(free: Tensor, twist: Tensor) -> Tensor:
    """(..., 5, 5) radians about ``digit_axes`` of free angles (..., 22) and twists (..., 5).

    Fingers spread less the more they bend, end joints follow middle joints, the thumb turns as it opposes: as in
    ``pose_space``.
    """
    spread, bend, middle, end = free[..., :-2].unflatten(-1, (5, 4)).unbind(dim=-1)
    thumb = torch.arange(5) == THUMB
    left = (1 - bend / np.deg2rad(SPREAD_GONE_DEG)).clamp(LEAST_SPREAD, 1.0)
    return torch.stack(
        [
            torch.where(thumb, 1.0, left) * spread,
            bend,
            twist + torch.where(thumb, TWIST_PER_OPPOSITION * bend, 0.0),
            middle,
            end + torch.where(thumb, 0.0, END_TO_MIDDLE * middle),
        ],
        dim=-1,
    )


def _bend_aa(free: Tensor) -> Tensor:
    """(..., 3) turn of the forearm."""
    return torch.cat([torch.zeros_like(free[..., :1]), free[..., -2:]], dim=-1)


def _sound(encounter: Encounter, overlaps_m: np.ndarray) -> bool:
    """Whether all instants of a sequence are as they should be."""
    hands, own, arm = overlaps_m.T
    if (own > DEEPEST_OWN_M).any():
        return False
    if not encounter.together:
        return True
    nearest, farthest = (-DEEPEST_M, TOUCHING_M) if encounter.touching else APART_M
    near = (-hands >= nearest) & (-hands <= farthest)
    return bool(near.all() and (arm <= DEEPEST_ARM_M).all())

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import LIMITS_DEG, THUMB
from tasks.synthesis import contact_seeking
from tasks.synthesis.arrangements import FREE_LIMITS_DEG, TEMPLATES, plan_sequence
from tasks.synthesis.ball_hand import BallHand, Shaped
from tasks.synthesis.contact_seeking import (
    DEEPEST_M,
    TOUCHING_M,
    Encounter,
    joint_angles,
    seek,
)


@pytest.fixture(scope="module")
def shaped() -> Shaped:
    return BallHand(load_hand("right").data).shaped(np.zeros(10))


def encounter(shaped: Shaped, name: str, seed: int, **more: object) -> Encounter:
    plan = plan_sequence(np.random.default_rng(seed), TEMPLATES[name], 2, False)
    return Encounter(plan, shaped, shaped, **more)  # type: ignore[arg-type]


def test_steps_are_those_of_adam() -> None:
    start = torch.tensor([[1.0, -2.0, 3.0], [0.1, 0.0, -5.0]])
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    stepper = contact_seeking._Adam([ours], [0.3])
    adam = torch.optim.Adam([theirs], lr=0.3)
    for share in (1.0, 0.7, 0.2, 0.1):
        adam.param_groups[0]["lr"] = share * 0.3
        adam.zero_grad()
        (theirs**4 - theirs).sum().backward()
        adam.step()
        stepper.step((ours**4 - ours).sum(), share)
    torch.testing.assert_close(ours, theirs)


@given(st.lists(st.floats(0, 1), min_size=22, max_size=22), st.floats(-6, 6))
def test_no_choice_of_free_angles_leaves_the_limits_of_joints(shares: list[float], twist: float) -> None:
    low, high = FREE_LIMITS_DEG.T
    free = torch.tensor(np.deg2rad(low + (high - low) * shares))
    twists = torch.full((5,), np.deg2rad(twist))
    degrees = np.rad2deg(joint_angles(free, twists).numpy())
    fingers = np.arange(5) != THUMB
    for column, name in enumerate(
        ("knuckle_abduction", "knuckle_flexion", "knuckle_twist", "middle_flexion", "end_flexion")
    ):
        inside(degrees[fingers, column], name)
    for column, name in ((0, "abduction"), (1, "opposition"), (3, "knuckle_flexion"), (4, "end_flexion")):
        inside(degrees[THUMB, column], f"thumb_{name}")


def inside(degrees: np.ndarray, name: str) -> None:
    low, high = LIMITS_DEG[name]
    assert np.min(degrees) > low - 0.1
    assert np.max(degrees) < high + 0.1


def test_hands_that_touch_do_so_in_every_instant_and_hardly_overlap(shaped: Shaped) -> None:
    found = seek([encounter(shaped, name, seed=1) for name in TEMPLATES])
    assert sum(posed.sound for posed in found) >= len(TEMPLATES) - 2
    for posed in found:
        hands = posed.overlaps_m[:, 0]
        touch = (hands <= DEEPEST_M).all() and (hands >= -TOUCHING_M).all()
        assert touch or not posed.sound
        np.testing.assert_allclose(posed.turn @ posed.turn.mT, np.tile(np.eye(3), (2, 1, 1)), atol=1e-5)


def test_hands_that_are_to_stay_apart_do(shaped: Shaped) -> None:
    found = seek([encounter(shaped, "palms together", seed, gap_m=0.03) for seed in range(3)])
    assert all(posed.sound for posed in found)
    assert np.max([posed.overlaps_m[:, 0] for posed in found]) < -0.015


def test_hands_that_are_not_together_do_not_see_each_other(shaped: Shaped) -> None:
    (posed,) = seek([encounter(shaped, "free contact", 2, together=False)])
    assert (posed.overlaps_m[:, 0] < -0.7).all()
    assert posed.sound


def test_hands_that_cannot_reach_each_other_are_not_sound(shaped: Shaped) -> None:
    far = encounter(shaped, "palms together", 1)
    (posed,) = seek([replace(far, plan=replace(far.plan, from_m=3.0))])
    assert not posed.sound


@settings(max_examples=1)
@given(seed=st.integers(0, 100))
def test_a_sequence_does_not_depend_on_those_beside_it(shaped: Shaped, seed: int) -> None:
    several = [encounter(shaped, "free contact", seed + i) for i in range(3)]
    together, alone = seek(several)[1], seek(several[1:2])[0]
    np.testing.assert_allclose(together.angles, alone.angles, atol=1e-3)
    np.testing.assert_allclose(together.shift_m, alone.shift_m, atol=1e-4)

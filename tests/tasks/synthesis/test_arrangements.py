from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.hands.open_hand.pose_space import LIMITS_DEG
from tasks.synthesis.arrangements import FREE_LIMITS_DEG, HELD_OUT, TEMPLATES, plan_sequence

NAMES = sorted(TEMPLATES)


def test_shares_add_up() -> None:
    assert sum(template.share for template in TEMPLATES.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_plans_stay_inside_the_limits(name: str) -> None:
    for seed in range(20):
        plan = plan_sequence(np.random.default_rng(seed), TEMPLATES[name], 4, False)
        low, high = FREE_LIMITS_DEG.T
        assert (plan.free_deg > low).all()
        assert (plan.free_deg < high).all()
        assert np.linalg.norm(plan.approach) == pytest.approx(1)
        np.testing.assert_allclose(plan.turn @ plan.turn.mT, np.tile(np.eye(3), (4, 1, 1)), atol=1e-12)


def test_an_end_joint_keeps_its_limits_wherever_its_middle_joint_is() -> None:
    low, high = FREE_LIMITS_DEG[3]
    assert low == LIMITS_DEG["end_flexion"][0]
    assert 0.63 * LIMITS_DEG["middle_flexion"][1] + high == pytest.approx(
        LIMITS_DEG["end_flexion"][1], abs=0.1
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_moves_evenly_from_its_first_plan_to_its_last(name: str) -> None:
    plan = plan_sequence(np.random.default_rng(3), TEMPLATES[name], 5, False)
    steps = np.diff(plan.free_deg, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:1], steps.shape), atol=1e-9)
    assert np.abs(steps).max() > 0.1


def test_training_never_sees_the_turns_that_are_held_out() -> None:
    template = TEMPLATES["clasp"]
    low, high = template.yaw_deg
    border = high - HELD_OUT * (high - low)
    yaws = {held_out: [yaw(seed, held_out) for seed in range(60)] for held_out in (True, False)}
    assert max(yaws[True]) < border
    assert 0.05 < np.mean(np.array(yaws[False]) > border) < 0.4


def yaw(seed: int, held_out: bool) -> float:
    """Of a clasp that does not wobble, in degrees."""
    template = replace(TEMPLATES["clasp"], wobble_deg=0.0)
    plan = plan_sequence(np.random.default_rng(seed), template, 2, held_out)
    turn = Rotation.from_matrix(plan.turn[0]) * template.turn.inv()
    return float(np.rad2deg(turn.as_rotvec()[1]))

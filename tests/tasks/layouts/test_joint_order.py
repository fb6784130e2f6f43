import numpy as np
import pytest

from tasks.hands.skeleton import reorder
from tasks.layouts.joint_order import check_order, disproportion, likelier_orders
from tasks.layouts.table import Table
from tests.tasks.layouts.views import posed_hands

A_RING_PINKY_SWAPPED = [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 7, 8, 9, 13, 14, 15, 16, 17, 18, 19, 20]


@pytest.fixture(scope="module")
def joints_m() -> np.ndarray:
    return posed_hands(300, seed=5, tips="ho3d").joints_m


def test_no_right_order_is_taken_for_another_in_any_pose(joints_m: np.ndarray) -> None:
    for expected in ("A", "B", "C", "D"):
        assert likelier_orders(joints_m, expected) == [""] * 300


@pytest.mark.parametrize("expected", ["A", "B"])
@pytest.mark.parametrize("actual", ["A", "B", "C", "D"])
def test_another_order_is_told_in_every_pose(joints_m: np.ndarray, expected: str, actual: str) -> None:
    in_file = joints_m[:, reorder("B", actual)]
    read_wrongly = in_file[:, reorder(expected, "B")]
    text = f"order {actual}" if actual != expected else ""
    assert likelier_orders(read_wrongly, expected) == [text] * 300


def test_ring_and_pinky_for_each_other_are_told_in_every_pose(joints_m: np.ndarray) -> None:
    in_file = joints_m[:, reorder("B", "A")][:, A_RING_PINKY_SWAPPED]
    read_wrongly = in_file[:, reorder("A", "B")]
    assert likelier_orders(read_wrongly, "A") == ["an order with ring and pinky swapped"] * 300


def test_every_shape_of_hand_is_proportionate() -> None:
    """What the module says of its margins, over other poses and shapes."""
    joints_m = np.concatenate([posed_hands(40, seed, "manopth").joints_m for seed in range(20, 30)])
    assert disproportion(joints_m).max() < 0.025
    assert disproportion(joints_m[:, reorder("B", "A")]).min() > 0.2


@pytest.mark.parametrize("unit", [1.0, 100.0, 1000.0, 1e-3])
def test_orders_are_told_in_any_unit_and_nonsense_is_left_to_others(
    joints_m: np.ndarray, unit: float
) -> None:
    rows = joints_m[:4] * unit
    rows[1] = rows[1, reorder("B", "A")]
    rows[2], rows[3] = np.nan, 0
    table = Table("joints.json", rows, np.ones(4, bool))
    assert [str(p) for p in check_order(table, "B")] == [
        "joints.json[1]: joints seem to be in order A: order B expected"
    ]

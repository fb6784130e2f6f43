"""Finds joints that stand in another order than they should, by their bones.

Bones keep their lengths in every pose, and hands differ little in proportion: over sampled poses and shapes the right
order misses the proportions below by at most 2 %, ring and pinky for each other by at least 6 %, other orders by 24 %.
"""

from collections.abc import Iterator

import numpy as np

from tasks.hands.skeleton import BONES, JOINTS, Order, reorder
from tasks.layouts.base import Problem
from tasks.layouts.table import Table

BONES_MM = (28, 44, 31, 26, 90, 40, 22, 20, 88, 44, 26, 21, 83, 41, 26, 21, 78, 32, 18, 20)
"""Of an adult's hand, in the order of ``BONES``."""
CLEARLY_BETTER = 0.03
_RING_PINKY = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 18, 19, 16, 13, 14, 15, 20]
"""Order B of joints whose ring and pinky, but not their tips, were taken for each other."""


def disproportion(joints_m: np.ndarray) -> np.ndarray:
    """(n,) by how much bones of joints (n, 21, 3) in order B differ from a scaled hand's, as a share of all bones."""
    parents, children = np.array(BONES).T
    lengths = np.linalg.norm(joints_m[:, parents] - joints_m[:, children], axis=-1)
    usual = np.array(BONES_MM, dtype=np.float64)
    scaled = (lengths @ usual / (usual @ usual))[:, None] * usual
    return np.abs(lengths - scaled).sum(axis=1) / scaled.sum(axis=1)


def likelier_orders(joints_m: np.ndarray, expected: Order) -> list[str]:
    """(n,) in words, the order that joints (n, 21, 3) in any unit seem to have in their file, if not ``expected``.

    ``joints_m`` stand in order B as far as the file keeps to ``expected``; an empty text where nothing is wrong.
    """
    in_file = joints_m[:, reorder("B", expected)]
    orders: list[Order] = [order for order in JOINTS if order != expected]
    candidates = {f"order {order}": in_file[:, reorder(order, "B")] for order in orders}
    candidates["an order with ring and pinky swapped"] = joints_m[:, _RING_PINKY]
    others = np.stack([disproportion(candidate) for candidate in candidates.values()])
    wrong = others.min(axis=0) < disproportion(joints_m) - CLEARLY_BETTER
    names = list(candidates)
    return [names[i] if is_wrong else "" for i, is_wrong in zip(others.argmin(axis=0), wrong, strict=True)]


def check_order(joints: Table, expected: Order) -> Iterator[Problem]:
    """Joints (n, 21, 3) that seem to stand in another order; ``joints`` are as ``likelier_orders`` takes them."""
    with np.errstate(all="ignore"):  # a hand without extent has no order
        found = likelier_orders(joints.rows, expected)
    wrong = np.array([bool(text) for text in found], dtype=bool)
    yield from joints.drop(wrong, lambda i: f"joints seem to be in {found[i]}: order {expected} expected")

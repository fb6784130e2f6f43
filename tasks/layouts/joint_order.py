"""Finds joints that stand in another order than they should: the wrong order makes the bones long."""

from collections.abc import Iterator

import numpy as np

from tasks.hands.skeleton import BONES, JOINTS, Order, reorder
from tasks.layouts.base import Problem
from tasks.layouts.table import Table

CLEARLY_SHORTER_M = 0.02
"""A hand's 20 bones are some 0.8 m together; a right order is never beaten by so much except by touching fingers."""
FIST = 0.86
"""In order C fingers run from tip to base. A fist is up to an eighth shorter that way: it takes this much to count."""
_RING_PINKY = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 18, 19, 16, 13, 14, 15, 20]
"""Order B of joints whose ring and pinky, but not their tips, were taken for each other."""


def skeleton_length(joints_m: np.ndarray) -> np.ndarray:
    """(n,) the length of all bones together of joints (n, 21, 3) in order B."""
    parents, children = np.array(BONES).T
    return np.linalg.norm(joints_m[:, parents] - joints_m[:, children], axis=-1).sum(axis=1)


def likelier_orders(joints_m: np.ndarray, expected: Order) -> list[str]:
    """(n,) in words, the order that joints (n, 21, 3) seem to have in their file, which should have been ``expected``.

    ``joints_m`` stand in order B as far as the file keeps to ``expected``; an empty text where nothing is wrong.
    """
    as_in_file = joints_m[:, reorder("B", expected)]
    orders: list[Order] = [order for order in JOINTS if order != expected]
    candidates = {f"order {order}": as_in_file[:, reorder(order, "B")] for order in orders}
    candidates["an order with ring and pinky swapped"] = joints_m[:, _RING_PINKY]
    lengths = np.stack([skeleton_length(candidate) for candidate in candidates.values()])
    names, own = list(candidates), skeleton_length(joints_m)
    reversed_fingers = np.array([expected == "C" or name == "order C" for name in names])
    bound = np.where(
        reversed_fingers[:, None], np.minimum(FIST * own, own - CLEARLY_SHORTER_M), own - CLEARLY_SHORTER_M
    )
    excess = lengths - bound
    best, shorter = excess.argmin(axis=0), excess.min(axis=0) < 0
    return [names[i] if is_shorter else "" for i, is_shorter in zip(best, shorter, strict=True)]


def check_order(joints: Table, expected: Order) -> Iterator[Problem]:
    """Joints (n, 21, 3) that seem to stand in another order; ``joints`` are as ``likelier_orders`` takes them."""
    extent = np.linalg.norm(np.ptp(joints.rows, axis=1), axis=-1)
    usable = joints.sound & np.isfinite(extent) & (extent > 0)
    scale = np.where(usable, extent / 0.2, 1.0)  # bones tell an order in any unit
    found = likelier_orders(np.where(usable[:, None, None], joints.rows, 0) / scale[:, None, None], expected)
    wrong = np.array([bool(text) for text in found], dtype=bool)
    yield from joints.drop(wrong, lambda i: f"joints seem to be in {found[i]}: order {expected} expected")

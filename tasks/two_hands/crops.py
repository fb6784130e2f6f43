"""IntagHand's crop: a square around both hands, of which their projected vertices span 80 %.

Source: Dw1010/IntagHand: dataset/dataset_utils.py. Frames that lack a fit are cropped around their annotated box by
the same rule, where the official preparation leaves them out.
"""

import numpy as np

SPAN = 0.8
"""Longer side of the hands over the side of the crop."""


def hand_boxes(
    verts_px: np.ndarray, fitted: np.ndarray, has_hand: np.ndarray, box_px: np.ndarray
) -> np.ndarray:
    """(n, 4) x1, y1, x2, y2 around vertices (n, 2, V, 2) of the hands that are there.

    ``fitted`` and ``has_hand`` are (n, 2) bool; where a hand that is there has no fit, the box is ``box_px`` (n, 4) of
    x, y, width, height.
    """
    annotated = np.concatenate([box_px[:, :2], box_px[:, :2] + box_px[:, 2:]], axis=1)
    whole = (fitted | ~has_hand).all(axis=1) & fitted.any(axis=1)
    shown = (fitted & has_hand)[..., None, None]
    low = np.where(shown, verts_px, np.inf).min(axis=(1, 2))
    high = np.where(shown, verts_px, -np.inf).max(axis=(1, 2))
    return np.where(whole[:, None], np.concatenate([low, high], axis=1), annotated)


def square_around(boxes_px: np.ndarray) -> np.ndarray:
    """(n, 3) left, top and side of the crop about the middle of each box (n, 4)."""
    side = (boxes_px[:, 2:] - boxes_px[:, :2]).max(axis=1) / SPAN
    corner = (boxes_px[:, :2] + boxes_px[:, 2:] - side[:, None]) / 2
    return np.concatenate([corner, side[:, None]], axis=1)

"""Checks that joints and MANO fits are hands: their units, the order of the joints, left and right, and each other."""

from collections.abc import Iterator

import numpy as np

from tasks.hands.skeleton import BONES, Order, reorder
from tasks.layouts.base import Problem
from tasks.layouts.interhand26m.capture_files import Fits, Joints
from tasks.layouts.interhand26m.files import MM, SIDES, SplitName, annotation_name, two_hands, two_hands_flags
from tasks.layouts.interhand26m.tables import Tables
from tasks.layouts.matching_hand import CLEARLY_LEFT, right_evidence

PALM_LENGTH_MM = (40.0, 200.0)
"""Wrist to middle base: 75 to 115 mm in adults, with room for children and giants."""
FARTHEST_FIT_M = 20.0
FIT_TOLERANCE_M = 0.015
"""Of the mean distance between annotated joints and those of the fit: it is about 5 mm in the official data."""
TYPICAL_BONES = np.array(
    [[28, 43, 31, 26], [88, 38, 22, 19], [88, 43, 26, 21], [82, 40, 25, 21], [77, 32, 18, 19]], float
).ravel()
"""Lengths of the bones of order B in a middling hand; only their proportions are used."""
MISPROPORTION = 0.25
"""Mean of the absolute logarithms of how far the bones are from typical ones. Over sampled poses and shapes it is below
0.05, with 3 mm of noise below 0.24; for joints in another order above 0.35."""
CLEARLY_BETTER = 0.6
_OTHER_ORDERS: tuple[Order, ...] = ("A", "B", "D")
FEW_FITS = 8
"""From so many on, most fits being off is told once: then it is the hand model that is another."""
_AT_ONCE = 1024


def check_hands(split: SplitName, tables: Tables) -> Iterator[Problem]:
    """Every problem of the hands of one split, told once: a hand that has one is not looked at again."""
    sound = np.ones((len(tables.joints.annotated), 2), bool)
    yield from _check_joints(annotation_name(split, "joint_3d"), tables.joints, sound)
    yield from _check_fits(annotation_name(split, "MANO_NeuralAnnot"), tables, sound)


def _check_joints(file: str, joints: Joints, sound: np.ndarray) -> Iterator[Problem]:
    keys = list(joints.row_of)
    world_mm = two_hands(joints.world_mm)
    whole = two_hands_flags(joints.annotated).all(axis=2)
    palm_mm = np.linalg.norm(world_mm[:, :, 9] - world_mm[:, :, 0], axis=-1)
    own = misproportion(world_mm)
    others = np.stack([misproportion(world_mm[:, :, misread(order)]) for order in _OTHER_ORDERS])
    best = np.array(_OTHER_ORDERS)[others.argmin(axis=0)]
    reordered = (own > MISPROPORTION) & (others.min(axis=0) < CLEARLY_BETTER * own)
    mirrored = np.stack([_left_evidence(world_mm[:, hand], hand) for hand in (0, 1)], axis=1)
    for row, hand in np.argwhere(whole):
        if reordered[row, hand]:
            text = f"the {SIDES[hand]} hand's bones fit joint order {best[row, hand]}: order C expected"
        elif not PALM_LENGTH_MM[0] <= palm_mm[row, hand] <= PALM_LENGTH_MM[1]:
            text = _length_text(SIDES[hand], palm_mm[row, hand])
        elif mirrored[row, hand]:
            text = f"the {SIDES[hand]} hand's joints are those of a {SIDES[1 - hand]} hand"
        else:
            continue
        sound[row, hand] = False
        yield Problem(file, "/".join(map(str, keys[row])), text)


def misproportion(joints: np.ndarray) -> np.ndarray:
    """(...,) how unlike a hand's the bones of joints (..., 21, 3) in order B are, in any unit."""
    parents, children = np.array(BONES).T
    length = np.linalg.norm(joints[..., children, :] - joints[..., parents, :], axis=-1)
    relative = np.log(np.maximum(length, 1e-9) / TYPICAL_BONES)
    return np.abs(relative - np.median(relative, axis=-1, keepdims=True)).mean(axis=-1)


def misread(order: Order) -> np.ndarray:
    """(21,) indices that undo it when joints in this order were taken for order C and turned to order B."""
    return reorder("B", "C")[reorder(order, "B")]


def _left_evidence(world_mm: np.ndarray, hand: int) -> np.ndarray:
    """(n,) bool: joints (n, 21, 3) that are clearly those of the other hand."""
    mirror = np.array([1.0 - 2.0 * hand, 1.0, 1.0])
    return right_evidence(world_mm * mirror / MM) < CLEARLY_LEFT


def _length_text(side: str, palm_mm: float) -> str:
    what = f"the {side} hand measures {palm_mm:.4g} from wrist to middle base"
    for factor, unit in {MM: "micrometres", 1 / MM: "metres", 0.1: "centimetres"}.items():
        if PALM_LENGTH_MM[0] <= palm_mm / factor <= PALM_LENGTH_MM[1]:
            return f"{what}, as in {unit}: millimetres expected"
    return f"{what}: {PALM_LENGTH_MM[0]:g} to {PALM_LENGTH_MM[1]:g} millimetres expected"


def _check_fits(file: str, tables: Tables, sound: np.ndarray) -> Iterator[Problem]:
    """Fits in millimetres, and fits that are not where the joints are."""
    fits, keys = tables.fits, list(tables.fits.row_of)
    far = np.linalg.norm(fits.trans_m, axis=-1) > FARTHEST_FIT_M
    for row, hand in np.argwhere(far):
        name = f"{keys[row][0]}/{keys[row][1]}/{SIDES[hand]}"
        distance = np.linalg.norm(fits.trans_m[row, hand])
        yield Problem(file, name, f"lies {distance:.4g} from the origin, as in millimetres: metres expected")
    error_m = np.where(far, np.nan, _fit_errors_m(tables, sound))
    off = np.argwhere(error_m > FIT_TOLERANCE_M)
    known = int(np.isfinite(error_m).sum())
    if known >= FEW_FITS and 2 * len(off) > known:
        yield Problem(file, "", _model_text(len(off), known))
        return
    for row, hand in off:
        name = f"{keys[row][0]}/{keys[row][1]}/{SIDES[hand]}"
        yield Problem(file, name, f"lies {MM * error_m[row, hand]:.3g} mm from the joints of joint_3d")


def _model_text(off: int, known: int) -> str:
    from tasks.layouts.decoding import hand_in_use

    return (
        f"{off} of {known} fits lie more than {MM * FIT_TOLERANCE_M:g} mm from the joints: were they made with another "
        f"hand than '{hand_in_use('right').name}', which is in use?"
    )


def _fit_errors_m(tables: Tables, sound: np.ndarray) -> np.ndarray:
    """(m, 2) mean distance of each fit's joints to the annotated ones of its moment; NaN where either is missing."""
    fits, joints = tables.fits, tables.joints
    error_m = np.full((len(fits.trans_m), 2), np.nan)
    rows = np.array([joints.row_of.get(key, -1) for key in fits.row_of], np.int64)
    for first in range(0, len(rows), _AT_ONCE):
        at = np.arange(first, min(first + _AT_ONCE, len(rows)))
        at = at[rows[at] >= 0]
        annotated = two_hands_flags(joints.annotated[rows[at]])
        annotated &= sound[rows[at]][..., None]
        distance = np.linalg.norm(_regressed_m(fits, at) - two_hands(joints.world_mm[rows[at]]) / MM, axis=-1)
        error_m[at] = np.where(annotated, distance, 0).sum(axis=2) / annotated.sum(axis=2)
    return error_m


def _regressed_m(fits: Fits, rows: np.ndarray) -> np.ndarray:
    """(k, 2, 21, 3) joints of fits in the world, order B."""
    from tasks.layouts.decoding import hand_in_use
    from tasks.layouts.interhand26m.fits import world_verts_m

    regressors = [hand_in_use(side).joint_regressor21("interhand26m").double().numpy() for side in SIDES]
    return np.stack(regressors) @ world_verts_m(fits, rows)

"""Refuses a submission that is well-formed and wrong: NaN, millimetres, axes, joint order, left for right.

Only what is certain is refused. A mistake is assumed, undone, and believed when the undone prediction is much nearer
to the truth in nearly every frame; a poor model, a constant hand or zeros show nothing of the kind and pass.
"""

import itertools

import numpy as np

from tasks.errors import RequestError
from tasks.hands.skeleton import JOINTS, Order, reorder
from tasks.prediction_fields import REQUIRED, SURFACE_VERTS, check_shapes
from tasks.ragged import Field, Fields, Ragged
from tasks.submissions.evidence import (
    MIN_FRAMES,
    SMALL_M,
    Evidence,
    aligned_m,
    apart_m,
    bone_difference,
    centred_m,
    relief_m,
    size_m,
    spread,
)
from tasks.submissions.fields import ScoredSet, blocks, task_of

MOST_FRAMES = 0.9
"""The share of frames in which a mistake has to show."""

ABSURD = 1e9
"""No field holds a number as large as this."""
UNITS = {1e3: "millimetres", 1e2: "centimetres", 1e-3: "metres where millimetres were expected"}
UNIT_MARGIN = 3.0
"""How far the size of the hands may be from a unit's, as a factor."""
AXES_MARGIN, ORDER_MARGIN, MIRROR_MARGIN = 0.5, 0.85, 0.6
"""A mistake is believed when undoing it leaves at most this share of the median error."""
BONES_MARGIN = 0.9
"""And, for the order of joints, of the difference between the bones' lengths."""
AXES_FIT, AXES_SLACK_M = 1.3, 0.008
"""And, for axes, how the error may exceed what the best similarity would leave: by a factor and a distance."""
PLACE_SLACK_M = 0.005
MOST_APART_M = 0.3
"""Between the centroids of a hand's joints and vertices."""
MOST_BEHIND_M = -0.05
"""The median depth of hands that lie behind the camera for certain."""

ORDER_OF: dict[str, Order] = {"ho3d_v2": "A", "ho3d_v3": "A", "interhand26m": "C"}
"""The joint order of a layout's official format where it is not B."""
ORDER_NAMES: dict[Order, str] = {
    "A": "MANO's with the tips last (A)",
    "B": "finger-major (B)",
    "C": "InterHand2.6M's (C)",
    "D": "biomechanical (D)",
}
AXES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    *(((0, 1, 2), signs) for signs in itertools.product((1, -1), repeat=3) if signs != (1, 1, 1)),
    *((axes, (1, 1, 1)) for axes in itertools.permutations(range(3)) if axes != (0, 1, 2)),
    ((0, 2, 1), (1, -1, 1)),
    ((0, 2, 1), (1, 1, -1)),
)
"""Axes and signs that people mix up: negated ones, exchanged ones, and z upwards."""
AXES_HINT = "HO-3D's JSON wants OpenGL axes (z negative), everything else OpenCV (x right, y down, z forward)"


def diagnose(fields: Fields, layout: str, dataset: ScoredSet) -> None:
    """Raise RequestError for a prediction that cannot be meant as it is, with the record or the evidence.

    ``fields`` as ``read_submission`` gives them. What it says of joints is tested on the truth of the test set.
    """
    task = task_of(layout)
    check_shapes(fields, task, len(dataset.ids))
    check_finite(fields, task, dataset)
    joints_m = np.asarray(fields[REQUIRED])
    if task == "two_hands":
        _check_sides(Evidence.of_pairs(joints_m, dataset))
    evidence = Evidence.of(joints_m, dataset, task)
    if len(evidence.true_m) < MIN_FRAMES:
        return
    _check_units(evidence)
    _check_axes(evidence)
    _check_order(evidence, layout)
    for group, name in evidence.groups():
        _check_mirror(group, name)
    _check_root(evidence)
    _check_mesh(fields)


def check_finite(fields: Fields, task: str, dataset: ScoredSet) -> None:
    """Raise RequestError for the first record with NaN or infinity; of two hands, one may be missing as a whole."""
    for name, values in fields.items():
        if isinstance(values, Ragged):
            row = first_not_finite(values.values)
            row = row if row is None else values.sample_of(row)
            whole_hands = False
        else:
            whole_hands = task == "two_hands" and name != "handedness"
            row = first_not_finite(values, whole_hands)
        if row is not None:
            what = " in a part of a hand" if whole_hands else ""
            raise RequestError(
                f"record {row} ('{dataset.ids[row]}') of '{name}' holds NaN, infinity or a number beyond {ABSURD:.0e}"
                f"{what}: finite numbers expected."
            )


def first_not_finite(values: np.ndarray, whole_hands: bool = False) -> int | None:
    """The first row with a number that is not finite or absurd, if any; with ``whole_hands``, NaN of a hand is none."""
    for start, block in blocks(values):
        wrong = ~(np.abs(block) < ABSURD)
        if whole_hands:
            inner = tuple(range(min(2, block.ndim - 1), block.ndim))
            wrong &= ~np.isnan(block).all(axis=inner, keepdims=True)
        bad = wrong.reshape(len(block), -1).any(axis=1)
        if bad.any():
            return start + int(np.argmax(bad))
    return None


def _check_units(evidence: Evidence) -> None:
    ratio = float(np.median(size_m(evidence.predicted_m) / size_m(evidence.true_m)))
    for factor, unit in UNITS.items():
        if factor / UNIT_MARGIN < ratio < factor * UNIT_MARGIN:
            raise RequestError(
                f"the predicted hands are {ratio:.3g} times as large as the true ones (median over frames): "
                f"these look like {unit}; submit in the unit of the format."
            )
    flatness = float(np.median(relief_m(evidence.predicted_m) / relief_m(evidence.true_m)))
    if 1e-3 / UNIT_MARGIN < flatness < 1e-3 * UNIT_MARGIN:
        raise RequestError(
            f"the predicted hands are {flatness:.3g} times as deep as the true ones (median over frames) and as large "
            "in the image: their depths look like metres where millimetres were expected."
        )


def _check_sides(pairs: Evidence) -> None:
    if len(pairs.true_m) < 2 * MIN_FRAMES or pairs.swapped_m is None:
        return
    given, swapped = (centred_m(p, pairs.true_m) for p in (pairs.predicted_m, pairs.swapped_m))
    if _explains(swapped, given, AXES_MARGIN):
        raise RequestError(
            f"left and right hands are exchanged: {_mm(given)} from the truth as they are, {_mm(swapped)} the other "
            "way round (median over frames); expected the right hand first."
        )


def _check_axes(evidence: Evidence) -> None:
    """Likely exchanges and negations of axes: shape and place have to agree on them.

    The turned hand has to fit about as well as the best similarity would make it, and to lie no farther from the true
    one, so that a poor model whose hands happen to be turned by a right angle is not taken for one with other axes.
    """
    given = centred_m(evidence.predicted_m, evidence.true_m)
    apart_by_m = apart_m(evidence.predicted_m, evidence.true_m)
    errors: dict[str, np.ndarray] = {}
    for axes, signs in AXES:
        turned_m = evidence.predicted_m[..., axes] * signs
        turned, aligned = centred_m(turned_m, evidence.true_m), aligned_m(turned_m, evidence.true_m)
        close = np.median(turned) < AXES_FIT * np.median(aligned) + AXES_SLACK_M
        close &= apart_m(turned_m, evidence.true_m) < apart_by_m + PLACE_SLACK_M
        if close and _explains(turned, given, AXES_MARGIN):
            errors[_axes_name(axes, signs)] = turned
    if errors:
        name = min(errors, key=lambda name: float(np.median(errors[name])))
        raise RequestError(
            f"wrong axes: about their centroid, the joints are {_mm(given)} from the truth as they are and "
            f"{_mm(errors[name])} when read as ({name}) (median over frames); {AXES_HINT}."
        )
    behind = np.median(evidence.predicted_m[..., 2], axis=1)
    if np.mean(behind < 0) > MOST_FRAMES and np.median(behind) < MOST_BEHIND_M:
        raise RequestError(
            f"the hands lie behind the camera in {np.mean(behind < 0):.0%} of the frames; {AXES_HINT}."
        )


def _axes_name(axes: tuple[int, ...], signs: tuple[int, ...]) -> str:
    return ", ".join(("-" if sign < 0 else "") + "xyz"[axis] for axis, sign in zip(axes, signs, strict=True))


def _check_order(evidence: Evidence, layout: str) -> None:
    """Other orders have to fit both the poses and the lengths of the bones better."""
    given = aligned_m(evidence.predicted_m, evidence.true_m)
    given_bones = bone_difference(evidence.predicted_m, evidence.true_m)
    expected = ORDER_OF.get(layout, "B")
    believed: dict[str, np.ndarray] = {}
    for name, columns in _order_mistakes(expected).items():
        undone_m = evidence.predicted_m[:, columns]
        errors_m, bones = aligned_m(undone_m, evidence.true_m), bone_difference(undone_m, evidence.true_m)
        if _explains(errors_m, given, ORDER_MARGIN) and bones < BONES_MARGIN * given_bones:
            believed[name] = errors_m
    if believed:
        name = min(believed, key=lambda name: float(np.median(believed[name])))
        raise RequestError(
            f"wrong order of joints: {name} is what bone lengths and poses fit ({_mm(believed[name])} from the truth "
            f"after alignment instead of {_mm(given)}); expected {ORDER_NAMES[expected]} in the official format, "
            "finger-major in an .npz."
        )


def _order_mistakes(expected: Order) -> dict[str, np.ndarray]:
    """Mistake -> the list that undoes it on joints in order B that were read as ``expected``."""
    mistakes: dict[str, np.ndarray] = {}
    remarks: dict[Order, str] = {"B": ", read as if it were B,", expected: ""}
    for read_as, remark in remarks.items():
        for order in (o for o in JOINTS if o != read_as):
            columns = reorder("B", read_as)[reorder(order, "B")]
            mistakes.setdefault(f"{ORDER_NAMES[order]}{remark}", columns)
    swapped = np.arange(21)
    swapped[13:17], swapped[17:21] = np.arange(17, 21), np.arange(13, 17)
    without_tips = swapped.copy()
    without_tips[[16, 20]] = [16, 20]
    return mistakes | {
        "ring and pinky exchanged": swapped,
        "ring and pinky exchanged but for their tips": without_tips,
    }


def _check_mirror(evidence: Evidence, group: str) -> None:
    given = aligned_m(evidence.predicted_m, evidence.true_m)
    mirrored = aligned_m(evidence.predicted_m * [-1, 1, 1], evidence.true_m)
    if _explains(mirrored, given, MIRROR_MARGIN):
        which = f"the {group} hands are" if group else "the hands are"
        hint = "; left hands belong into the original camera, not the mirrored one" if group == "left" else ""
        raise RequestError(
            f"{which} mirror images of the true ones: {_mm(given)} from the truth after alignment, {_mm(mirrored)} "
            f"when mirrored (median over frames): left for right, or one axis negated{hint}."
        )


def _check_root(evidence: Evidence) -> None:
    """A joint that stands in the camera's centre in every frame."""
    at_origin = np.abs(evidence.predicted_m).max(axis=(0, 2)) < SMALL_M
    if at_origin.any() and np.linalg.norm(evidence.true_m, axis=2).min() > 0.05:
        raise RequestError(
            f"joint {int(np.argmax(at_origin))} (finger-major) lies at the camera's centre in every frame: these look "
            "root-relative, and the format wants the camera frame; add the root, or score them as they are."
        )


def _check_mesh(fields: Fields) -> None:
    """Vertices that lie elsewhere than the joints of the same hand; zeros in their place are no mesh."""
    frames = spread(len(fields[REQUIRED]))
    joints_m = np.asarray(fields[REQUIRED][frames], np.float64).reshape(-1, 21, 3).mean(axis=1)
    for name in ("verts_cam_m", SURFACE_VERTS):
        if name not in fields:
            continue
        apart_by_m = np.linalg.norm(_centres_m(fields[name], frames, len(joints_m)) - joints_m, axis=1)
        apart_by_m = apart_by_m[np.isfinite(apart_by_m)]
        if len(apart_by_m) >= MIN_FRAMES and np.mean(apart_by_m > MOST_APART_M) > MOST_FRAMES:
            raise RequestError(
                f"the vertices lie {np.median(apart_by_m):.2f} m from the joints of the same hand (median over "
                "frames): expected both in the same unit, the same axes and the camera frame."
            )


def _centres_m(verts: Field, frames: np.ndarray, count: int) -> np.ndarray:
    """(count, 3): the centroid of every hand's vertices in some frames, NaN where there is no mesh."""
    if isinstance(verts, Ragged):
        hands = [part for frame in frames.tolist() for part in verts.parts(frame)]
        return np.array([part.mean(axis=0) if len(part) else np.full(3, np.nan) for part in hands])
    verts_m = np.asarray(verts[frames], np.float64).reshape(count, -1, 3)
    there = np.isfinite(verts_m).all(axis=(1, 2)) & (size_m(verts_m) > SMALL_M)
    return np.where(there[:, None], verts_m.mean(axis=1), np.nan)


def _explains(undone: np.ndarray, given: np.ndarray, margin: float) -> bool:
    """Whether undoing the mistake helps nearly everywhere, and much."""
    return bool(np.mean(undone < given) >= MOST_FRAMES and np.median(undone) <= margin * np.median(given))


def _mm(errors_m: np.ndarray) -> str:
    return f"{np.median(errors_m) * 1000:.0f} mm"

"""Refuses a submission that is well-formed and wrong: NaN, millimetres, axes, joint order, left for right.

Only what is certain is refused. A mistake is assumed, undone, and believed when the undone prediction is much nearer
to the truth in nearly every frame; a poor model, a constant hand or zeros show nothing of the kind and pass.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tasks.errors import RequestError, unknown_name
from tasks.hands.skeleton import BONES, JOINTS, Order, reorder
from tasks.submissions.fields import SHAPES, ScoredSet, blocks, left_hands, sample_rows, task_of

MAX_FRAMES = 400
"""Evidence is gathered on at most so many frames, spread over the test set; finiteness is tested on all."""
MIN_FRAMES = 3
"""Fewer frames are no evidence."""
MOST_FRAMES = 0.9
"""The share of frames in which a mistake has to show."""
SMALL_M = 1e-6
"""A hand smaller than this has collapsed to a point: zeros, for example. It has no shape to judge."""

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


def diagnose(fields: Mapping[str, np.ndarray], layout: str, dataset: ScoredSet) -> None:
    """Raise RequestError for a prediction that cannot be meant as it is, with the record or the evidence.

    ``fields`` as ``read_submission`` gives them. What it says of joints is tested on the truth of the test set.
    """
    task = task_of(layout)
    check_shapes(fields, task, len(dataset.ids))
    check_finite(fields, task, dataset)
    if task == "two_hands":
        _check_sides(_Evidence.of_pairs(fields, dataset))
    evidence = _Evidence.of(fields, dataset, task)
    if len(evidence.true_m) < MIN_FRAMES:
        return
    _check_units(evidence)
    _check_axes(evidence)
    _check_order(evidence, layout)
    for group, name in evidence.groups():
        _check_mirror(group, name)
    _check_root(evidence)
    _check_mesh(fields, task)


def check_shapes(fields: Mapping[str, np.ndarray], task: str, count: int) -> None:
    """Raise RequestError unless the joints are there, and every field is known and has one record per frame."""
    if "joints_cam_m" not in fields:
        raise RequestError(
            "the predictions lack the field 'joints_cam_m': expected it, and what else there is."
        )
    for name, values in fields.items():
        if name not in SHAPES[task]:
            raise unknown_name("prediction field", name, SHAPES[task])
        expected = (count, *SHAPES[task][name])
        if values.ndim != len(expected) or any(
            e is not None and e != n for e, n in zip(expected, values.shape, strict=True)
        ):
            wanted = str(expected).replace("None", "V")
            raise RequestError(f"field '{name}' has shape {values.shape}: expected {wanted}.")


def check_finite(fields: Mapping[str, np.ndarray], task: str, dataset: ScoredSet) -> None:
    """Raise RequestError for the first record with NaN or infinity; of two hands, one may be missing as a whole."""
    for name, values in fields.items():
        whole_hands = task == "two_hands" and name != "handedness"
        row = first_not_finite(values, whole_hands)
        if row is not None:
            what = "NaN or infinity in a part of a hand" if whole_hands else "NaN or infinity"
            raise RequestError(
                f"record {row} ('{dataset.ids[row]}') of '{name}' holds {what}: finite metres expected."
            )


def first_not_finite(values: np.ndarray, whole_hands: bool = False) -> int | None:
    """The first row with a number that is not finite, if any; with ``whole_hands``, NaN of a whole hand is none."""
    for start, block in blocks(values):
        wrong = ~np.isfinite(block)
        if whole_hands:
            inner = tuple(range(min(2, block.ndim - 1), block.ndim))
            wrong &= np.isinf(block) | ~np.isnan(block).all(axis=inner, keepdims=True)
        bad = wrong.reshape(len(block), -1).any(axis=1)
        if bad.any():
            return start + int(np.argmax(bad))
    return None


@dataclass(frozen=True)
class _Evidence:
    """Hands of a sample of the frames, predicted and true (k, 21, 3), both finite; which of them are mirrored."""

    predicted_m: np.ndarray
    true_m: np.ndarray
    is_left: np.ndarray
    swapped_m: np.ndarray | None = None
    """Of two hands, the prediction for the other one."""

    @classmethod
    def of(cls, fields: Mapping[str, np.ndarray], dataset: ScoredSet, task: str) -> "_Evidence":
        frames = _spread(len(dataset.ids))
        predicted_m = np.asarray(fields["joints_cam_m"][frames], np.float64).reshape(-1, 21, 3)
        true_m = _truth(dataset, frames).reshape(-1, 21, 3)
        hands = 2 if task == "two_hands" else 1
        is_left = np.repeat(left_hands(dataset)[frames], hands)
        return cls(predicted_m, true_m, is_left)._usable()

    @classmethod
    def of_pairs(cls, fields: Mapping[str, np.ndarray], dataset: ScoredSet) -> "_Evidence":
        frames = _spread(len(dataset.ids))
        predicted_m = np.asarray(fields["joints_cam_m"][frames], np.float64)
        true_m = _truth(dataset, frames)
        both = np.isfinite(true_m).all(axis=(1, 2, 3)) & np.isfinite(predicted_m).all(axis=(1, 2, 3))
        swapped_m = predicted_m[both][:, ::-1].reshape(-1, 21, 3)
        no_left = np.zeros(2 * int(both.sum()), bool)
        return cls(predicted_m[both].reshape(-1, 21, 3), true_m[both].reshape(-1, 21, 3), no_left, swapped_m)

    def _usable(self) -> "_Evidence":
        finite = np.isfinite(self.predicted_m).all(axis=(1, 2)) & np.isfinite(self.true_m).all(axis=(1, 2))
        return self._rows(finite & (_size(self.predicted_m) > SMALL_M))

    def _rows(self, rows: np.ndarray) -> "_Evidence":
        return _Evidence(self.predicted_m[rows], self.true_m[rows], self.is_left[rows])

    def groups(self) -> Iterator[tuple["_Evidence", str]]:
        """Right hands and left ones, where there are both; hands of one kind are nothing special."""
        for rows, name in ((~self.is_left, "right"), (self.is_left, "left")):
            if rows.sum() >= MIN_FRAMES:
                yield self._rows(rows), name if self.is_left.any() else ""


def _spread(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_FRAMES)).round().astype(np.int64))


def _truth(dataset: ScoredSet, frames: np.ndarray) -> np.ndarray:
    """True joints of these frames; of two hands, NaN where not valid."""
    samples, rows = dataset.samples, sample_rows(dataset)[frames]
    valid = getattr(samples, "joint_valid", None)
    if valid is None:
        return np.asarray(samples.joints_m[samples.annotation_of[rows]], np.float64)
    joints_m = np.array(samples.joints_m[rows], np.float64)
    joints_m[~np.asarray(valid[rows], bool)] = np.nan
    return joints_m


def _check_units(evidence: _Evidence) -> None:
    ratio = float(np.median(_size(evidence.predicted_m) / _size(evidence.true_m)))
    for factor, unit in UNITS.items():
        if factor / UNIT_MARGIN < ratio < factor * UNIT_MARGIN:
            raise RequestError(
                f"the predicted hands are {ratio:.3g} times as large as the true ones (median over frames): "
                f"these look like {unit}; submit in the unit of the format."
            )
    flatness = float(np.median(_relief(evidence.predicted_m) / _relief(evidence.true_m)))
    if 1e-3 / UNIT_MARGIN < flatness < 1e-3 * UNIT_MARGIN:
        raise RequestError(
            f"the predicted hands are {flatness:.3g} times as deep as the true ones (median over frames) and as large "
            "in the image: their depths look like metres where millimetres were expected."
        )


def _check_sides(pairs: _Evidence) -> None:
    if len(pairs.true_m) < 2 * MIN_FRAMES or pairs.swapped_m is None:
        return
    given, swapped = (_centred(p, pairs.true_m) for p in (pairs.predicted_m, pairs.swapped_m))
    if _explains(swapped, given, AXES_MARGIN):
        raise RequestError(
            f"left and right hands are exchanged: {_mm(given)} from the truth as they are, {_mm(swapped)} the other "
            "way round (median over frames); expected the right hand first."
        )


def _check_axes(evidence: _Evidence) -> None:
    """Likely exchanges and negations of axes: shape and place have to agree on them.

    The turned hand has to fit about as well as the best similarity would make it, and to lie no farther from the true
    one, so that a poor model whose hands happen to be turned by a right angle is not taken for one with other axes.
    """
    given = _centred(evidence.predicted_m, evidence.true_m)
    apart_m = _apart(evidence.predicted_m, evidence.true_m)
    errors: dict[str, np.ndarray] = {}
    for axes, signs in AXES:
        turned_m = evidence.predicted_m[..., axes] * signs
        turned, aligned = _centred(turned_m, evidence.true_m), _aligned(turned_m, evidence.true_m)
        close = np.median(turned) < AXES_FIT * np.median(aligned) + AXES_SLACK_M
        close &= _apart(turned_m, evidence.true_m) < apart_m + PLACE_SLACK_M
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


def _check_order(evidence: _Evidence, layout: str) -> None:
    """Other orders have to fit both the poses and the lengths of the bones better."""
    given = _aligned(evidence.predicted_m, evidence.true_m)
    given_bones = _bone_difference(evidence.predicted_m, evidence.true_m)
    expected = ORDER_OF.get(layout, "B")
    believed: dict[str, np.ndarray] = {}
    for name, columns in _order_mistakes(expected).items():
        undone_m = evidence.predicted_m[:, columns]
        errors_m, bones = _aligned(undone_m, evidence.true_m), _bone_difference(undone_m, evidence.true_m)
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


def _check_mirror(evidence: _Evidence, group: str) -> None:
    given = _aligned(evidence.predicted_m, evidence.true_m)
    mirrored = _aligned(evidence.predicted_m * [-1, 1, 1], evidence.true_m)
    if _explains(mirrored, given, MIRROR_MARGIN):
        which = f"the {group} hands are" if group else "the hands are"
        hint = "; left hands belong into the original camera, not the mirrored one" if group == "left" else ""
        raise RequestError(
            f"{which} mirror images of the true ones: {_mm(given)} from the truth after alignment, {_mm(mirrored)} "
            f"when mirrored (median over frames): left for right, or one axis negated{hint}."
        )


def _check_root(evidence: _Evidence) -> None:
    """A joint that stands in the camera's centre in every frame."""
    at_origin = np.abs(evidence.predicted_m).max(axis=(0, 2)) < SMALL_M
    if at_origin.any() and np.linalg.norm(evidence.true_m, axis=2).min() > 0.05:
        raise RequestError(
            f"joint {int(np.argmax(at_origin))} (finger-major) lies at the camera's centre in every frame: these look "
            "root-relative, and the format wants the camera frame; add the root, or score them as they are."
        )


def _check_mesh(fields: Mapping[str, np.ndarray], task: str) -> None:
    """Vertices that lie elsewhere than the joints of the same hand; zeros in their place are no mesh."""
    if "verts_cam_m" not in fields:
        return
    frames = _spread(len(fields["verts_cam_m"]))
    hands = 2 if task == "two_hands" else 1
    joints_m, verts_m = (
        np.asarray(fields[name][frames], np.float64).reshape(len(frames) * hands, -1, 3)
        for name in ("joints_cam_m", "verts_cam_m")
    )
    there = np.isfinite(joints_m).all(axis=(1, 2)) & np.isfinite(verts_m).all(axis=(1, 2))
    there &= _size(verts_m) > SMALL_M
    apart_m = np.linalg.norm(verts_m[there].mean(axis=1) - joints_m[there].mean(axis=1), axis=1)
    if there.sum() >= MIN_FRAMES and np.mean(apart_m > MOST_APART_M) > MOST_FRAMES:
        raise RequestError(
            f"the vertices lie {np.median(apart_m):.2f} m from the joints of the same hand (median over frames): "
            "expected both in the same unit, the same axes and the camera frame."
        )


def _explains(undone: np.ndarray, given: np.ndarray, margin: float) -> bool:
    """Whether undoing the mistake helps nearly everywhere, and much."""
    return bool(np.mean(undone < given) >= MOST_FRAMES and np.median(undone) <= margin * np.median(given))


def _size(points_m: np.ndarray) -> np.ndarray:
    """(k,) root mean square distance from the centroid."""
    return np.sqrt(((points_m - points_m.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1))


def _relief(points_m: np.ndarray) -> np.ndarray:
    """(k,) standard deviation of depth."""
    return points_m[..., 2].std(axis=1)


def _centred(predicted_m: np.ndarray, true_m: np.ndarray) -> np.ndarray:
    """(k,) mean joint distance, both centroids at the origin."""
    difference = predicted_m - true_m
    difference = difference - difference.mean(axis=1, keepdims=True)
    return np.linalg.norm(difference, axis=2).mean(axis=1)


def _apart(predicted_m: np.ndarray, true_m: np.ndarray) -> float:
    """Median distance of the centroids."""
    return float(np.median(np.linalg.norm(predicted_m.mean(axis=1) - true_m.mean(axis=1), axis=1)))


def _aligned(predicted_m: np.ndarray, true_m: np.ndarray) -> np.ndarray:
    """(k,) mean joint distance after the similarity without reflection that fits best (P2)."""
    source, target = (p - p.mean(axis=1, keepdims=True) for p in (predicted_m, true_m))
    u, s, vt = np.linalg.svd(np.swapaxes(source, 1, 2) @ target)
    s[:, 2] *= np.sign(np.linalg.det(u @ vt))
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    scale = s.sum(axis=1) / (source**2).sum(axis=(1, 2))
    return np.linalg.norm(source @ (u @ vt) * scale[:, None, None] - target, axis=2).mean(axis=1)


def _bone_difference(predicted_m: np.ndarray, true_m: np.ndarray) -> float:
    """How far the median bone lengths are apart, each hand's bones being 1 together."""
    lengths = []
    for points_m in (predicted_m, true_m):
        ends = points_m[:, np.array(BONES)]
        median = np.median(np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=2), axis=0)
        lengths.append(median / median.sum())
    return float(np.abs(lengths[0] - lengths[1]).sum())


def _mm(errors_m: np.ndarray) -> str:
    return f"{np.median(errors_m) * 1000:.0f} mm"

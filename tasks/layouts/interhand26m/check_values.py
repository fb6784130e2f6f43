"""Checks the numbers of InterHand2.6M's annotations: units, projection, and what the files say about each other."""

from collections.abc import Callable, Iterator

import numpy as np

from tasks.layouts.base import Problem
from tasks.layouts.interhand26m.files import (
    HAND_TYPES,
    SplitName,
    annotation_name,
    two_hands,
    two_hands_flags,
)
from tasks.layouts.interhand26m.frames import to_camera
from tasks.layouts.interhand26m.tables import Joined, Tables

SMALLEST_RING_MM = 20.0
"""All cameras of a capture nearer to the world's origin than this are in metres."""
OUTSIDE_SHARE = 0.1
"""A joint that is said to be inside the image may lie this share of its longer side outside."""
_AT_ONCE = 65536


def check_values(split: SplitName, tables: Tables, joined: Joined) -> Iterator[Problem]:
    """Every problem of the numbers of one split, as far as its records could be read and joined."""
    yield from _check_places(split, tables)
    yield from _check_boxes(split, tables, joined)
    usable = np.flatnonzero((joined.image >= 0) & (joined.camera >= 0) & (joined.joints >= 0))
    for first in range(0, len(usable), _AT_ONCE):
        rows = usable[first : first + _AT_ONCE]
        yield from _check_validity(split, tables, joined, rows)
        yield from _check_projection(split, tables, joined, rows)


def _check_places(split: SplitName, tables: Tables) -> Iterator[Problem]:
    """Cameras whose centres are metres, told once a capture."""
    cameras = tables.cameras
    captures = np.array([capture for capture, _ in cameras.row_of], np.int64)
    distance_mm = np.linalg.norm(cameras.campos_mm, axis=1)
    for capture in np.unique(captures):
        if (captures == capture).sum() > 1 and (distance_mm[captures == capture] < SMALLEST_RING_MM).all():
            text = "has its cameras within millimetres of each other, as in metres: millimetres expected"
            yield Problem(annotation_name(split, "camera"), str(capture), text)


def _check_boxes(split: SplitName, tables: Tables, joined: Joined) -> Iterator[Problem]:
    rows = np.flatnonzero(joined.image >= 0)
    box, size = tables.annotations.box_px[rows], tables.images.size_px[joined.image[rows]]
    low, high = box[:, :2], box[:, :2] + box[:, 2:]
    empty = (box[:, 2:] <= 0).any(axis=1)
    away = ((high <= 0) | (low >= size)).any(axis=1) & ~empty
    yield from _tell(split, tables, rows[empty], "has an empty 'bbox'")
    yield from _tell(split, tables, rows[away], "has a 'bbox' outside the image")


def _check_validity(split: SplitName, tables: Tables, joined: Joined, rows: np.ndarray) -> Iterator[Problem]:
    """What the two files say about hands and joints of the same moment."""
    annotations, joints = tables.annotations, tables.joints
    moment = joined.joints[rows]
    kind, valid = annotations.hand_type[rows], annotations.joint_valid[rows]
    annotated = joints.annotated[moment]
    other = kind != joints.hand_type[moment]
    yield from _tell(
        split,
        tables,
        rows[other],
        lambda row: (
            f"is '{_type(annotations.hand_type[row])}', but joint_3d says "
            f"'{_type(joints.hand_type[joined.joints[row]])}'"
        ),
    )
    surplus = (valid & ~annotated).any(axis=1)
    yield from _tell(split, tables, rows[surplus], "has joints that are valid here and not in joint_3d")
    per_hand = valid.reshape(-1, 2, 21).any(axis=2)
    for hand, absent in ((0, "left"), (1, "right")):
        wrong = (kind == hand) & per_hand[:, 1 - hand] & ~other
        text = f"is of type '{HAND_TYPES[hand]}', but has valid joints of the {absent} hand"
        yield from _tell(split, tables, rows[wrong], text)
    lonely = (kind == 2) & annotations.hand_type_valid[rows] & ~other
    lonely &= ~annotated.reshape(-1, 2, 21).any(axis=2).all(axis=1)
    yield from _tell(
        split, tables, rows[lonely], "is interacting, but joint_3d has the joints of one hand only"
    )


def _check_projection(
    split: SplitName, tables: Tables, joined: Joined, rows: np.ndarray
) -> Iterator[Problem]:
    """Valid joints behind the camera or outside the image, and images that show nothing of their hands."""
    cameras, camera, moment = tables.cameras, joined.camera[rows], joined.joints[rows]
    world_mm = tables.joints.world_mm[moment]
    cam_mm = two_hands(to_camera(world_mm, cameras.camrot[camera], cameras.campos_mm[camera]))
    annotated = two_hands_flags(tables.joints.annotated[moment])
    valid = annotated & two_hands_flags(tables.annotations.joint_valid[rows])
    k = cameras.intrinsics_px[camera][:, None, None]
    pixels = cam_mm[..., :2] / cam_mm[..., 2:] * k[..., [0, 1], [0, 1]] + k[..., :2, 2]
    size = tables.images.size_px[joined.image[rows]][:, None, None]
    margin = OUTSIDE_SHARE * size.max(axis=-1, keepdims=True)
    behind = valid & ~(cam_mm[..., 2] > 0)
    outside = valid & ~behind & ~((pixels > -margin) & (pixels < size + margin)).all(axis=-1)
    seen = (cam_mm[..., 2] > 0) & ((pixels >= 0) & (pixels < size)).all(axis=-1)
    away = annotated.any(axis=(1, 2)) & ~(annotated & seen).any(axis=(1, 2)) & ~valid.any(axis=(1, 2))
    number = dict(zip(rows.tolist(), outside.sum(axis=(1, 2)), strict=True))
    yield from _tell(split, tables, rows[behind.any(axis=(1, 2))], "has valid joints behind its camera")
    yield from _tell(
        split,
        tables,
        rows[outside.any(axis=(1, 2))],
        lambda row: f"has {number[row]} joints that are valid but do not project into the image",
    )
    text = "shows no hand: every annotated joint projects outside the image"
    yield from _tell(split, tables, rows[away], text)


def _tell(
    split: SplitName, tables: Tables, rows: np.ndarray, text: str | Callable[[int], str]
) -> Iterator[Problem]:
    """A problem for each of these annotations."""
    for row in rows.tolist():
        record = f"annotation {tables.annotations.id[row]}"
        yield Problem(annotation_name(split, "data"), record, text if isinstance(text, str) else text(row))


def _type(index: int) -> str:
    return HAND_TYPES[index]

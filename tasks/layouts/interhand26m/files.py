"""InterHand2.6M on disk: the names of its files and the conventions of its numbers.

Joints and cameras are in millimetres, MANO fits in metres, all in the world frame of a capture; 42 joints in order C,
the right hand first. Captures are numbered anew in every split.

Facts: the official repository facebookresearch/InterHand2.6M (data/InterHand2.6M/dataset.py, tool/) and its page.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks.hands.skeleton import Side, reorder

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
KEYS = ("data", "camera", "joint_3d", "MANO_NeuralAnnot")
"""The annotation files of a split."""
SIDES: tuple[Side, ...] = ("right", "left")
HAND_TYPES = ("right", "left", "interacting")
N_JOINTS = 42
WRISTS = (20, 41)
"""Rows of the 42 joints: right, left."""
C_TO_B = reorder("C", "B")
MM = 1000.0
"""Per metre."""
REGRESSOR = "J_regressor_mano_ih26m.npy"
"""The official joint regressor, where the user has put it into the folder."""


def annotation_folder(root: Path, split: SplitName) -> Path:
    """The JSON files of a split."""
    return root / "annotations" / split


def annotation_path(root: Path, split: SplitName, key: str) -> Path:
    """One of them."""
    return annotation_folder(root, split) / annotation_name(split, key)


def annotation_name(split: SplitName, key: str) -> str:
    """Its file name."""
    return f"InterHand2.6M_{split}_{key}.json"


def image_folder(root: Path, split: SplitName) -> Path:
    """All images of a split."""
    return root / "images" / split


def image_name(capture: int, sequence: str, camera: str, frame: int) -> str:
    """The official name of an image below its split's folder."""
    return f"Capture{capture}/{sequence}/cam{camera}/image{frame}.jpg"


Defect = tuple[str, str]
"""A record of a file, and what is wrong with it; the empty record is the file as a whole."""


def load_json(path: Path, hook: Callable[[dict], Any] | None = None) -> tuple[dict, list[Defect]]:
    """The JSON object in a file; ``hook`` turns every inner object into something smaller as soon as it is read.

    A file that is missing, unreadable or no JSON object gives an empty one and the defect.
    """
    try:
        with path.open(encoding="utf-8") as file:
            content = json.load(file, object_hook=hook)
    except FileNotFoundError:
        return {}, [("", "is missing")]
    except OSError as error:
        return {}, [("", f"cannot be read ({error.strerror})")]
    except UnicodeDecodeError:
        return {}, [("", "is no JSON: it holds bytes that are no text")]
    except (ValueError, RecursionError) as error:
        return {}, [("", f"is truncated or invalid JSON ({str(error)[:100]})")]
    if not isinstance(content, dict):
        return {}, [("", "is no JSON object")]
    return content, []


def two_hands(joints: np.ndarray) -> np.ndarray:
    """Joints (..., 42, k) in order C as (..., 2, 21, k): right and left hand, order B."""
    return joints.reshape(*joints.shape[:-2], 2, N_JOINTS // 2, joints.shape[-1])[..., C_TO_B, :]


def two_hands_flags(flags: np.ndarray) -> np.ndarray:
    """(..., 42) in order C as (..., 2, 21): right and left hand, order B."""
    return two_hands(flags[..., None])[..., 0]

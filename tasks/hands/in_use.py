"""Which hand model is in use: licensed MANO where PALMARES_MANO names its folder, else the open one. Without torch."""

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from tasks.errors import RequestError, unknown_name
from tasks.hands.model_file import HandModelData, read_model
from tasks.hands.open_hand import OPEN_HAND_FILE
from tasks.hands.skeleton import MIRROR_POINT, Side

ENVIRONMENT = "PALMARES_MANO"


def hand_data(side: Side = "right", as_released: bool = False) -> HandModelData:
    """The arrays of the hand in use, read once per process.

    ``as_released`` leaves the wrong shape directions of MANO's left hand as they are: labels made with manopth need
    them (DexYCB). Raises RequestError for an unknown side and a missing or damaged file.
    """
    if side not in ("left", "right"):
        raise unknown_name("side", str(side), ("left", "right"))
    return _load_data(side, os.environ.get(ENVIRONMENT, ""), as_released)


@lru_cache
def _load_data(side: Side, folder: str, as_released: bool) -> HandModelData:
    if not folder:
        right = read_model(OPEN_HAND_FILE)
        return right if side == "right" else right.mirrored()
    if not Path(folder).is_dir():
        raise RequestError(
            f"{ENVIRONMENT}={folder} is no folder; expected one with MANO_LEFT.pkl and MANO_RIGHT.pkl."
        )
    right = read_model(Path(folder) / "MANO_RIGHT.pkl")
    if side == "right":
        return right
    left = read_model(Path(folder) / "MANO_LEFT.pkl")
    return left if as_released else repair_left(left, right)


def repair_left(left: HandModelData, right: HandModelData) -> HandModelData:
    """The left model, its x shape directions negated where they are the right's (smplx issue 48)."""
    if left.shapedirs.shape != right.shapedirs.shape:
        raise RequestError("MANO_LEFT.pkl and MANO_RIGHT.pkl differ in size; take both from one release.")
    if np.abs(left.shapedirs[:, 0] - right.shapedirs[:, 0]).sum() >= 1:
        return left
    return replace(left, shapedirs=left.shapedirs * MIRROR_POINT[:, None])

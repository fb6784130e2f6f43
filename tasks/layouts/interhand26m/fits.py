"""Decodes MANO fits into meshes in a camera's frame, and regresses InterHand2.6M's joints from meshes."""

from pathlib import Path

import numpy as np
import torch

from tasks.errors import RequestError
from tasks.hands.skeleton import Side
from tasks.layouts.decoding import hand_in_use
from tasks.layouts.interhand26m.capture_files import Cameras, Fits
from tasks.layouts.interhand26m.files import C_TO_B, REGRESSOR, SIDES
from tasks.layouts.interhand26m.frames import fit_to_camera, rest_wrist_m, to_camera

AT_ONCE = 1024
"""Frames decoded together: bounds the memory."""


def world_verts_m(fits: Fits, rows: np.ndarray) -> np.ndarray:
    """(k, 2, V, 3) float64 meshes of these fits in the world frame, NaN where a hand has none; row -1 has none."""
    n_verts = hand_in_use("right").n_verts
    verts_m = np.full((len(rows), 2, n_verts, 3), np.nan)
    present = np.isfinite(fits_at(fits.trans_m, rows)).all(axis=2)
    for hand, side in enumerate(SIDES):
        there = np.flatnonzero(present[:, hand])
        for first in range(0, len(there), AT_ONCE):
            at = there[first : first + AT_ONCE]
            some = rows[at]
            untranslated = posed_verts_m(side, fits.pose_aa[some, hand], fits.betas[some, hand])
            verts_m[at, hand] = untranslated + fits.trans_m[some, hand, None]
    return verts_m


def posed_verts_m(side: Side, pose_aa: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(k, V, 3) float64 meshes without translation; the model computes them in float32, near the origin."""
    model = hand_in_use(side)
    with torch.no_grad():
        verts = model(torch.tensor(pose_aa, dtype=torch.float32), torch.tensor(betas, dtype=torch.float32))[0]
    return verts.double().numpy()


def camera_fits(fits: Fits, rows: np.ndarray, cameras: Cameras, camera: np.ndarray) -> dict[str, np.ndarray]:
    """Fits in camera frames, float64: ``rows`` (k,) of the fits, -1 for none, ``camera`` (k,) of the cameras.

    ``verts_m`` (k, 2, V, 3) moves the world's vertices; ``pose_aa`` (k, 2, 48), ``betas`` (k, 2, 10) and ``trans_m``
    (k, 2, 3) give the same mesh. Images of one moment share one decoding.
    """
    moments, moment = np.unique(rows, return_inverse=True)
    world = world_verts_m(fits, moments)[moment]
    camrot, campos_m = cameras.camrot[camera], cameras.campos_m[camera]
    pose, betas = fits_at(fits.pose_aa, rows), fits_at(fits.betas, rows)
    trans = fits_at(fits.trans_m, rows)
    for hand, side in enumerate(SIDES):
        there = np.flatnonzero(np.isfinite(trans[:, hand]).all(axis=1))
        j0_m = rest_wrist_m(hand_in_use(side).data, betas[there, hand])
        pose[there, hand], trans[there, hand] = fit_to_camera(
            pose[there, hand], trans[there, hand], j0_m, camrot[there], campos_m[there]
        )
    verts_m = to_camera(world, camrot, campos_m)
    return {"verts_m": verts_m, "pose_aa": pose, "betas": betas, "trans_m": trans}


def fits_at(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(k, ...) rows of a table of fits; NaN for row -1."""
    found = np.full((len(rows), *table.shape[1:]), np.nan)
    found[rows >= 0] = table[rows[rows >= 0]]
    return found


def joint_regressor21(side: Side, root: Path) -> np.ndarray:
    """(21, V) float64, rows in order B: the official one where the user has put it into the folder, else the model's.

    Ours is MANO's regressor on the posed mesh with InterHand2.6M's fingertip vertices; the official one differs from it
    in the wrist. Raises RequestError for a file that is no (21, V) array.
    """
    model = hand_in_use(side)
    path = next((p for p in (root / REGRESSOR, root / "annotations" / REGRESSOR) if p.is_file()), None)
    if path is None:
        return model.joint_regressor21("interhand26m").double().numpy()
    try:
        rows = np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (OSError, ValueError, EOFError):
        raise RequestError(f"{path}: is no .npy array; copy it again, or remove it.") from None
    if rows.shape != (21, model.n_verts):
        raise RequestError(f"{path}: has shape {rows.shape}, expected (21, {model.n_verts}).")
    return rows[C_TO_B]

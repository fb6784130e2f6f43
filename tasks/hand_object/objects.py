"""DiffHOI's object numbers: after registration to the true object, and in the hand frame without any.

Surfaces are 10,000 points each, drawn once per clip with a fixed seed. Source: JudyYe/diffhoi: tools/harvest.py
(``eval_mesh``, ``eval_mesh_in_hand``), tools/icp_recon.py; JudyYe/ihoi: nnutils/mesh_utils.py.
"""

from collections.abc import Mapping

import numpy as np

from tasks.geometry.registration import Settings, register
from tasks.geometry.surface import sample_surface
from tasks.hand_object.clip import POSE_FIELD, ClipTruth
from tasks.metrics.chamfer import cd_sum, gaps
from tasks.metrics.fscore import sample_f_scores

POINTS = 10_000
SEED = 123
F_THRESHOLDS_MM = (5, 10, 20)
IN_HAND_MM = 20
CM2_PER_M2 = 1e4
SETTINGS = Settings()
REGISTRATIONS = (("", False), ("_similarity", True))

Fields = Mapping[str, np.ndarray]


def registered_values(fields: Fields, truth: ClipTruth, settings: Settings = SETTINGS) -> dict[str, float]:
    """F-scores and Chamfer distance of the object's surface, registered rigidly and, apart from it, with a scale.

    NaN for a mesh that is empty, has no area or is not finite.
    """
    own = fields["object_verts_m"], fields["object_faces"]
    true = truth.object_verts_m, truth.object_faces
    values: dict[str, float] = {}
    for suffix, with_scale in REGISTRATIONS:
        moved_m = register(own, true, with_scale, settings)(own[0])
        found = gaps(surface_points(moved_m, own[1], 0), surface_points(*true, 1))
        scores = sample_f_scores(found, [mm / 1000 for mm in F_THRESHOLDS_MM], POINTS)
        values |= {f"object_f{mm}{suffix}": float(f) for mm, f in zip(F_THRESHOLDS_MM, scores, strict=True)}
        values[f"object_cd_cm2{suffix}"] = CM2_PER_M2 * cd_sum(found)
    return values


def in_hand_values(fields: Fields, truth: ClipTruth) -> dict[str, float]:
    """F-score and Chamfer distance of the object where the hand holds it, the mean over the frames the truth knows."""
    own_m = surface_points(fields["object_verts_m"], fields["object_faces"], 0)
    true_m = surface_points(truth.object_verts_m, truth.object_faces, 1)
    rows = []
    for own_pose, true_pose in zip(fields[POSE_FIELD], truth.object_to_hand, strict=True):
        if np.isfinite(true_pose).all():
            found = gaps(moved(own_m, own_pose), moved(true_m, true_pose))
            rows.append([*sample_f_scores(found, [IN_HAND_MM / 1000], POINTS), CM2_PER_M2 * cd_sum(found)])
    f_score, cd_cm2 = np.mean(rows, axis=0).tolist() if rows else (np.nan, np.nan)
    return {f"hand_object_f{IN_HAND_MM}": f_score, "hand_object_cd_cm2": cd_cm2}


def surface_points(verts_m: np.ndarray, faces: np.ndarray, salt: int) -> np.ndarray:
    """(POINTS, 3), uniform by area; NaN for a mesh without any."""
    return sample_surface(verts_m, faces, POINTS, [SEED, salt]).points


def moved(points_m: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Points (N, 3) under a (4, 4) transform."""
    return points_m @ transform[:3, :3].T + transform[:3, 3]

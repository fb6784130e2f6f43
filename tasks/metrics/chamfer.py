"""The field's five Chamfer distances: halved or summed, squared or not, of surface samples or of vertices.

===============================  ==========================  ==========================================
occupancy networks, CD-L1        ``cd_l1``                   (mean acc + mean compl) / 2
occupancy networks, CD-L2        ``cd_l2``                   (mean acc^2 + mean compl^2) / 2
HALO, Im2Hands                   ``cd_l1`` x 400             CD-L1 in mm, as their unit is 0.4 m
iHOI, DiffHOI                    ``cd_sum`` x 1e4            mean acc^2 + mean compl^2 of metres, in cm^2
HOLD                             ``cd_sum`` x 1e4            the same of mesh vertices, not of samples
===============================  ==========================  ==========================================

Accuracy goes from each predicted point to the nearest true one, completeness the other way. A cloud that is empty or
not finite (``tasks.geometry.surface`` gives one for a mesh without area) makes every value NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tasks.geometry.surface import Cloud, Neighbours, nearest_both_ways


class Gaps(NamedTuple):
    """Nearest neighbours between a predicted and a true cloud, both ways."""

    accuracy: Neighbours
    """From each predicted point."""
    completeness: Neighbours
    """From each true point."""


def gaps(predicted: np.ndarray, true: np.ndarray) -> Gaps:
    """Both ways between two clouds (N, 3) and (M, 3), exact in float64, in their unit."""
    return Gaps(*nearest_both_ways(predicted, true))


def cd_l1(found: Gaps) -> float:
    """Half the sum of the mean distances (autonomousvision/occupancy_networks: im2mesh/eval.py, chamfer-L1)."""
    return 0.5 * (_mean(found.accuracy.distance) + _mean(found.completeness.distance))


def cd_l2(found: Gaps) -> float:
    """Half the sum of the mean squared distances (the same script, chamfer-L2)."""
    return 0.5 * cd_sum(found)


def cd_sum(found: Gaps) -> float:
    """The sum of the mean squared distances (JudyYe/ihoi: nnutils/mesh_utils.py; zc-alexfan/hold: eval_modules.py)."""
    return _mean(found.accuracy.distance**2) + _mean(found.completeness.distance**2)


def normal_consistency(predicted: Cloud, true: Cloud, found: Gaps) -> float:
    """Mean absolute cosine of each point's normal and its nearest neighbour's, both ways averaged (the same script)."""
    if np.isnan(cd_l1(found)):
        return np.nan
    ways = (
        (predicted.normals, true.normals[found.accuracy.place]),
        (true.normals, predicted.normals[found.completeness.place]),
    )
    return 0.5 * sum(_mean(np.abs((own * other).sum(axis=1))) for own, other in ways)


def distances(predicted: Cloud, true: Cloud) -> dict[str, float]:
    """``l1``, ``l2``, ``sum`` and ``normals`` of two sampled surfaces, in their unit and its square."""
    found = gaps(predicted.points, true.points)
    return {
        "l1": cd_l1(found),
        "l2": cd_l2(found),
        "sum": cd_sum(found),
        "normals": normal_consistency(predicted, true, found),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan

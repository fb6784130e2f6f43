"""The field's three F-scores: of vertices (FreiHAND, HO-3D), of surface samples (iHOI, DiffHOI), and HOLD's.

All compare with a strict ``<``. They differ in the points, the denominators and the epsilon that keeps 0 / 0 away.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from tasks.geometry.surface import cores
from tasks.metrics.proximity import within

_SAMPLES = 32
"""At a time and thread: bounds the memory."""


def f_scores(predicted_m: np.ndarray, true_m: np.ndarray, thresholds_m: Sequence[float]) -> np.ndarray:
    """F-scores of each sample: (B, N, 3) and (B, M, 3) in metres -> (B, len(thresholds_m)) float64 in [0, 1].

    Strict ``<``, each cloud's own size as denominator, 0 where nothing is near (lmb-freiburg/freihand: eval.py,
    calculate_fscore). NaN for a sample with a coordinate that is not finite. Exact in float64, however close a distance
    is to a threshold; on all cores.
    """
    predicted_m, true_m = (np.asarray(cloud, np.float64) for cloud in (predicted_m, true_m))
    scores = np.full((len(true_m), len(thresholds_m)), np.nan)
    usable = np.flatnonzero(_finite(predicted_m) & _finite(true_m))
    if not len(usable) or 0 in (predicted_m.shape[1], true_m.shape[1]):
        return scores

    def fill(rows: np.ndarray) -> None:
        clouds = (torch.from_numpy(cloud[rows]) for cloud in (predicted_m, true_m))
        shares = [near.double().mean(dim=1).numpy() for near in within(*clouds, thresholds_m)]
        scores[rows] = harmonic_mean(*shares)

    with ThreadPoolExecutor(max(1, cores() // torch.get_num_threads())) as pool:
        list(pool.map(fill, np.array_split(usable, -(-len(usable) // _SAMPLES))))
    return scores


def harmonic_mean(precision: np.ndarray, recall: np.ndarray, eps: float = 0.0) -> np.ndarray:
    """2 P R / (P + R + eps); 0 where both are 0."""
    total = precision + recall
    return np.where(total > 0, 2.0 * precision * recall / np.where(total > 0, total + eps, 1.0), total)


def _finite(clouds: np.ndarray) -> np.ndarray:
    return np.isfinite(clouds).all(axis=(1, 2))

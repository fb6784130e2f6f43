"""The field's three F-scores: of vertices (FreiHAND, HO-3D), of surface samples (iHOI, DiffHOI), and HOLD's.

All compare with a strict ``<``. They differ in the points, the denominators and the epsilon that keeps 0 / 0 away.
"""

from collections.abc import Sequence

import numpy as np

from tasks.metrics.chamfer import Gaps
from tasks.metrics.proximity import within

DIFFHOI_EPS = 1e-6
HOLD_EPS = 1e-7


def f_scores(predicted_m: np.ndarray, true_m: np.ndarray, thresholds_m: Sequence[float]) -> np.ndarray:
    """F-scores of each sample: (B, N, 3) and (B, M, 3) in metres -> (B, len(thresholds_m)) float64 in [0, 1].

    Strict ``<``, each cloud's own size as denominator, 0 where nothing is near (lmb-freiburg/freihand: eval.py,
    calculate_fscore). NaN for a sample with a coordinate that is not finite. Exact in float64, however close a distance
    is to a threshold. One thread, which lets others run.
    """
    predicted_m, true_m = (np.asarray(cloud, np.float64) for cloud in (predicted_m, true_m))
    scores = np.full((len(true_m), len(thresholds_m)), np.nan)
    usable = np.flatnonzero(_finite(predicted_m) & _finite(true_m))
    if not len(usable) or 0 in (predicted_m.shape[1], true_m.shape[1]):
        return scores

    near = within(predicted_m[usable], true_m[usable], thresholds_m)
    scores[usable] = harmonic_mean(*(way.mean(axis=1) for way in near))
    return scores


def sample_f_scores(found: Gaps, thresholds: Sequence[float], num_samples: int = 10_000) -> np.ndarray:
    """iHOI's and DiffHOI's F-scores of sampled surfaces, (len(thresholds),) float64; thresholds in the clouds' unit.

    Both shares are counts over the **fixed** ``num_samples``, whatever the clouds' sizes, and the denominator has an
    epsilon, so that equal surfaces score 0.9999995 (JudyYe/ihoi: nnutils/mesh_utils.py). The official script puts an
    empty mesh 10 km away, which scores 0; here it is NaN, to be counted.
    """
    return _gap_f_scores(found, thresholds, (num_samples, num_samples), DIFFHOI_EPS)


def hold_f_scores(found: Gaps, thresholds: Sequence[float]) -> np.ndarray:
    """HOLD's F-scores in [0, 1] of vertices (theirs: 3,000 at random of each, cm, x 100), (len(thresholds),) float64.

    Shares of each cloud's own size, epsilon 1e-7 (zc-alexfan/hold: code/src/utils/eval_modules.py). NaN for an invalid
    frame.
    """
    sizes = (len(found.accuracy.distance), len(found.completeness.distance))
    return _gap_f_scores(found, thresholds, sizes, HOLD_EPS)


def _gap_f_scores(found: Gaps, thresholds: Sequence[float], sizes: tuple[int, int], eps: float) -> np.ndarray:
    ways = (found.accuracy.distance, found.completeness.distance)
    if any(not len(way) or np.isnan(way).any() for way in ways):
        return np.full(len(thresholds), np.nan)
    precision, recall = (
        np.array([np.count_nonzero(way < t) / size for t in thresholds])
        for way, size in zip(ways, sizes, strict=True)
    )
    return harmonic_mean(precision, recall, eps)


def harmonic_mean(precision: np.ndarray, recall: np.ndarray, eps: float = 0.0) -> np.ndarray:
    """2 P R / (P + R + eps); 0 where both are 0."""
    total = precision + recall
    return np.where(total > 0, 2.0 * precision * recall / np.where(total > 0, total + eps, 1.0), total)


def _finite(clouds: np.ndarray) -> np.ndarray:
    return np.isfinite(clouds).all(axis=(1, 2))

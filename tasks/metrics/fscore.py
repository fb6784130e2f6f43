"""F-score of two vertex clouds, as FreiHAND and HO-3D define it."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree


def nearest_m(predicted_m: np.ndarray, true_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the nearest point of the other cloud, from each predicted and from each true point, float64.

    Two (N, 3) and (M, 3) clouds of finite numbers -> (N,) and (M,). For 778 points a k-d tree is four times faster on
    one core than dense distances, exact in float64, and needs no memory to speak of.
    """
    predicted, true = np.asarray(predicted_m, np.float64), np.asarray(true_m, np.float64)
    predicted_tree, true_tree = cKDTree(predicted, balanced_tree=False), cKDTree(true, balanced_tree=False)
    return true_tree.query(predicted)[0], predicted_tree.query(true)[0]


def f_scores(predicted_m: np.ndarray, true_m: np.ndarray, thresholds_m: Sequence[float]) -> np.ndarray:
    """F-scores of each sample: two (B, N, 3) clouds in metres -> (B, len(thresholds_m)) float64 in [0, 1].

    Strict ``<``, each cloud's own size as denominator, 0 where nothing is near (lmb-freiburg/freihand: eval.py,
    calculate_fscore). NaN for a sample with a coordinate that is not finite.
    """
    scores = np.full((len(predicted_m), len(thresholds_m)), np.nan)
    for row, predicted, true in zip(scores, predicted_m, true_m, strict=True):
        if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
            continue
        from_predicted, from_true = nearest_m(predicted, true)
        row[:] = [_harmonic_mean((from_predicted < t).mean(), (from_true < t).mean()) for t in thresholds_m]
    return scores


def _harmonic_mean(precision: float, recall: float) -> float:
    total = precision + recall
    return 2.0 * precision * recall / total if total > 0 else 0.0

"""Scoring predictions that are already there: a submitted file's, or a record's under another protocol."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from tasks.base import Protocol

SHARD_SAMPLES = 256
RENDERED_SAMPLES = 6
Predictions = Mapping[str, np.ndarray]


def score_all(
    task: Any,
    protocol: "Protocol",
    predictions: Predictions,
    dataset: Any,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple["pd.DataFrame", dict[str, str]]:
    """The per-sample table of a whole test set and the metrics that do not apply.

    Shard by shard, so that memory beside the table does not grow with the number of samples.
    """
    count = len(dataset)
    parts, not_applicable = [], {}
    for first in range(0, count, SHARD_SAMPLES):
        rows = np.arange(first, min(first + SHARD_SAMPLES, count))
        shard = {name: values[rows[0] : rows[-1] + 1] for name, values in predictions.items()}
        scores = task.score(protocol, shard, dataset, rows)
        parts.append(scores.columns)
        not_applicable = scores.not_applicable
        progress(int(rows[-1]) + 1, count)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return per_sample_table(dataset, columns), not_applicable


def per_sample_table(dataset: Any, columns: Mapping[str, np.ndarray]) -> "pd.DataFrame":
    """Columns of a whole test set as a record keeps them."""
    import pandas as pd

    return pd.DataFrame({"cluster": dataset.clusters, **columns}, index=pd.Index(dataset.ids, name="sample"))


def sample_renders(task: Any, predictions: Predictions, dataset: Any) -> dict[str, "Image.Image"]:
    """Pictures of a few samples, evenly over the test set."""
    shown = np.linspace(0, len(dataset) - 1, min(RENDERED_SAMPLES, len(dataset))).astype(int)
    fields = {name: np.asarray(values[shown]) for name, values in predictions.items()}
    return {"samples": task.renders(fields, dataset, shown)}

"""Scoring predictions that are already there: a submitted file's, or a record's under another protocol."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.shards import shard_count, shard_range
from tasks.ragged import Fields

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from tasks.base import Protocol
    from tasks.single_hand.scoring import Scores

RENDERED_SAMPLES = 6


def score_all(
    task: Any,
    protocol: "Protocol",
    predictions: Fields,
    dataset: Any,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple["pd.DataFrame", dict[str, str]]:
    """The per-sample table of a whole test set and the metrics that do not apply.

    Shard by shard, one on each core, so that memory beside the table does not grow with the number of samples.
    """
    from tasks.threads import cores, one_thread

    count = len(dataset)
    ranges = [shard_range(number, count) for number in range(shard_count(count))]

    def score(rows: tuple[int, int]) -> "Scores":
        shard = {name: values[slice(*rows)] for name, values in predictions.items()}
        return task.score(protocol, shard, dataset, np.arange(*rows))

    parts = []
    with one_thread(), ThreadPoolExecutor(cores()) as pool:
        for (_, stop), scores in zip(ranges, pool.map(score, ranges), strict=True):
            parts.append(scores)
            progress(stop, count)
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    return per_sample_table(dataset, columns), parts[-1].not_applicable


def per_sample_table(dataset: Any, columns: Mapping[str, np.ndarray]) -> "pd.DataFrame":
    """Columns of a whole test set as a record keeps them."""
    import pandas as pd

    return pd.DataFrame({"cluster": dataset.clusters, **columns}, index=pd.Index(dataset.ids, name="sample"))


def sample_renders(task: Any, predictions: Fields, dataset: Any) -> dict[str, "Image.Image"]:
    """Pictures of a few samples, evenly over the test set."""
    shown = shown_samples(dataset)
    fields = {name: values[shown] for name, values in predictions.items()}
    return {"samples": task.renders(fields, dataset, shown)}


def sample_meshes(task: Any, predictions: Fields, dataset: Any) -> dict[str, bytes]:
    """The predicted hands of the same samples as PLY files by name; none of a task that predicts no hand meshes."""
    if not hasattr(task, "meshes"):
        return {}
    shown = shown_samples(dataset)
    fields = {name: values[shown] for name, values in predictions.items()}
    ids = [dataset.ids[position] for position in shown]
    return {f"meshes/{mesh.name}.ply": mesh.encoded("ply") for mesh in task.meshes(fields, ids)}


def shown_samples(dataset: Any) -> np.ndarray:
    """The positions of a few samples, evenly over the test set."""
    return np.linspace(0, len(dataset) - 1, min(RENDERED_SAMPLES, len(dataset))).astype(int)

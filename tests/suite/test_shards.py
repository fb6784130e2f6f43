"""Shards as Ray tasks."""

import time
from functools import partial
from pathlib import Path

import pytest
import ray

from clusters.local import OBJECT_STORE_BYTES
from suite.shards import run_shards
from suite.train import Resources

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture
def one_gpu():
    """A Ray session that counts one GPU, which nothing looks for."""
    ray.init(
        num_cpus=4,
        num_gpus=1,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


def meet(folder: Path, others: int, shard: int) -> None:
    """Wait until as many are here."""
    (folder / str(shard)).touch()
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < others:
        assert time.monotonic() < until, "alone"
        time.sleep(0.05)


def test_shards_share_the_gpu_that_a_training_has_to_itself(tmp_path, one_gpu):
    shown = []
    resources = Resources(workers=1, cpus_per_worker=4, gpus_per_worker=1)
    run_shards(partial(meet, tmp_path, 4), range(4), 4, resources, lambda *counts: shown.append(counts))
    assert shown == [(done, 4) for done in range(5)]

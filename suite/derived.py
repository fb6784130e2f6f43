"""What a stage works out of every sample before it trains, by the trained stages before it: made once, then kept."""

import functools
from functools import partial
from pathlib import Path

import numpy as np
import torch

from suite.home import Home
from suite.shards import Arrays, SampleStore, Show, batches, shard_range, write_arrays
from suite.stage_data import chosen, frames_of, open_splits
from suite.stages import StageCache
from suite.train import Resources, StageJob
from suite.worker import load_stages, make_method, stage_of, upstream_of


def derive(job: StageJob, resources: Resources, show: Show) -> None:
    """Run ``Stage.derive`` over the samples that the job's stage learns from, unless that is done.

    Raises RuntimeError where it was done over other samples.
    """
    frames = frames_of(job, stage_of(make_method(job.method, job.config, job.keypoints), job.stage))
    note = {"method": job.method, "stage": job.stage, "frames": frames.fingerprint}
    store = store_of(job)
    store.fill(frames.counts, partial(derive_shard, job), note, resources, show)
    _Bench.of.cache_clear()
    if (store.note() or {}).get("frames") != frames.fingerprint:
        raise RuntimeError(
            f"stage '{job.stage}' has derived other samples than it selects: the settings that it derives by must hold "
            "every one that select depends on."
        )


def store_of(job: StageJob) -> SampleStore:
    """Where what a job's stage derives is kept."""
    return SampleStore(Home(Path(job.home)).derived / str(job.derived_key))


def derive_shard(job: StageJob, shard: tuple[str, int]) -> None:
    """Derive the samples of one shard and write it whole."""
    split, number = shard
    bench = _Bench.of(job)
    start, stop = shard_range(number, len(bench.data[split]))
    write_arrays(store_of(job).shard(split, number), bench.derive(split, start, stop))


class _Bench:
    """A stage with the trained stages before it and the samples it learns from."""

    def __init__(self, job: StageJob) -> None:
        torch.set_num_threads(1)
        self.device = torch.device(job.device)
        method = make_method(job.method, job.config, job.keypoints)
        self.stage = stage_of(method, job.stage)
        trained = load_stages(StageCache(Home(Path(job.home))), method, dict(job.upstream))
        self.upstream = {name: m.to(self.device) for name, m in upstream_of(self.stage, trained).items()}
        self.data = chosen(open_splits(job), frames_of(job, self.stage))

    @classmethod
    @functools.lru_cache(maxsize=1)
    def of(cls, job: StageJob) -> "_Bench":
        """The bench of a job, kept for the process's next shard."""
        return cls(job)

    @torch.inference_mode()
    def derive(self, split: str, start: int, stop: int) -> Arrays:
        """What is derived of a range of samples."""
        parts = [
            self.stage.derive(self.upstream, self.data[split].gather(positions).to(self.device))
            for positions in batches(start, stop)
        ]
        return {name: np.concatenate([part[name].cpu().numpy() for part in parts]) for name in parts[0]}

"""Training one stage, seen from a worker: the generic loop with Ray Train's ranks, devices and checkpoints."""

import json
import platform
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from methods.base import Method, Stage
from methods.registry import load_config_model, load_method
from suite import environment
from suite.home import Home, write_json
from suite.loop import Session, mix, train_stage
from suite.stage_data import frames_of, training_data
from suite.stages import StageCache
from suite.train import STATE_FILE, StageJob
from tasks.hands.hand import load_hand
from tasks.registry import load_task


class RaySession(Session):
    """The loop's session inside a Ray Train worker."""

    def __init__(self) -> None:
        import ray.train
        from ray.train.torch import get_device

        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = get_device()

    def prepare(self, module: nn.Module) -> nn.Module:
        from ray.train.torch import prepare_model

        return prepare_model(module)

    def load_state(self) -> dict[str, Any] | None:
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            return None
        with checkpoint.as_directory() as folder:
            return torch.load(Path(folder) / STATE_FILE, map_location="cpu", weights_only=True)

    def report(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        import ray.train

        if state is None:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            torch.save(state, Path(folder) / STATE_FILE)
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def ray_worker(settings: dict[str, str]) -> None:
    """The function that Ray Train runs in each worker."""
    environment.apply()
    work(StageJob(**json.loads(settings["job"])), RaySession())


def work(job: StageJob, session: Session) -> None:
    """One rank's part of a training; rank 0 publishes the stage."""
    share_cores(job.threads, session)
    started = time.time()
    cache = StageCache(Home(Path(job.home)))
    method = make_method(job.method, job.config, job.keypoints)
    stage = stage_of(method, job.stage)
    data = training_data(job, stage)
    upstream = upstream_of(stage, load_stages(cache, method, dict(job.upstream)))
    torch.manual_seed(mix(job.seed, -2, 0))
    module = stage.build(method.config, method.hand, upstream)

    def announce(steps: int) -> None:
        if session.rank == 0:
            write_json(job.plan, {"steps": steps})

    trained = train_stage(
        stage,
        module,
        data,
        method.config,
        job.seed,
        session,
        job.curve,
        load_task(job.task).augment,
        announce,
    )
    if session.rank == 0:
        note = {
            "method": job.method,
            "stage": job.stage,
            "parameters": sum(p.numel() for p in trained.parameters()),
            "workers": session.world_size,
            "device": device_name(session.device),
            "samples": frames_of(job, stage).note(),
            "train_s": round(time.time() - started, 3),
        }
        cache.publish(job.key, trained, job.curve, note)


def share_cores(threads: int, session: Session) -> None:
    """The CPU's threads compute, beside one that prepares batches; a GPU is fed by as many processes."""
    on_gpu = session.device.type == "cuda"
    torch.set_num_threads(1 if on_gpu else threads)
    session.preparers = threads if on_gpu else 0


def make_method(name: str, config: str, keypoints: str) -> Method:
    """A method from its name and its config as JSON, with this process's hand model."""
    return load_method(name)(load_config_model(name).model_validate_json(config), load_hand(), keypoints)


def stage_of(method: Method, name: str) -> Stage:
    """A method's stage by its name."""
    return next(stage for stage in method.stages() if stage.name == name)


def load_stages(cache: StageCache, method: Method, keys: Mapping[str, str]) -> dict[str, nn.Module]:
    """The trained modules of the named stages, built in order and filled from the cache."""
    modules: dict[str, nn.Module] = {}
    for stage in method.stages():
        if stage.name in keys:
            built = stage.build(method.config, method.hand, upstream_of(stage, modules))
            modules[stage.name] = cache.load(keys[stage.name], built)
    return modules


def upstream_of(stage: Stage, modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The modules of the stages that a stage says it needs."""
    return {name: modules[name] for name in stage.spec.needs}


def device_name(device: torch.device) -> str:
    """The device's name, for the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"

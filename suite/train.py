"""Training one stage, seen from the driver: a Ray Train job whose workers may die and come back."""

import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from suite.home import Home, read_json
from suite.plan import KEYPOINTS, Cell
from suite.stage_plan import DERIVED, PlannedStage
from suite.stages import require_whole

MAX_WORKER_FAILURES = 3
STATE_FILE = "state.pt"
RAY_REGISTER = "checkpoint_manager_snapshot.json"
"""Where Ray Train keeps which checkpoints are whole."""


@dataclass(frozen=True)
class Resources:
    """What a run may use. ``workers = 0`` runs everything in this process, without Ray."""

    workers: int = 1
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0.0
    cpus_are_asked: bool = False
    """Whether ``cpus_per_worker`` was asked for; if not, there are more where machines have some left over."""

    @classmethod
    def asked(cls, workers: int, cpus_per_worker: int | None, gpus_per_worker: float) -> "Resources":
        """What a command was asked for; as many CPUs as there are, unless so many were named."""
        return cls(workers, cpus_per_worker or 1, gpus_per_worker, cpus_per_worker is not None)

    @property
    def least(self) -> "Resources":
        """The same with the fewest CPUs that will do."""
        return self if self.cpus_are_asked else replace(self, cpus_per_worker=1)

    @property
    def threads(self) -> int:
        """Of torch in each worker. One core is left to the thread that prepares batches, and to Ray: OpenMP's threads
        wait spinning, and a team that lacks a core runs ten times slower than one without that thread."""
        return max(1, self.cpus_per_worker - 1)

    @property
    def cpus(self) -> int:
        """Of all workers."""
        return max(1, self.workers) * self.cpus_per_worker

    @property
    def gpus_per_shard(self) -> float:
        """Of a task over some samples: surfaces and scores are the CPU's work, so tasks share a GPU."""
        return min(self.gpus_per_worker, 0.25)

    @property
    def device(self) -> str:
        return "cuda" if self.gpus_per_worker else "cpu"


@dataclass(frozen=True)
class StageJob:
    """Everything a worker needs to train one stage, in plain values."""

    home: str
    method: str
    config: str
    task: str
    layout: str
    root: str
    stage: str
    key: str
    upstream: tuple[tuple[str, str], ...]
    """Keys of the stages before it that it needs, and of those that they need."""
    seed: int
    image_size_px: int
    keypoints: str
    """What the method is told of where its keypoints come from."""
    keypoints_key: str | None
    """The predicted keypoints that it is trained on, where it is."""
    derived_key: str | None
    """What was derived of its samples, where it derives."""
    threads: int
    device: str

    @classmethod
    def of(cls, home: Home, cell: Cell, planned: PlannedStage, resources: Resources) -> "StageJob":
        return cls(
            home=str(home.root),
            method=cell.method.name,
            config=cell.config.model_dump_json(),
            task=cell.task.name,
            layout=cell.layout,
            root=str(cell.root),
            stage=planned.name,
            key=planned.key,
            upstream=tuple(planned.upstream.items()),
            seed=cell.seed,
            image_size_px=cell.config.image_size_px,
            keypoints=cell.entrant.keypoints,
            keypoints_key=planned.inputs.get(KEYPOINTS),
            derived_key=planned.inputs.get(DERIVED),
            threads=resources.threads,
            device=resources.device,
        )

    @property
    def folder(self) -> Path:
        """Checkpoints and curve of this stage while it trains."""
        return Home(Path(self.home)).train / self.key

    @property
    def curve(self) -> Path:
        return self.folder / "curve.jsonl"

    @property
    def plan(self) -> Path:
        """How many steps the training has, written when it starts."""
        return self.folder / "plan.json"


def train(job: StageJob, resources: Resources, reported: Callable[[], None] = lambda: None) -> None:
    """Train a stage to the end and publish it; a training that was cut off goes on from its last checkpoint.

    ``reported`` is called after every epoch of a training in this process; what it raises ends the training.
    """
    for checkpoint in resumable(job.folder):
        require_whole(checkpoint)
    if resources.workers == 0:
        from suite.loop import PlainSession
        from suite.worker import work

        work(job, PlainSession(job.folder, job.device, reported))
    else:
        _train_under_ray(job, resources)


def resumable(folder: Path) -> list[Path]:
    """The checkpoints that a training would go on from: the plain loop's, and the one Ray Train registered last.

    A folder that Ray Train did not register was being copied when its writer died; nobody reads it.
    """
    plain = folder / STATE_FILE
    registered = (read_json(folder / RAY_REGISTER) or {}).get("latest_checkpoint_result")
    found = [plain] if plain.exists() else []
    return found + ([folder / registered["checkpoint_dir_name"] / STATE_FILE] if registered else [])


def _train_under_ray(job: StageJob, resources: Resources) -> None:
    from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from suite.worker import ray_worker

    per_worker: dict[str, float] = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker:
        per_worker["GPU"] = resources.gpus_per_worker
    trainer = TorchTrainer(
        ray_worker,
        train_loop_config={"job": json.dumps(asdict(job))},
        scaling_config=ScalingConfig(
            num_workers=resources.workers,
            use_gpu=resources.gpus_per_worker > 0,
            resources_per_worker=per_worker,
        ),
        torch_config=TorchConfig(backend="nccl" if resources.gpus_per_worker else "gloo", timeout_s=120),
        run_config=RunConfig(
            name=job.key,
            storage_path=str(job.folder.parent),
            failure_config=FailureConfig(max_failures=MAX_WORKER_FAILURES, controller_failure_limit=2),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    with ctrl_c():
        trainer.fit()


@contextlib.contextmanager
def ctrl_c() -> Iterator[None]:
    """Ctrl-C inside is a KeyboardInterrupt: Ray Train turns it into an exit, and keeps its handler afterwards."""
    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if in_main:
            signal.signal(signal.SIGINT, previous)

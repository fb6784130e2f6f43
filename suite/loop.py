"""The generic training loop: any stage of any method, one process or many.

It knows nothing of Ray. A ``Session`` says which rank this is, on which device, where the last checkpoint is and
where the next one goes; ``suite.worker`` supplies Ray Train's, ``PlainSession`` is the one-process form.

Everything random is drawn from a seed made of (seed, epoch, rank), so a resumed training repeats the interrupted one
bit for bit on the same number of workers. What a batch is drawn and disturbed with depends on its step besides, so
that it is the same however many processes prepare batches.
"""

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from methods.base import Progress, Stage
from methods.config import MethodConfig, TrainingConfig
from suite.curves import CurveFile, Point, make_point
from suite.train import STATE_FILE

Item = TypeVar("Item")
Key = TypeVar("Key")
CURVE_POINTS_PER_EPOCH = 10


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite."""


class Session(ABC):
    """Where a training runs, and how it survives."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = torch.device("cpu")
    preparers: int = 0
    """Processes that prepare batches; with none, a thread of this one does."""

    @abstractmethod
    def prepare(self, module: nn.Module) -> nn.Module:
        """The module on the session's device, wrapped for data-parallel training among several workers."""

    @abstractmethod
    def load_state(self) -> dict[str, Any] | None:
        """The last checkpoint, or None at the beginning."""

    @abstractmethod
    def report(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        """Called by every rank after every epoch; ``state`` is given by rank 0 when a checkpoint is due."""


class PlainSession(Session):
    """One process without Ray; the checkpoint is a file in ``folder``. ``reported`` is called after every report."""

    def __init__(
        self, folder: Path, device: str = "cpu", reported: Callable[[], None] = lambda: None
    ) -> None:
        self.folder = folder
        self.device = torch.device(device)
        self.reported = reported

    def prepare(self, module: nn.Module) -> nn.Module:
        return module.to(self.device)

    def load_state(self) -> dict[str, Any] | None:
        path = self.folder / STATE_FILE
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None

    def report(self, metrics: dict[str, float], state: dict[str, Any] | None) -> None:
        if state is not None:
            save_whole(state, self.folder / STATE_FILE)
        self.reported()


@dataclass(frozen=True)
class Schedule:
    """How many steps there are and what the learning rate is at each."""

    settings: TrainingConfig
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    def factor(self, step: int) -> float:
        """Share of the full learning rate at ``step``."""
        warmup = self.settings.warmup_fraction * self.steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.settings.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))
        if self.settings.schedule == "step":
            return self.settings.step_factor ** int(step / (self.settings.step_every * self.steps))
        return 1.0


def train_stage(
    stage: Stage,
    module: nn.Module,
    data: dict[str, Any],
    config: MethodConfig,
    seed: int,
    session: Session,
    curve_path: Path,
    augment: Callable[..., Any],
    announce: Callable[[int], None] = lambda steps: None,
) -> nn.Module:
    """Train a stage to the end, from its last checkpoint where there is one; returns the bare module on the CPU."""
    if stage.fit is not None:
        stage.fit(module, whole_set(stage, data["train"], stage.training(config).batch_size))
        session.report({}, None)
        return module
    settings = stage.training(config)
    run = StageRun(stage, module, data, settings, config, seed, session, augment)
    announce(run.schedule.steps)
    resumed_at = run.resume()
    curve = CurveFile(curve_path, resumed_at) if session.rank == 0 else None
    epochs = range(run.next_epoch, settings.epochs)
    batches = run.batches(epochs)
    for epoch in epochs:
        points = run.epoch(epoch, batches)
        points += run.validate(epoch)
        if curve is not None:
            curve.append(points)
        last = epoch + 1 == settings.epochs
        due = last or (epoch + 1) % settings.checkpoint_epochs == 0
        session.report(_last_values(points), run.state(epoch + 1) if due and session.rank == 0 else None)
    return run.bare.cpu()


class StageRun:
    """The moving parts of one training."""

    def __init__(
        self,
        stage: Stage,
        module: nn.Module,
        data: dict[str, Any],
        settings: TrainingConfig,
        config: MethodConfig,
        seed: int,
        session: Session,
        augment: Callable[..., Any],
    ) -> None:
        self.stage, self.bare, self.data, self.settings = stage, module, data, settings
        self.config, self.seed, self.session, self._augment = config, seed, session, augment
        self.batch_size = min(settings.batch_size, len(data["train"]))
        of_epoch = min(settings.epoch_samples or len(data["train"]), len(data["train"]))
        self.schedule = Schedule(settings, max(1, of_epoch // self.batch_size))
        self.next_epoch = 0
        self._order = lru_cache(maxsize=2)(self._shuffled)
        self._kept: list[Any] | None = None
        self._saved = session.load_state()
        if self._saved:
            module.load_state_dict(self._saved["module"])
            self.next_epoch = self._saved["next_epoch"]
        self.module = session.prepare(module)
        if settings.compile:
            self.module = cast(nn.Module, torch.compile(self.module))
        parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            parameters,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=_fused(parameters),
        )
        self.rate = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self.schedule.factor)

    def resume(self) -> int:
        """Restore the optimiser; the step at which training goes on."""
        if self._saved:
            self.optimiser.load_state_dict(self._saved["optimiser"])
            self.rate.load_state_dict(self._saved["rate"])
            self._saved = None
        return self.next_epoch * self.schedule.steps_per_epoch

    def state(self, next_epoch: int) -> dict[str, Any]:
        return {
            "module": self.bare.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rate": self.rate.state_dict(),
            "next_epoch": next_epoch,
        }

    def epoch(self, epoch: int, batches: Iterator[Any]) -> list[Point]:
        """One pass over the training set, whose batches come next; returns its curve points."""
        torch.manual_seed(mix(self.seed, epoch, self.session.rank))
        self.module.train()
        window = _Window(max(1, self.schedule.steps_per_epoch // CURVE_POINTS_PER_EPOCH))
        first = epoch * self.schedule.steps_per_epoch
        for step, batch in enumerate(islice(batches, self.schedule.steps_per_epoch), start=first):
            terms = self.step(batch, Progress(epoch, self.settings.epochs, step, self.schedule.steps))
            window.add(step + 1, terms)
        window.flush()
        return window.points

    def step(self, batch: Any, progress: Progress) -> dict[str, torch.Tensor]:
        """One step down the gradient of a prepared batch; returns its loss terms, still on the device."""
        self.optimiser.zero_grad(set_to_none=True)
        with self._autocast():
            terms = self.stage.loss(self.module, batch, progress)
        terms["total"].backward()
        nn.utils.clip_grad_norm_(self.bare.parameters(), self.settings.clip_norm)
        self.optimiser.step()
        self.rate.step()
        return {name: value.detach() for name, value in terms.items()}

    def batches(self, epochs: Sequence[int]) -> Iterator[Any]:
        """This rank's share of each global batch of these epochs, on the device, one prepared ahead.

        Their order depends on seed and epoch alone."""
        keys = [(epoch, step) for epoch in epochs for step in range(self.schedule.steps_per_epoch)]
        prepared = by_processes(self._prepare, keys, self.session.preparers)
        return ahead(self._placed(key, batch) for key, batch in zip(keys, prepared, strict=True))

    def _prepare(self, key: tuple[int, int]) -> Any:
        epoch, step = key
        whole = self._order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        share = whole[self.session.rank :: self.session.world_size].clone()
        return self.stage.prepare(self.data["train"].gather(share), self._noise(key, 0))

    def _placed(self, key: tuple[int, int], batch: Any) -> Any:
        return self._augment(batch.to(self.session.device), self.config.augment, self._noise(key, 1))

    def _noise(self, key: tuple[int, int], use: int) -> torch.Generator:
        epoch, step = key
        return torch.Generator().manual_seed(mix(self.seed, epoch, self.session.rank, step, use))

    def _shuffled(self, epoch: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(mix(self.seed, epoch, -1))
        return torch.randperm(len(self.data["train"]), generator=generator)

    @torch.no_grad()
    def validate(self, epoch: int) -> list[Point]:
        """Mean validation loss by rank 0, in evaluation mode."""
        if self.session.rank != 0 or not len(self.data["val"]):
            return []
        self.bare.eval()
        sums: dict[str, float] = {}
        step = (epoch + 1) * self.schedule.steps_per_epoch
        progress = Progress(epoch, self.settings.epochs, step, self.schedule.steps)
        count = 0
        for batch in self._validation_batches():
            count += len(batch)
            with self._autocast():
                terms = self.stage.loss(self.bare, batch, progress)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
        now = int(time.time() * 1000)
        return [make_point(step, f"val/{name}", total / count, now) for name, total in sums.items()]

    def _validation_batches(self) -> Iterable[Any]:
        """On the device. They are the same every time; where their number is set, they are prepared once and kept."""
        if self._kept is None:
            most, processes = self.settings.validation_samples, self.session.preparers
            prepared = whole_set(self.stage, self.data["val"], self.batch_size, most, processes)
            placed = (batch.to(self.session.device) for batch in prepared)
            if most is None:
                return placed
            self._kept = list(placed)
        return self._kept

    def _autocast(self) -> Any:
        if self.session.device.type == "cuda" and self.settings.precision == "bfloat16":
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()


class _Window:
    """Means of loss terms over a few steps, fetched from the device once per window."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.points: list[Point] = []
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0
        self._step = 0

    def add(self, step: int, terms: dict[str, torch.Tensor]) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count, self._step = self._count + 1, step
        if self._count == self.length:
            self.flush()

    def flush(self) -> None:
        if not self._count:
            return
        means = {name: float(total) / self._count for name, total in self._sums.items()}
        broken = [name for name, value in means.items() if not math.isfinite(value)]
        if broken:
            raise TrainingDivergedError(
                f"loss '{broken[0]}' is not finite at step {self._step}: lower the learning rate."
            )
        now = int(time.time() * 1000)
        self.points += [make_point(self._step, f"train/{name}", value, now) for name, value in means.items()]
        self._sums, self._count = {}, 0


def _last_values(points: list[Point]) -> dict[str, float]:
    return {point["name"]: point["value"] for point in points}


def _fused(parameters: list[nn.Parameter]) -> bool:
    return all(p.dtype == torch.float32 for p in parameters)


def whole_set(
    stage: Stage, dataset: Any, batch_size: int, most: int | None = None, processes: int = 0
) -> Iterator[Any]:
    """Every sample once, in order, or ``most`` evenly over all; what is drawn about a batch is the same every time."""
    count = min(most or len(dataset), len(dataset))
    positions = torch.arange(count) * len(dataset) // max(1, count)

    def prepare(start: int) -> Any:
        batch = dataset.gather(positions[start : start + batch_size].clone())
        return stage.prepare(batch, torch.Generator().manual_seed(start))

    return by_processes(prepare, range(0, count, batch_size), processes)


class _Made(Dataset[Item]):
    """What a function makes of keys, as torch's loader takes it."""

    def __init__(self, make: Callable[[Key], Item], keys: Sequence[Key]) -> None:
        self.make, self.keys = make, keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, position: int) -> Item:
        return self.make(self.keys[position])


def by_processes(make: Callable[[Key], Item], keys: Sequence[Key], processes: int) -> Iterator[Item]:
    """What ``make`` gives for each key, in order; made here, when it is asked for, unless there are ``processes``.

    They are forked, so that they share what is in memory, and must not touch a GPU. No global generator is drawn from.
    What is made must share no memory with anything that is kept: a thread moves it to where this process can read it,
    while the next is being made.
    """
    if not processes or not keys:
        return map(make, keys)
    return iter(
        DataLoader(
            _Made(make, keys),
            batch_size=None,
            num_workers=min(processes, len(keys)),
            multiprocessing_context="fork",
            generator=torch.Generator(),
        )
    )


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one prepared by a thread while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        end = object()
        future = pool.submit(next, items, end)
        while (item := future.result()) is not end:
            future = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


def mix(*parts: int) -> int:
    """One 63-bit seed from a few numbers, without structure between neighbours."""
    value = 0x9E3779B97F4A7C15
    for part in parts:
        value = ((value ^ (part & 0xFFFFFFFFFFFFFFFF)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 31
    return value >> 1


def save_whole(state: Any, path: Path) -> None:
    """``torch.save`` beside, then renamed over: no reader ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(state, beside)
    beside.replace(path)

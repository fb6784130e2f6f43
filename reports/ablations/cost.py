"""What training a variant takes: hours of processors, also of stages that were trained before and are only re-used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from typing import Any, NamedTuple

from reports.leaderboard import fixed
from reports.record import Record

SECONDS_PER_HOUR = 3600


class Cost(NamedTuple):
    """Processor hours of one training: workers times hours times what each of them holds."""

    cpu_h: float
    gpu_h: float

    @property
    def text(self) -> str:
        """``1.3 GPU-h``, or both where stages were trained on both."""
        both = ((self.cpu_h, "CPU-h"), (self.gpu_h, "GPU-h"))
        return " + ".join(f"{_two_digits(hours)} {unit}" for hours, unit in both if hours) or "none"


def training_cost(records: Sequence[Record]) -> Cost | None:
    """Of one seed, the mean over the records; None where one of them does not tell.

    What its stages took counts whether they were trained for this cell or re-used; what a source of keypoints took is
    its own cell's. A re-used stage counts with the cores of the cell that re-used it, for its own are not kept.
    """
    found = [_cost(record.header) for record in records]
    told = [cost for cost in found if cost]
    if not told or len(told) < len(found):
        return None
    return Cost(*(sum(hours) / len(told) for hours in zip(*told, strict=True)))


def _cost(header: Mapping[str, Any]) -> Cost | None:
    held = header.get("cost") or {}
    cpus, gpus = held.get("cpus_per_worker"), held.get("gpus_per_worker")
    stages = header.get("stages") or []
    if cpus is None or gpus is None or any("train_s" not in stage for stage in stages):
        return None
    cpu_h = gpu_h = 0.0
    for stage in stages:
        worker_h = stage["train_s"] / SECONDS_PER_HOUR * max(1, stage.get("workers", held.get("workers", 1)))
        if _on_gpu(stage, gpus):
            gpu_h += worker_h * (gpus or 1)
        else:
            cpu_h += worker_h * max(1, cpus)
    return Cost(cpu_h, gpu_h)


def _on_gpu(stage: Mapping[str, Any], gpus: float) -> bool:
    """Where a stage was trained, by its device's name (``x86_64 CPU, 3 threads``); else where its cell ran."""
    device = stage.get("device")
    return " CPU," not in device if device else gpus > 0


def _two_digits(hours: float) -> str:
    return fixed(hours, max(0, 1 - floor(log10(hours))))

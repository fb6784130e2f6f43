"""A method that works for a set time: every step of its stage is so many sines on one thread."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from methods.base import Method, Progress, Stage
from methods.config import SingleStageConfig
from tasks.hands.hand import HandModel
from tests.benchmarks.plugins.treadmill.spec import SPEC, STAGE

NUMBERS = 16_384
"""Of one round of sines: torch shares no fewer than 32,768 among threads."""
STEPS_PER_EPOCH = 10
"""Of the preset."""


class TreadmillConfig(SingleStageConfig):
    rounds: int = 100
    """Of sines, in a step."""
    lane: int = 0
    """Changes nothing but which cell this is."""


def walk(rounds: int) -> None:
    """So many rounds of sines."""
    numbers = torch.linspace(0, 1, NUMBERS)
    for _ in range(rounds):
        numbers.sin_()


def rounds_per_s(seconds: float = 2.0) -> float:
    """How many rounds a thread goes in a second, measured for a moment."""
    walk(100)
    begun, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        walk(100)
        done += 100
    return done / passed


class Walk(nn.Module):
    """The mean joints (21, 3) in metres, camera frame."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        self.joints_cam_m = nn.Parameter(torch.zeros(21, 3))

    def forward(self, batch_size: int) -> Tensor:
        if self.training:
            walk(self.rounds)
        return self.joints_cam_m.repeat(batch_size, 1, 1)


class WalkStage(Stage):
    spec = STAGE

    def build(self, config: TreadmillConfig, hand: HandModel, upstream: Mapping[str, nn.Module]) -> Walk:
        return Walk(config.rounds)

    def loss(self, module: nn.Module, batch: Any, progress: Progress) -> dict[str, Tensor]:
        return {"total": (module(len(batch)) - batch.joints_cam_m).abs().mean()}


class Treadmill(Method):
    spec = SPEC

    def stages(self) -> list[Stage]:
        return [WalkStage()]

    def predict(self, modules: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
        return {"joints_cam_m": modules["walk"](len(batch))}

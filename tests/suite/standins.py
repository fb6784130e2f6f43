"""Two small methods on two hands that use everything the engine offers: a source of keypoints, and one driven by them.

``nudge`` knows the true joints and moves them a little. ``relay`` has a stage that learns from the keypoints it is
given, one that learns from true ones and draws about every batch, and one that derives something of every sample.
"""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from methods.base import TRUTH, Method, MethodSpec, Stage, StageSpec, always
from methods.config import MethodConfig, SingleStageConfig, TrainingConfig, TwoHandAugmentConfig
from tasks.two_hands.batch import Queries
from tasks.two_hands.selection import pairs, readable


def _shared(config):
    return {"image_size_px": config.image_size_px, "flip": config.augment.flip}


def _second(config):
    return {
        **_shared(config),
        **_derived(config),
        "weight": config.weight,
        "deadly": config.deadly,
        "hungry": config.hungry,
    }


def _derived(config):
    return {"scale": config.scale, "image_size_px": config.image_size_px}


MOVED = StageSpec("nudge")
POLISH = StageSpec("polish", _shared, reads_keypoints=True)
FIRST = StageSpec("first", _shared)
SECOND = StageSpec("second", _second, needs=("first",), derives=_derived)


def relay_stages(config, keypoints):
    wanted = {"auto": keypoints != TRUTH, "on": True, "off": False}[config.polish]
    return [*[POLISH] * wanted, FIRST, SECOND]


NUDGE = MethodSpec(
    name="nudge",
    title="Nudge",
    kind="baseline",
    version=1,
    tasks=("two_hands",),
    summary="the true joints, moved a little",
    source="tests",
    implementation="tests.suite.standins:Nudge",
    config="tests.suite.standins:NudgeConfig",
    stages=always(MOVED),
    flags=("true joints",),
)
RELAY = MethodSpec(
    name="relay",
    title="Relay",
    kind="paper",
    version=1,
    tasks=("two_hands",),
    summary="three linear maps, one after the other",
    source="tests",
    implementation="tests.suite.standins:Relay",
    config="tests.suite.standins:RelayConfig",
    stages=lambda config, keypoints: relay_stages(config, keypoints),
    flags=("true fits",),
    keypoints=True,
)
SPECS = (NUDGE, RELAY)
PLUG_INS = Path(__file__).parents[1] / "plugins"
AS_PLUG_INS = {"PALMARES_METHODS": "tests.plugins", "PYTHONPATH": str(PLUG_INS.parents[1])}
"""What other processes need in their environment to have them."""


class NudgeConfig(SingleStageConfig):
    image_size_px: int = 32
    offset_m: float = 0.01


class NudgeStage(Stage):
    spec = MOVED

    def select(self, dataset):
        return readable(dataset)

    def build(self, config, hand, upstream):
        module = nn.Module()
        module.register_buffer("offset_m", torch.tensor(config.offset_m))
        module.register_buffer("seen", torch.tensor(0))
        return module

    def fit(self, module, batches):
        module.seen += sum(len(batch) for batch in batches)


class Nudge(Method):
    spec = NUDGE

    def stages(self):
        return [NudgeStage()]

    def predict(self, modules, batch):
        joints_m = batch.joints_cam_m + modules["nudge"].offset_m
        return {"joints_cam_m": torch.where(batch.has_hand[..., None, None], joints_m, torch.nan)}


class RelayConfig(MethodConfig):
    image_size_px: int = 32
    augment: TwoHandAugmentConfig = TwoHandAugmentConfig(flip=0.5)
    training: TrainingConfig = TrainingConfig(epochs=3, batch_size=4, learning_rate=0.01)
    polish: Literal["auto", "on", "off"] = "auto"
    scale: float = 1.0
    """Changes what ``second`` derives."""
    weight: float = 0.0
    """Changes how ``second`` is trained, not what it derives."""
    deadly: float = -1.0
    """At this weight, the process that trains ``second`` is killed."""
    hungry: float = -1.0
    """At this weight, the training of ``second`` runs out of memory."""


class Map(nn.Module):
    """Points (..., 3) to points."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        nn.init.zeros_(self.linear.weight)
        nn.init.normal_(self.linear.bias, std=0.02)

    def forward(self, points):
        return points + self.linear(points)


class RelayStage(Stage):
    def __init__(self, config):
        self.config = config

    def select(self, dataset):
        return pairs(dataset)

    def build(self, config, hand, upstream):
        return Map()

    def loss(self, module, batch, progress):
        error_m = (module(self.points(batch)) - batch.joints_cam_m).abs().mean()
        return {"total": error_m, "joints": error_m}


class Polish(RelayStage):
    spec = POLISH

    def points(self, batch):
        return batch.keypoints_cam_m


class First(RelayStage):
    spec = FIRST

    def prepare(self, batch, noise):
        points = 0.001 * torch.randn((len(batch), 2, 21, 3), generator=noise)
        return replace(batch, queries=Queries(points, points[..., 0] > 0))

    def points(self, batch):
        return batch.keypoints_cam_m + batch.queries.points


class Second(RelayStage):
    spec = SECOND
    derived_samples = 0

    def derive(self, upstream, batch):
        Second.derived_samples += len(batch)
        points_m = self.config.scale * upstream["first"](batch.keypoints_cam_m)
        return {"anchors": points_m.half(), "index": batch.index[:, None].expand(-1, 2)}

    def points(self, batch):
        return batch.derived["anchors"].float()

    def loss(self, module, batch, progress):
        if self.config.weight == self.config.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.config.weight == self.config.hungry:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        terms = super().loss(module, batch, progress)
        return terms | {"total": (1 + self.config.weight) * terms["total"]}


STAGES = [Polish, First, Second]


class Relay(Method):
    spec = RELAY

    def stages(self):
        known = {kind.spec: kind for kind in STAGES}
        return [known[spec](self.config) for spec in relay_stages(self.config, self.keypoints)]

    def predict(self, modules, batch):
        joints_m = batch.keypoints_cam_m
        for stage in self.stages():
            joints_m = modules[stage.name](joints_m)
        return {"joints_cam_m": torch.where(batch.has_keypoints[..., None, None], joints_m, torch.nan)}


def install(patch):
    """Register both methods in this process; ``patch`` is pytest's. Other processes find them as plug-ins."""
    from methods import registry

    for spec in SPECS:
        patch.setitem(registry.METHODS, spec.name, spec)
        patch.setitem(registry._FOUND, spec.name, (spec, PLUG_INS / spec.name))

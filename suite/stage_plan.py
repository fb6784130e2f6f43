"""The stages of a cell, and the addresses of their weights and of what they are trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from methods.base import StageSpec
from suite.plan import KEYPOINTS, Cell, JsonText, Same, canonical, digest

DERIVED = "derived"
"""The input that a stage works out of every sample before it trains."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage with the addresses of its weights and of what it is trained on."""

    spec: StageSpec
    key: str
    upstream: dict[str, str]
    """Keys of the stages it needs, and of those that they need."""
    inputs: dict[str, str]
    """Keys of what it is trained on beside the data: see ``stage_key``."""

    @property
    def name(self) -> str:
        return self.spec.name


def planned_stages(cell: Cell) -> list[PlannedStage]:
    """The stages of the cell's method, with their keys."""
    planned: dict[str, PlannedStage] = {}
    for stage in cell.method.stages(cell.config, cell.entrant.keypoints):
        keys = {name: before.key for name, before in planned.items()}
        inputs = {}
        if stage.reads_keypoints and cell.source is not None:
            source_keys = {before.name: before.key for before in planned_stages(cell.source)}
            inputs[KEYPOINTS] = keypoints_key(cell.source, source_keys)
        if stage.derives:
            inputs[DERIVED] = derived_key(cell, stage, keys, inputs)
        upstream: dict[str, str] = {}
        for name in stage.needs:
            upstream |= planned[name].upstream | {name: keys[name]}
        key = stage_key(cell, stage, keys, inputs)
        planned[stage.name] = PlannedStage(stage, key, upstream, inputs)
    return list(planned.values())


def stage_key(
    cell: Cell, stage: StageSpec, upstream_keys: Mapping[str, str], inputs: Mapping[str, str] | None = None
) -> str:
    """The address of a trained stage: equal keys, equal weights.

    ``inputs`` are the keys of what it is trained on beside the data, by ``KEYPOINTS`` and ``DERIVED``.
    """
    return digest(
        {
            **_of_stage(cell, stage, upstream_keys),
            **_settings_texts(Same(cell.config), stage),
            "seed": cell.seed,
            **(inputs or {}),
        }
    )


@lru_cache(maxsize=4096)
def _settings_texts(config: Same[Any], stage: StageSpec) -> dict[str, JsonText]:
    """What a stage's weights depend on of the config: the same for all seeds."""
    training = stage.training(config.thing).model_dump(mode="json")
    return {
        "config": JsonText(canonical(stage.settings(config.thing))),
        "training": JsonText(canonical(training)),
    }


def derived_key(
    cell: Cell, stage: StageSpec, upstream_keys: Mapping[str, str], inputs: Mapping[str, str]
) -> str:
    """The address of what a stage has derived of its samples; ``inputs`` as for ``stage_key``."""
    return digest(
        {
            **_of_stage(cell, stage, upstream_keys),
            "derive": stage.derives(cell.config) if stage.derives else None,
            **inputs,
        }
    )


def keypoints_key(source: Cell, stage_keys: Mapping[str, str]) -> str:
    """The address of the joints that a cell's trained stages predict over the training and validation set."""
    identity = {key: value for key, value in source.identity.items() if key not in ("protocol", "split")}
    return digest({"keypoints_of": identity, "stages": dict(stage_keys)})


def _of_stage(cell: Cell, stage: StageSpec, upstream_keys: Mapping[str, str]) -> dict[str, Any]:
    return {
        "method": cell.method.name,
        "stage": stage.name,
        "version": stage.version,
        "upstream": {name: upstream_keys[name] for name in stage.needs},
        "task": [cell.task.name, cell.task.version],
        "layout": cell.layout,
        "data": cell.data_fingerprint,
        "hand": cell.hand_fingerprint,
    }

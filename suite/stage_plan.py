"""The stages of a cell, and the addresses of their weights and of what they are trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from methods.base import StageSpec
from suite.identity import Form, Same, digest
from suite.plan import KEYPOINTS, Cell, Fixed

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
    others = inputs or {}
    form = _stage_form(Same(cell.config), stage, _fixed(cell, stage), tuple(others))
    return form.digest(seed=cell.seed, upstream=_upstream(stage, upstream_keys), **others)


@lru_cache(maxsize=4096)
def _stage_form(config: Same[Any], stage: StageSpec, fixed: Fixed, inputs: tuple[str, ...]) -> Form:
    """What the seeds of a variant share of what a stage's weights depend on."""
    settings = {
        "config": stage.settings(config.thing),
        "training": stage.training(config.thing).model_dump(mode="json"),
    }
    return Form({**dict(fixed), **settings}, "seed", "upstream", *inputs)


def derived_key(
    cell: Cell, stage: StageSpec, upstream_keys: Mapping[str, str], inputs: Mapping[str, str]
) -> str:
    """The address of what a stage has derived of its samples; ``inputs`` as for ``stage_key``."""
    return digest(
        {
            **dict(_fixed(cell, stage)),
            "upstream": _upstream(stage, upstream_keys),
            "derive": stage.derives(cell.config) if stage.derives else None,
            **inputs,
        }
    )


def keypoints_key(source: Cell, stage_keys: Mapping[str, str]) -> str:
    """The address of the joints that a cell's trained stages predict over the training and validation set."""
    identity = {key: value for key, value in source.identity.items() if key not in ("protocol", "split")}
    return digest({"keypoints_of": identity, "stages": dict(stage_keys)})


def _fixed(cell: Cell, stage: StageSpec) -> Fixed:
    """What keys of a stage depend on that is the same for all seeds and settings; ``task`` is a list in JSON."""
    return (
        ("method", cell.method.name),
        ("stage", stage.name),
        ("version", stage.version),
        ("task", (cell.task.name, cell.task.version)),
        ("layout", cell.layout),
        ("data", cell.data_fingerprint),
        ("hand", cell.hand_fingerprint),
    )


def _upstream(stage: StageSpec, keys: Mapping[str, str]) -> dict[str, str]:
    return {name: keys[name] for name in stage.needs}

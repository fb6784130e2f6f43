"""Cells: what is planned, run, recorded and reported, and how each is identified.

A cell is (method, variant, task, seed). Its identity is a hash of everything that may change its numbers, and of
nothing else: never of a path, a host, a date or the number of workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.base import MethodSpec
from suite.composition import Entrant, resolve_entrant, split_overrides
from suite.identity import Form, Same
from tasks.base import Protocol, TaskSpec
from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from methods.config import MethodConfig
    from suite.data import DataSource


Fixed = tuple[tuple[str, Any], ...]
"""Items of a mapping, as the key of a cache."""
Header = dict[str, Any]
"""What a record says of its cell, and so do leases, tables and MLflow: ``Cell.header``, with what came of it."""
KEYPOINTS = "keypoints"
"""The input that another cell's predictions may be."""


@dataclass(frozen=True)
class Request:
    """What ``palmares run`` was asked for."""

    method: str
    """``METHOD`` or ``SOURCE+METHOD``."""
    task: str
    layout: str | None = None
    data: Path | None = None
    size: int | None = None
    preset: str = "tiny"
    overrides: Mapping[str, str] = field(default_factory=dict)
    seeds: Sequence[int] = (0,)
    protocol: str | None = None


@dataclass(frozen=True)
class Cell:
    """One unit of work, with everything a worker needs to do it."""

    method: MethodSpec
    task: TaskSpec
    protocol: Protocol
    layout: str
    root: Path
    data_fingerprint: str
    synthetic: bool
    hand_fingerprint: str
    hand_name: str
    preset: str
    variant: str
    config: "MethodConfig"
    seed: int
    source: "Cell | None" = None
    """The cell whose predicted joints are the keypoints of this one."""

    @property
    def entrant(self) -> Entrant:
        """The method and where its keypoints come from."""
        return Entrant(self.method, self.source.method if self.source else None)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that may change the numbers of this cell."""
        return {**dict(self._fixed), **self._own, "config": self.config.model_dump(mode="json")}

    @property
    def _fixed(self) -> Fixed:
        """What of the identity is the same for all seeds of a variant, beside its settings."""
        return (
            ("method", self.method.name),
            ("method_version", self.method.version),
            ("task", self.task.name),
            ("task_version", self.task.version),
            ("protocol", self.protocol.label),
            ("layout", self.layout),
            ("split", "test"),
            ("data_fingerprint", self.data_fingerprint),
            ("hand", self.hand_fingerprint),
        )

    @property
    def _own(self) -> dict[str, Any]:
        """What of the identity is another one for every seed."""
        if self.source is None:
            return {"seed": self.seed}
        given = {"from": self.source.method.name, "cell": self.source.id}
        return {"seed": self.seed, "inputs": {KEYPOINTS: given}}

    @cached_property
    def id(self) -> str:
        form = _identity_form(Same(self.config), self._fixed, inputs=self.source is not None)
        return form.digest(**self._own)

    @property
    def label(self) -> str:
        """The name a person reads: method, variant, seed."""
        variant = "" if self.variant == "default" else f" [{self.variant}]"
        return f"{self.entrant.name}{variant} seed {self.seed}"

    def header(self) -> Header:
        """The fields that the record, the lease and MLflow show of this cell.

        ``inputs`` are the identities of the cells whose predictions this one is given.
        """
        return {
            "cell": self.id,
            "kind": "run",
            "identity": self.identity,
            "inputs": {KEYPOINTS: self.source.identity} if self.source else {},
            "method": self.entrant.name,
            "method_title": self.entrant.title,
            "task": self.task.name,
            "layout": self.layout,
            "split": "test",
            "axis": None,
            "variant": self.variant,
            "seed": self.seed,
            "preset": self.preset,
            "protocol": self.protocol.header(),
            "synthetic": self.synthetic,
            "hand_name": self.hand_name,
            "flags": list(self.entrant.flags),
            "keypoints_from": self.entrant.keypoints_from,
        }


@lru_cache(maxsize=4096)
def _identity_form(config: "Same[MethodConfig]", fixed: Fixed, inputs: bool) -> Form:
    """What the seeds of a variant share of their identities."""
    left_open = ("seed", "inputs") if inputs else ("seed",)
    return Form({**dict(fixed), "config": config.thing.model_dump(mode="json")}, *left_open)


def resolve_names(request: Request) -> tuple[Entrant, TaskSpec, str]:
    """What a request names. Raises RequestError with the nearest valid name; imports nothing heavy."""
    task = resolve_task(request.task)
    entrant = resolve_entrant(request.method, task)
    resolve_protocol(task, layout := resolve_layout(task, request.layout), request.protocol)
    return entrant, task, layout


def resolve_task(name: str) -> TaskSpec:
    """A task's declaration. Raises RequestError with the nearest valid name."""
    from tasks.registry import TASKS

    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]


def resolve_layout(task: TaskSpec, name: str | None) -> str:
    """A layout that the task reads, its first one unless named. Raises RequestError."""
    from tasks.layouts.registry import LAYOUTS

    layout = name or task.layouts[0]
    if layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    if layout not in task.layouts:
        raise RequestError(
            f"task '{task.name}' does not read layout '{layout}': it reads {', '.join(task.layouts)}."
        )
    return layout


def resolve_protocol(task: TaskSpec, layout: str, name: str | None) -> Protocol:
    """A protocol of the task, the layout's official one unless named. Raises RequestError."""
    from tasks.registry import PROTOCOLS

    mine = [protocol.name for protocol in PROTOCOLS.values() if task.name in protocol.tasks]
    wanted = name or task.protocols[layout]
    if wanted not in PROTOCOLS:
        raise unknown_name("protocol", wanted, mine)
    if wanted not in mine:
        raise RequestError(
            f"protocol '{wanted}' does not score task '{task.name}': it has {', '.join(mine)}."
        )
    return PROTOCOLS[wanted]


def resolve_settings(request: Request) -> "MethodConfig":
    """The validated configuration of the method that a request names.

    Raises RequestError for a bad preset, key or value, also of the source's.
    """
    from methods.config import resolve_config
    from methods.registry import load_config_model, load_preset

    entrant = resolve_names(request)[0]
    if asked := source_request(request):
        resolve_settings(asked)
    name, (_, overrides) = entrant.method.name, split_overrides(entrant, request.overrides)
    return resolve_config(load_config_model(name), load_preset(name, request.preset), overrides)


def source_request(request: Request) -> Request | None:
    """What is asked of the method whose predictions a request gives to another, if it does."""
    entrant = resolve_names(request)[0]
    if entrant.source is None:
        return None
    overrides, _ = split_overrides(entrant, request.overrides)
    return replace(request, method=entrant.source.name, overrides=overrides)


def make_cells(request: Request, data: "DataSource") -> list[Cell]:
    """The cells of a request, one per seed, on data that is already there."""
    from tasks.hands.in_use import hand_data

    entrant, task, layout = resolve_names(request)
    config, variant = resolve_settings(request), variant_name(request.overrides)
    protocol = resolve_protocol(task, layout, request.protocol)
    hand = hand_data()
    asked = source_request(request)
    sources = make_cells(asked, data) if asked else [None] * len(request.seeds)
    return [
        Cell(
            method=entrant.method,
            task=task,
            protocol=protocol,
            layout=layout,
            root=data.root,
            data_fingerprint=data.fingerprint,
            synthetic=data.synthetic,
            hand_fingerprint=hand.fingerprint,
            hand_name=hand.name,
            preset=request.preset,
            variant=variant,
            config=config,
            seed=seed,
            source=source,
        )
        for seed, source in zip(request.seeds, sources, strict=True)
    ]


def variant_name(overrides: Mapping[str, str]) -> str:
    """``default``, or the overrides in a fixed order."""
    return ", ".join(f"{key}={value}" for key, value in sorted(overrides.items())) or "default"

"""What a sweep asks, as ``sweeps/<id>/sweep.json`` says it: axes with their expectations, points with their cells."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import RequestError, unknown_name
from tasks.registry import METRICS, TASKS

SCHEMA = 1
NAMED_AXES = 4
EXPECTATIONS = ("better", "worse", "monotone", "interior optimum", "unknown")
FILE = "sweep.json"
SHARED = ("task", "layout", "split", "protocol", "synthetic", "preset", "method", "overrides")
REQUIRED = ("schema", "sweep", "name", "grid", "axes", "points", *SHARED)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Axis:
    """One question: what is set, to which values as they are written, and what is expected of which metric."""

    name: str
    question: str
    field: str
    metric: str
    expect: str
    source: str
    values: tuple[str, ...]
    reference: int
    """Number of the point that the others are compared with."""


@dataclass(frozen=True, eq=False)
class Point:
    """The values that it gives to axes, and its cells by seed."""

    values: Mapping[str, str]
    variant: str
    cells: Mapping[int, str]

    def is_same(self, other: Point) -> bool:
        """Whether both are one setting, and so have the same cells."""
        return bool(self.cells.items() & other.cells.items())


@dataclass(frozen=True, eq=False)
class Declaration:
    """One sweep. ``said`` is what its file says."""

    said: Mapping[str, Any]
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]

    @property
    def id(self) -> str:
        """The sweep's id, the same whatever its seeds."""
        return str(self.said["sweep"])

    @property
    def name(self) -> str:
        """What a person calls it: ``amvur: attention_depth, supervision``."""
        return str(self.said["name"])

    @property
    def title(self) -> str:
        """The same, as far as a heading has room for it."""
        return self.name if len(self.axes) <= NAMED_AXES else f"{self.said['method']}: {len(self.axes)} axes"

    @property
    def as_grid(self) -> bool:
        """Whether it has every combination of the axes' values, not each axis by itself."""
        return bool(self.said["grid"])

    @property
    def data_label(self) -> str:
        """Layout, split, and whether the data are synthetic."""
        kind = "synthetic data" if self.said["synthetic"] else "real data"
        return f"{self.said['layout']} layout, {self.said['split']} split, {kind}"

    @property
    def protocol_label(self) -> str:
        """``name/version`` of the protocol."""
        return f"{self.said['protocol']['name']}/{self.said['protocol']['version']}"


def read_sweeps(folder: Path) -> list[dict[str, Any]]:
    """What every sweep under a folder says, sorted by name and id.

    One that cannot be used is logged with the reason.
    """
    found = []
    for file in sorted(Path(folder).glob(f"*/{FILE}")):
        try:
            said = json.loads(file.read_bytes())
            declaration = declared(said)
        except (OSError, ValueError, RequestError) as error:
            log.warning("skipped: %s: %s", file, error)
        else:
            found.append((declaration.name, declaration.id, said))
    return [said for *_, said in sorted(found, key=lambda item: item[:2])]


def declared(said: Mapping[str, Any]) -> Declaration:
    """A declaration from what its file says. Raises RequestError where that is no sweep's, or names what is unknown."""
    if problem := next(_problems(said), None):
        raise RequestError(f"the declaration of a sweep {problem}; run the sweep again to write it anew.")
    _require_known("task", said["task"], TASKS)
    for axis in said["axes"]:
        _require_known(f"metric of axis '{axis['name']}'", axis["metric"], METRICS)
        _require_known(f"expectation of axis '{axis['name']}'", axis["expect"], EXPECTATIONS)
    axes = tuple(Axis(**{**axis, "values": tuple(axis["values"])}) for axis in said["axes"])
    return Declaration(said, axes, tuple(_point(point) for point in said["points"]))


def _require_known(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise unknown_name(kind, name, known)


def _problems(said: Any) -> Iterator[str]:
    if not isinstance(said, Mapping) or (missing := [key for key in REQUIRED if key not in said]):
        yield f"lacks {', '.join(missing) if isinstance(said, Mapping) else 'everything'}"
    elif said["schema"] != SCHEMA:
        yield f"has schema {said['schema']}, expected {SCHEMA}"
    elif any(set(axis) != set(Axis.__dataclass_fields__) for axis in said["axes"]):
        yield f"has an axis with other parts than {', '.join(Axis.__dataclass_fields__)}"
    elif any(not 0 <= axis["reference"] < len(said["points"]) for axis in said["axes"]):
        yield "has an axis whose reference is none of the points"


def _point(said: Mapping[str, Any]) -> Point:
    cells = {int(seed): str(cell) for seed, cell in said["cells"].items()}
    return Point(dict(said["values"]), str(said["variant"]), dict(sorted(cells.items())))

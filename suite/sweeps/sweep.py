"""A sweep: axes, variants and seeds resolved into cells, and its declaration on disk, from which its tables are made.

``sweeps/<id>/sweep.json`` says which cells answer which question. Giving the same sweep more seeds adds to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.data import DEFAULT_SIZE
from suite.home import Home, read_json, write_json
from suite.identity import digest
from suite.plan import Cell, Request, make_cells
from suite.sweeps.axes import Axis, Settings, Variant, choose, grid, one_at_a_time, setting_text
from tasks.errors import RequestError

if TYPE_CHECKING:
    from suite.data import DataSource

SCHEMA = 1
SMALL_IMAGES = 100_000
"""A cell whose stages see fewer images than this in all trains for a minute or two: workers of its own, a quarter of a
minute to start for each stage, would cost more than they bring."""


@dataclass(frozen=True)
class Point:
    """A variant with its cells, one per seed."""

    variant: Variant
    cells: tuple[Cell, ...]
    changed: tuple[tuple[int, Settings], ...] = ()
    """Seeds whose cells stand in for failed ones, and the settings that are others for them."""

    def is_same(self, other: Point) -> bool:
        """Whether both have the same cells: a value may be the default's own."""
        return [cell.id for cell in self.cells] == [cell.id for cell in other.cells]


@dataclass(frozen=True)
class Sweep:
    """The points of a sweep, the default first."""

    request: Request
    axes: tuple[Axis, ...]
    as_grid: bool
    points: tuple[Point, ...]

    @property
    def default(self) -> Point:
        """What the request is without any axis."""
        return self.points[0]

    @cached_property
    def id(self) -> str:
        """The same whatever the seeds."""
        cell = self.default.cells[0]
        shared = ("task", "task_version", "protocol", "layout", "split", "data_fingerprint", "hand")
        return digest(
            {
                **{key: cell.identity[key] for key in shared},
                "method": self.request.method,
                "preset": self.request.preset,
                "overrides": dict(self.request.overrides),
                "axes": [axis.name for axis in self.axes],
                "grid": self.as_grid,
            }
        )

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell once, seed by seed, so that a sweep that is cut off has whole answers for its first seeds."""
        count = len(self.request.seeds)
        found = (point.cells[number] for number in range(count) for point in self.points)
        once: dict[str, Cell] = {}
        for cell in found:
            once.setdefault(cell.id, cell)
        return list(once.values())

    @cached_property
    def axis_of(self) -> dict[str, str]:
        """Cell -> the axis that it is a value of; those that no axis changes are not in it."""
        found: dict[str, str] = {}
        for point in reversed(self.points):
            for cell in point.cells:
                if point.variant.axis:
                    found[cell.id] = point.variant.axis
                else:
                    found.pop(cell.id, None)
        return found

    def reference(self, axis: Axis) -> Point:
        """The point that an axis's others are compared with: what is set when the axis is not."""
        if self.as_grid:
            return self.default
        return next(point for point in self.points if point.variant == Variant(given=axis.given))

    def of(self, axis: Axis) -> list[Point]:
        """The points of one axis by itself, in the order of its values."""
        return [point for point in self.points if [a for a, _ in point.variant.values] == [axis]]

    @property
    def name(self) -> str:
        """What a person calls it."""
        joint = " x " if self.as_grid else ", "
        return f"{self.request.method}: {joint.join(axis.name for axis in self.axes)}"


def make_sweep(request: Request, names: Sequence[str], data: DataSource, as_grid: bool = False) -> Sweep:
    """Resolve a request and the named axes. Raises RequestError for an unknown axis, or a value that does not fit."""
    axes = tuple(choose(request.method.rpartition("+")[2], names))
    variants = grid(axes) if as_grid else one_at_a_time(axes)
    points = tuple(Point(variant, tuple(_cells(request, variant, data))) for variant in variants)
    return Sweep(request, axes, as_grid, points)


def find_sweep(
    home: Home, request: Request, names: Sequence[str], data: DataSource, as_grid: bool = False
) -> Sweep:
    """The sweep as this home knows it: ``make_sweep`` with what was changed of its cells."""
    return with_changes(home, make_sweep(request, names, data, as_grid), data)


def with_changes(home: Home, sweep: Sweep, data: DataSource) -> Sweep:
    """The sweep with the cells that stand in for failed ones (``palmares requeue --set``)."""
    before = read_json(_file(home, sweep)) or {"points": []}
    return replace(sweep, points=tuple(_changed(sweep, point, before, data) for point in sweep.points))


def _changed(sweep: Sweep, point: Point, before: Mapping[str, Any], data: DataSource) -> Point:
    said: dict[str, Any] = next((old for old in before["points"] if _same(_point_json(point), old)), {})
    changes = {
        int(seed): tuple(sorted(settings.items())) for seed, settings in said.get("changed", {}).items()
    }
    if not changes:
        return point
    cells = []
    for cell in point.cells:
        if settings := changes.get(cell.seed):
            request = replace(sweep.request, seeds=(cell.seed,))
            cells += _cells(request, replace(point.variant, changed=settings), data)
        else:
            cells.append(cell)
    return replace(point, cells=tuple(cells), changed=tuple(changes.items()))


def _cells(request: Request, variant: Variant, data: DataSource) -> list[Cell]:
    asked = replace(
        request,
        method=variant.method(request.method),
        overrides={**request.overrides, **variant.settings},
    )
    try:
        return make_cells(asked, data)
    except RequestError as error:
        raise RequestError(f"axis '{variant.axis}': {error}" if variant.axis else str(error)) from None


def is_small(sweep: Sweep) -> bool:
    """Whether the default's stages see so few images that its cells should share processes."""
    cell = sweep.default.cells[0]
    seen = 0
    for spec in cell.method.stages(cell.config, cell.entrant.keypoints):
        training = spec.training(cell.config)
        samples = training.epoch_samples or (sweep.request.size or DEFAULT_SIZE if cell.synthetic else None)
        if samples is None:  # all of somebody's data
            return False
        seen += training.epochs * samples
    return seen < SMALL_IMAGES


def declaration(sweep: Sweep) -> dict[str, Any]:
    """What ``sweep.json`` says."""
    first = sweep.default.cells[0].header()
    return {
        "schema": SCHEMA,
        "sweep": sweep.id,
        "name": sweep.name,
        **{
            key: first[key]
            for key in ("task", "layout", "split", "protocol", "synthetic", "preset", "method")
        },
        "overrides": dict(sweep.request.overrides),
        "grid": sweep.as_grid,
        "axes": [
            {
                "name": axis.name,
                **{key: getattr(axis, key) for key in ("question", "field", "metric", "expect", "source")},
                "values": [setting_text(value) for value in axis.values],
                "reference": sweep.points.index(sweep.reference(axis)),
            }
            for axis in sweep.axes
        ],
        "points": [_point_json(point) for point in sweep.points],
    }


def _point_json(point: Point) -> dict[str, Any]:
    cell = point.cells[0]
    return {
        "values": {axis.name: setting_text(value) for axis, value in point.variant.values},
        "given": dict(point.variant.given),
        "method": cell.entrant.name,
        "variant": cell.variant,
        "cells": {str(cell.seed): cell.id for cell in point.cells},
        **(
            {"changed": {str(seed): dict(settings) for seed, settings in point.changed}}
            if point.changed
            else {}
        ),
    }


def save(home: Home, sweep: Sweep) -> dict[str, Any]:
    """Write the declaration, with the seeds that an earlier one had of the same points; returns it."""
    path = _file(home, sweep)
    said, before = declaration(sweep), read_json(path) or {"points": []}
    for point in said["points"]:
        for old in before["points"]:
            if _same(point, old):
                point["cells"] = {**old["cells"], **point["cells"]}
                if changed := {**old.get("changed", {}), **point.get("changed", {})}:
                    point["changed"] = changed
    write_json(path, said)
    return said


def _file(home: Home, sweep: Sweep) -> Path:
    return home.sweeps / sweep.id / "sweep.json"


def _same(point: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return all(point[key] == old[key] for key in ("values", "given", "method"))


def with_sources(cells: Iterable[Cell]) -> list[Cell]:
    """Cells, each after the one whose predictions it is given, every one once."""
    found: dict[str, Cell] = {}
    for cell in cells:
        if cell.source:
            found.setdefault(cell.source.id, cell.source)
        found.setdefault(cell.id, cell)
    return list(found.values())

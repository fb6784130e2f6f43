"""Fabricated sweeps: a declaration as ``sweep.json`` holds it, and the records that its points ask for."""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reports.ablations.study import Study, make_studies
from reports.record import read_records
from tasks.registry import PROTOCOLS

SEED_SHIFTS_MM = (0.0, 0.13, -0.09, 0.05)
DEFAULT = {"layers": 4, "kl": {"weight": 0.1}, "supervision": "full", "threshold": 0.45}


def written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class SweepMaker:
    """Writes records below ``root`` and declares what they answer. A level is the mean of every error in mm."""

    def __init__(
        self, fabricate: Callable[..., Path], header: Callable[..., dict[str, Any]], root: Path
    ) -> None:
        self.fabricate, self.header, self.root = fabricate, header, root
        self.axes: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []
        self.seeds: Sequence[int] = (0, 1, 2)

    def point(
        self,
        values: dict[str, str],
        settings: dict[str, Any],
        level: float,
        seeds: Sequence[int] | None = None,
        lacking: Sequence[int] = (),
        lacks: Sequence[str] = ("mpjpe_mm",),
        **more: Any,
    ) -> None:
        """A point and its records: of these ``seeds`` alone, without some metrics where a seed is ``lacking``."""
        cells = {}
        for seed in self.seeds:
            told = {"config": configured(settings), "seed": seed, "method_title": "AMVUR", **more}
            cells[str(seed)] = cell = self.header(**told)["cell"]
            there = (self.root / "records" / cell).exists()
            if seed in (self.seeds if seeds is None else seeds) and not there:
                without = tuple(lacks) if seed in lacking else ()
                self.fabricate(self.root / "records", level + SEED_SHIFTS_MM[seed], without, **told)
        variant = ", ".join(f"{key}={written(value)}" for key, value in sorted(settings.items())) or "default"
        self.points.append({"values": values, "method": "amvur", "variant": variant, "cells": cells})

    def default(self, level: float = 10.0, **more: Any) -> "SweepMaker":
        self.point({}, {}, level, **more)
        return self

    def axis(
        self,
        name: str,
        field: str,
        levels: dict[Any, float],
        expect: str = "better",
        metric: str = "mpjpe_mm",
        changes: dict[Any, dict[str, Any]] | None = None,
    ) -> "SweepMaker":
        """An axis whose values have these levels; ``changes`` are further arguments of a value's point."""
        for value, level in levels.items():
            self.point({name: written(value)}, {field: value}, level, **(changes or {}).get(value, {}))
        self.declare(name, field, list(levels), expect, metric)
        return self

    def declare(
        self, name: str, field: str, values: list[Any], expect: str, metric: str = "mpjpe_mm"
    ) -> None:
        self.axes.append(
            {
                "name": name,
                "question": f"What does {name} do?",
                "field": field,
                "metric": metric,
                "expect": expect,
                "source": "the paper",
                "values": [written(value) for value in values],
                "reference": 0,
            }
        )

    def said(self, grid: bool = False, **changes: Any) -> dict[str, Any]:
        """What ``sweep.json`` says."""
        names = [axis["name"] for axis in self.axes]
        return {
            "schema": 1,
            "sweep": "0123456789abcdef",
            "name": f"amvur: {' x '.join(names) if grid else ', '.join(names)}",
            "task": "single_hand",
            "layout": "freihand",
            "split": "test",
            "protocol": PROTOCOLS["freihand"].header(),
            "synthetic": True,
            "preset": "tiny",
            "method": "amvur",
            "overrides": {},
            "grid": grid,
            "axes": self.axes,
            "points": self.points,
            **changes,
        }

    def study(self, grid: bool = False) -> Study:
        """The sweep with the records that are there."""
        return make_studies([self.said(grid)], read_records(self.root / "records"))[0]


def configured(settings: dict[str, Any]) -> dict[str, Any]:
    """The default configuration with some settings, named by their dotted path."""
    config: dict[str, Any] = copy.deepcopy(DEFAULT)
    for path, value in settings.items():
        *folders, last = path.split(".")
        part = config
        for folder in folders:
            part = part[folder]
        part[last] = value
    return config


@pytest.fixture
def sweep(fabricate: Any, header: Any, tmp_path: Path) -> SweepMaker:
    """A sweep to be filled."""
    return SweepMaker(fabricate, header, tmp_path)


@pytest.fixture(scope="session")
def _depth(fabricate: Any, header: Any, tmp_path_factory: pytest.TempPathFactory) -> SweepMaker:
    maker = SweepMaker(fabricate, header, tmp_path_factory.mktemp("depth"))
    return maker.default().axis("depth", "layers", {0: 14.0, 1: 12.0, 4: 10.0})


@pytest.fixture
def depth(_depth: SweepMaker) -> SweepMaker:
    """One axis of three values, of which the last is the default, each with three seeds. Not to be changed."""
    return _depth


@pytest.fixture(scope="session")
def _grid(fabricate: Any, header: Any, tmp_path_factory: pytest.TempPathFactory) -> SweepMaker:
    maker = SweepMaker(fabricate, header, tmp_path_factory.mktemp("grid")).default()
    for layers, level in ((1, 12.0), (4, 10.0)):
        for supervision, worse in (("full", 0.0), ("weak", 3.0)):
            values = {"depth": written(layers), "supervision": supervision}
            maker.point(values, {"layers": layers, "supervision": supervision}, level + worse)
    maker.declare("depth", "layers", [1, 4], "better")
    maker.declare("supervision", "supervision", ["full", "weak"], "worse", "pa_mpvpe_mm")
    return maker


@pytest.fixture
def grid(_grid: SweepMaker) -> SweepMaker:
    """A grid of two axes with a metric each. Not to be changed."""
    return _grid

"""How much a sweep may spend, in hours of CPUs or GPUs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from suite.plan import Cell, Header
from suite.sweeps.forecast import Costs
from suite.train import Resources
from tasks.errors import RequestError

UNITS = ("cpuh", "gpuh")


class Budget:
    """Hours of CPUs or GPUs; without a limit, everything is allowed.

    A cell is begun as long as what was spent, and what cells under way and this one are expected to cost, fits.
    """

    def __init__(self, limit_h: float | None, unit: str, resources: Resources, costs: Costs) -> None:
        self.limit_h, self.unit, self.costs = limit_h, unit, costs
        self.each = devices(resources, unit)
        """CPUs or GPUs that a cell holds."""
        self.used_h = 0.0

    def __str__(self) -> str:
        return f"{self.limit_h:g} {self.unit[:3].upper()}-hours"

    def allows(self, cell: Cell, under_way: Sequence[Cell]) -> bool:
        """Whether a cell may begin beside those under way."""
        if self.limit_h is None:
            return True
        begun = {each.id: each for each in (*under_way, cell)}.values()
        seconds = sum(self.costs.seconds(each) or 0.0 for each in begun)
        return self.used_h + seconds * self.each / 3600 <= self.limit_h

    def spent(self, header: Header) -> None:
        """A cell has finished: what it did cost counts, and teaches what the next ones will."""
        self.used_h += hours(header, self.unit)
        self.costs.learn(header)


def parse_budget(text: str) -> tuple[float, str]:
    """``8gpuh`` or ``2.5cpuh`` as hours and unit. Raises RequestError."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(cpuh|gpuh)", text.strip().lower())
    if not match or float(match[1]) <= 0:
        raise RequestError(
            f"--budget got '{text}': expected hours of CPUs or GPUs, for example 8gpuh or 2.5cpuh."
        )
    return float(match[1]), match[2]


def devices(resources: Resources, unit: str) -> float:
    """CPUs or GPUs that a cell holds while it runs."""
    each = resources.gpus_per_worker if unit == "gpuh" else resources.cpus_per_worker
    return max(1, resources.workers) * each


def hours(header: Header, unit: str) -> float:
    """What a finished cell did cost, by its record."""
    cost = header["cost"]
    held = Resources(cost["workers"], cost["cpus_per_worker"], cost["gpus_per_worker"])
    return float(cost["wall_s"] * devices(held, unit) / 3600)

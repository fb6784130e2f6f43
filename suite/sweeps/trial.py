"""What a Ray Tune trial does: one cell, from its lease to its record. It tells the driver how that ended, and no more.

A trial's process is used for the next trial, so that imports and caches are paid once. What a cell does in between is
seen from its files (``suite.watch``), by whoever wants to know.
"""

import os
from collections.abc import Mapping
from typing import Any

from suite.home import Home
from suite.plan import Cell, Header
from suite.train import Resources


def run_trial(
    config: Mapping[str, Any], home: Home, cells: Mapping[str, Cell], resources: Resources, directory: str
) -> None:
    """Run ``config["cell"]`` and report its state. Its failure is a report as well, never an exception."""
    from ray import tune

    from suite import environment
    from suite.attempt import Nobody, attempt, is_recorded, recorded
    from suite.failures import is_final

    environment.apply()
    os.chdir(directory)  # Tune gives each trial a folder of its own; the user's paths are meant from here
    cell = cells[config["cell"]]
    source: Header | None = None
    if cell.source:
        there = is_recorded(home, cell.source)
        unrun = {**cell.source.header(), "state": "failed", "reason": "it has no record"}
        source = recorded(home, cell.source) if there else unrun
    header = attempt(home, cell, resources, Nobody(), source)
    failure = header.get("failure")
    tune.report(
        {
            "state": header["state"],
            "reason": header.get("reason"),
            "kind": failure["kind"] if failure else None,
            "final": bool(failure and is_final(failure)),
        }
    )

"""What stands in MLflow, seen with its own client; and what cells and sweeps say of themselves."""

import contextlib
import sqlite3
import time

from reports.tracking.mirror import Mirror
from reports.tracking.values import Point

TABLES = ("experiments", "runs", "metrics", "params", "tags")


def counts(home):
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
        return {table: database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in TABLES}


def all_runs(home, task="single_hand"):
    client = Mirror(home).store.client
    experiment = client.get_experiment_by_name(f"palmares/{task}")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def only_run(home, task="single_hand"):
    (run,) = all_runs(home, task)
    return Mirror(home).store.client, run


def state_of(run):
    """Status, and the state that the tag says."""
    return run.info.status, run.data.tags.get("palmares.state")


def states(home):
    """Cell, or sweep -> status and state of its run."""
    return {
        run.data.tags.get("palmares.cell") or run.data.tags["palmares.sweep"]: state_of(run)
        for run in all_runs(home)
    }


def family(home):
    """The run of the one sweep, and cell -> run of its children."""
    runs = all_runs(home)
    (parent,) = [run for run in runs if run.data.tags["palmares.kind"] == "sweep"]
    others = [run for run in runs if run is not parent]
    children = {
        run.data.tags["palmares.cell"]: run
        for run in others
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }
    assert len(children) == len(others), "a cell without its parent, or twice"
    return parent, children


def steps_of(home, run, name="train/total"):
    return sorted(point.step for point in Mirror(home).store.client.get_metric_history(run.info.run_id, name))


def artifact_names(client, run):
    found, folders = set(), [None]
    while folders:
        for entry in client.list_artifacts(run.info.run_id, folders.pop()):
            folders.append(entry.path) if entry.is_dir else found.add(entry.path)
    return found


def wait_until(there, patience_s=60):
    until = time.monotonic() + patience_s
    while not there():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def points(first, last, name="total"):
    return [Point(step, name, 1.0 / (1 + step), 1_700_000_000_000 + step) for step in range(first, last)]


def declaration(*headers, sweep="0123456789abcdef", axis="depth"):
    """A sweep over ``axis``: the first cell is its default, the others are its values 1, 2, ..."""
    names = ("task", "layout", "split", "synthetic", "preset", "method")
    return {
        "sweep": sweep,
        "name": f"{headers[0]['method']}: {axis}",
        **{name: headers[0][name] for name in names},
        "axes": [{"name": axis, "question": f"What does {axis} do?"}],
        "points": [
            {"values": {axis: str(number)} if number else {}, "cells": {"0": header["cell"]}}
            for number, header in enumerate(headers)
        ],
    }

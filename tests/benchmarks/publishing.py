"""Measurements as files of ``reports/published``: rows with what they were taken on, for programs and for people."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suite.provenance import git_commit

Row = Mapping[str, Any]


def publish(
    path: Path, facts: Mapping[str, Any], columns: Mapping[str, str], rows: Sequence[Row], note: str = ""
) -> None:
    """Write NAME.json and NAME.md. ``facts`` are ``what``, ``device``, ``command`` and ``options`` at least."""
    import torch

    here = {
        "cpus": os.cpu_count(),
        "torch": torch.__version__,
        "commit": git_commit(),
        "date": time.strftime("%Y-%m-%d"),
    }
    told = {**here, **facts, **({"note": note} if note else {})}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps({**told, "rows": rows}, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(told, columns, rows))


def markdown(facts: Mapping[str, Any], columns: Mapping[str, str], rows: Sequence[Row]) -> str:
    """The table for people."""
    lines = [
        f"# {facts['what'][0].upper()}{facts['what'][1:]}",
        "",
        f"{facts['device']}, {facts['cpus']} CPU cores, torch {facts['torch']}, {facts['date']}; made by "
        f"`{facts['command']}`.",
        "",
        *([facts["note"], ""] if "note" in facts else []),
        "| " + " | ".join(columns.values()) + " |",
        "|" + "---|" * len(columns),
    ]
    lines += ["| " + " | ".join(shown(row[key]) for key in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(value: Any) -> str:
    """A value in a table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else str(value)

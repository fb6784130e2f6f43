"""Names, tags and values of cells, sweeps and tunings as MLflow takes them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.record import PLAIN_VARIANTS, Record, flatten

CELL_TAG = "palmares.cell"
SWEEP_TAG = "palmares.sweep"
TUNING_TAG = "palmares.tuning"
TRIAL_TAG = "palmares.trial"
KIND_TAG = "palmares.kind"
STATE_TAG = "palmares.state"
PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
"""What MLflow shows as the description of a run."""
DIGEST_TAG = "palmares.record"
"""Digest of what is mirrored; set last, so a run that has it is mirrored whole."""
MAX_VALUE = 500
"""Longest parameter or tag value that every MLflow server takes."""
TAGGED = (
    "cell", "kind", "method", "task", "layout", "split", "synthetic", "preset", "seed", "axis", "variant",
    "git_commit", "state", "reason",
)  # fmt: skip
"""What a header says that becomes a tag."""


@dataclass(frozen=True)
class Point:
    """One point of a training curve, as in ``curves.parquet``."""

    step: int
    name: str
    value: float
    time_ms: int


def points_of(record: Record) -> list[Point]:
    """The training curves of a record."""
    return [
        Point(*row) for row in record.curves[["step", "name", "value", "time_ms"]].itertuples(index=False)
    ]


def curve_name(name: str) -> str:
    """``train/<loss>``; a name that has its folder already keeps it."""
    return name if "/" in name else f"train/{name}"


def run_name(header: Mapping[str, Any]) -> str:
    """What a person calls a cell; what tells neighbours apart comes first, since lists show the beginning alone."""
    parts = [header["method"], header.get("variant"), f"seed {header.get('seed')}"]
    if header.get("preset"):
        parts.append(f"({header['preset']})")
    return shorten(" ".join(str(part) for part in parts if part not in PLAIN_VARIANTS))


def start_ms(header: Mapping[str, Any]) -> int:
    """When a cell began, as far as its header says it; else the present."""
    if "finished_ms" not in header:
        return int(time.time() * 1000)
    return int(header["finished_ms"] - 1000 * header.get("cost", {}).get("wall_s", 0.0))


def flat_identity(header: Mapping[str, Any]) -> dict[str, str]:
    """The identity of a cell as MLflow parameters: dotted keys, text values, long ones shortened."""
    return {key: shorten(text) for key, text in flatten(header["identity"])}


def cell_tags(header: Mapping[str, Any]) -> dict[str, str]:
    """What a header says of a cell, to group and to filter runs by."""
    values = {name: header.get(name) for name in TAGGED}
    values["data_fingerprint"] = header["identity"].get("data_fingerprint")
    values["reason"] = values["reason"] or ""
    return {
        f"palmares.{name}": shorten(value if isinstance(value, str) else json.dumps(value))
        for name, value in values.items()
        if value is not None
    }


def sweep_tags(declaration: Mapping[str, Any]) -> dict[str, str]:
    """What a declaration says of a sweep; its questions are the description of its run."""
    axes = declaration["axes"]
    questions = [f"* **{axis['name']}**: {axis['question']}" for axis in axes]
    names = ("method", "task", "layout", "split", "preset")
    tags = {
        **{f"palmares.{name}": str(declaration[name]) for name in names},
        "palmares.synthetic": json.dumps(declaration["synthetic"]),
        "palmares.axis": ", ".join(axis["name"] for axis in axes),
        NOTE_TAG: "\n".join(
            [*questions, "", "The answers are among the artifacts: `ablation/ablation.html`."]
        ),
    }
    return {key: shorten(value) for key, value in tags.items()}


def places(declaration: Mapping[str, Any], run_id: str) -> dict[str, dict[str, str]]:
    """Cell -> the tags of its parent, and of the axis and value that it stands for; the default stands for none."""
    found: dict[str, dict[str, str]] = {}
    for point in declaration["points"]:
        place = {
            PARENT_TAG: run_id,
            SWEEP_TAG: declaration["sweep"],
            "palmares.axis": " x ".join(point["values"]) or "default",
            "palmares.value": ", ".join(point["values"].values()) or "default",
        }
        for cell in point["cells"].values():
            found.setdefault(cell, {key: shorten(value) for key, value in place.items()})
    return found


def shorten(text: str) -> str:
    """A value no longer than every server takes: the beginning, and a hash of the whole."""
    if len(text) <= MAX_VALUE:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: MAX_VALUE - 26]}... sha256:{digest}"[:MAX_VALUE]


def digest_of(content: bytes) -> str:
    """By which a run says what it mirrors."""
    return hashlib.sha256(content).hexdigest()[:16]


def reason_of(error: Exception) -> str:
    """An error in one short line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"

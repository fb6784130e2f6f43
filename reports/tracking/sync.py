"""Mirroring a whole home folder at any time: what a server missed that was down, or is new."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from reports.record import Record, scan_records
from reports.tracking.mirror import Mirror
from reports.tracking.sweeps import MirroredSweep, declare, end_sweep
from reports.tracking.tunings import MirroredTuning, mirror_tuning
from reports.tracking.values import reason_of

Header = Mapping[str, Any]
Step = tuple[str, Callable[[], bool]]


@dataclass(frozen=True)
class SyncOutcome:
    """Cells, sweeps and tunings by what ``sync`` did with them; ``failed`` maps each to the reason."""

    mirrored: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def sync(
    home: Path,
    sweeps: Iterable[MirroredSweep] = (),
    unfinished: Iterable[Header] = (),
    tunings: Iterable[MirroredTuning] = (),
) -> SyncOutcome:
    """Mirror every record of a home folder, then the cells without one, then sweeps as the parents of their cells, and
    tunings.

    ``unfinished`` are headers with their state: the run of a cell that is ``failed`` says so, and that of one that is
    ``planned``, so that nobody works on it, does not say that it runs. Others are left alone.
    Running it twice changes nothing; a cell that fails stops no other.
    """
    records, skipped = scan_records(Path(home) / "records")
    outcome = SyncOutcome(failed={folder.path.name: folder.reason for folder in skipped})
    try:
        mirror = Mirror(home)
    except Exception as error:
        outcome.failed.update({record.cell: reason_of(error) for record in records})
        return outcome
    steps = _steps(mirror, records, list(unfinished), list(sweeps))
    steps += [(tuning.id, partial(mirror_tuning, mirror.store, tuning)) for tuning in tunings]
    _take(steps, mirror, outcome)
    return outcome


def _steps(
    mirror: Mirror, records: list[Record], unfinished: list[Header], sweeps: list[MirroredSweep]
) -> list[Step]:
    """What is to be done, each by the name of its cell or sweep; the parents are there before their children."""
    for sweep in sweeps:
        with contextlib.suppress(Exception):  # its end will say what is wrong
            declare(mirror, sweep.said)
    steps: list[Step] = [(record.cell, partial(mirror.mirror, record)) for record in records]
    for header in unfinished:
        if header.get("state") == "failed" and "identity" in header:
            steps.append((header["cell"], partial(mirror.fail, header, header["reason"])))
        elif header.get("state") == "planned" and "identity" in header:
            steps.append((header["cell"], partial(mirror.stop, header)))
    return steps + [(str(sweep.said["sweep"]), partial(end_sweep, mirror, sweep)) for sweep in sweeps]


def _take(steps: list[Step], mirror: Mirror, outcome: SyncOutcome) -> None:
    """Take one step after the other, until the server does not answer."""
    for number, (name, step) in enumerate(steps):
        try:
            (outcome.mirrored if step() else outcome.unchanged).append(name)
        except Exception as error:
            outcome.failed[name] = reason_of(error)
            if not mirror.store.answers():
                outcome.failed.update({left: reason_of(error) for left, _ in steps[number:]})
                return

"""Training curves as JSON lines: appended by rank 0, followed by the driver, kept in the record."""

import json
from pathlib import Path
from typing import Any

Point = dict[str, Any]
"""``{"step", "name", "value", "time_ms"}``."""


def make_point(step: int, name: str, value: float, time_ms: int) -> Point:
    """One value of one curve."""
    return {"step": step, "name": name, "value": value, "time_ms": time_ms}


def read_curve(path: Path) -> list[Point]:
    """The whole lines of a curve file; a line that is still being written is left for the next look."""
    points = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            points.append(json.loads(line))
        except ValueError:
            continue
    return points


def curve_names(points: list[Point], stage: str | None) -> list[Point]:
    """The points under the names of the record: ``train/<loss>``, ``train/<stage>/<loss>`` where there are several."""
    if stage is None:
        return points
    return [{**p, "name": p["name"].replace("/", f"/{stage}/", 1)} for p in points]


class CurveFile:
    """A curve file that a training appends to; what stands after the step it resumes at is dropped first."""

    def __init__(self, path: Path, resume_step: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [point for point in read_curve(path) if point["step"] <= resume_step]
        beside = path.with_suffix(".tmp")
        beside.write_text(_lines(kept))
        beside.replace(path)

    def append(self, points: list[Point]) -> None:
        """Add points at the end."""
        with self.path.open("a") as file:
            file.write(_lines(points))


def _lines(points: list[Point]) -> str:
    return "".join(json.dumps(point) + "\n" for point in points)

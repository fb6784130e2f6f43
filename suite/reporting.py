"""The report as the command line makes it: records and sweeps of the home folder, published numbers of the methods."""

from pathlib import Path

from suite.home import Home
from tasks.errors import RequestError, unknown_name

FORMATS = ("html", "md", "tex", "csv")
Published = list[dict[str, object]]


def report_formats(text: str) -> tuple[str, ...]:
    """The formats of a comma-separated list. Raises RequestError for another one."""
    formats = tuple(part.strip() for part in text.split(","))
    for name in formats:
        if name not in FORMATS:
            raise unknown_name("format", name, FORMATS)
    return formats


def make_report(home: Home, out: Path, task: str | None, formats: tuple[str, ...]) -> str:
    """Write the report to ``out``; returns the leaderboard and the report's path as text. Raises RequestError."""
    from reports.ablations.declared import read_sweeps
    from reports.report import build_report
    from tasks.registry import TASKS

    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS)
    if not any(home.records.glob("*/record.json")):
        raise RequestError(f"no records in '{home.records}': palmares run METHOD makes them.")
    sweeps = read_sweeps(home.sweeps)
    outcome = build_report(home.records, out, published_numbers(), task, formats, sweeps)
    paths = "\n".join(str(path) for path in outcome.paths)
    return f"{outcome.leaderboard_text}\n\n{paths}"


def recompute(home: Home, out: Path) -> list[str]:
    """Every number of a report that its records do not give again."""
    from reports.report import verify_report

    return verify_report(out, home.records)


def published_numbers() -> Published:
    """The published numbers that the methods' folders hold, each with its source."""
    from methods.registry import METHODS, load_published

    return [row for method in METHODS for row in load_published(method)]

"""The file that says that a generator wrote a dataset folder. A real download has none."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.layouts.base import Problem

MARKER = "palmares.json"
MARKER_KEYS = {"synthetic", "generator", "generator_version", "seed", "size", "hand", "hand_fingerprint"}


def write_marker(root: Path, content: Mapping[str, Any]) -> None:
    """Say that the folder is synthetic, and how it was made."""
    (root / MARKER).write_text(json.dumps({"synthetic": True, **content}, indent=2, sort_keys=True) + "\n")


def is_synthetic(root: Path) -> bool:
    """Whether the marker file says that a generator wrote the folder."""
    try:
        return json.loads((root / MARKER).read_text(encoding="utf-8"))["synthetic"] is True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def check_marker(root: Path) -> Iterator[Problem]:
    """Every problem of the marker file, where there is one."""
    try:
        content = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        yield Problem(MARKER, "", "is no JSON object")
        return
    yield from (Problem(MARKER, key, "is a missing key") for key in sorted(MARKER_KEYS - set(content)))
    yield from (Problem(MARKER, key, "is an unknown key") for key in sorted(set(content) - MARKER_KEYS))


def made_with(root: Path) -> str:
    """The fingerprint of the hand that a synthetic folder was made with; empty for a real one."""
    try:
        return str(json.loads((root / MARKER).read_text(encoding="utf-8"))["hand_fingerprint"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""

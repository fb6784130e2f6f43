"""Where a cell's data come from: the user's copy, or synthetic data made on first use in the same layout."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suite.home import Home, read_json, write_json
from tasks.errors import RequestError

if TYPE_CHECKING:
    from suite.plan import Request
    from tasks.layouts.base import Layout

DEFAULT_SIZE = 2000
DEFAULT_SEED = 0


@dataclass(frozen=True)
class DataSource:
    """A dataset folder, identified by its content."""

    root: Path
    fingerprint: str
    synthetic: bool

    @classmethod
    def unmade(cls, home: Home) -> "DataSource":
        """Stands for synthetic data that are not there yet, in a plan."""
        return cls(home.synthetic, "not made yet", synthetic=True)


def open_source(
    home: Home,
    layout: str,
    data: Path | None,
    size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataSource:
    """The user's data at ``data``, or the synthetic default. Raises RequestError for a missing folder."""
    from tasks.layouts.registry import open_layout

    if known := known_source(home, layout, data, size):
        return known
    root = data or synthetic_root(home, layout, size or DEFAULT_SIZE, progress)
    opened = open_layout(layout, root.absolute())
    return DataSource(opened.root, _fingerprint(opened, own=data is None), opened.synthetic)


def request_source(home: Home, request: "Request") -> DataSource:
    """The data of a request; synthetic ones are made where they are not there yet, and progress is shown."""
    from suite.plan import resolve_names
    from suite.progress import Progress

    layout = resolve_names(request)[2]
    with Progress(f"data ({layout})", "samples") as show:
        return open_source(home, layout, request.data, request.size, show)


def source_at_hand(home: Home, request: "Request") -> DataSource | None:
    """The same where nothing has to be made for it, else None."""
    from suite.plan import resolve_names

    if request.data is not None:
        return request_source(home, request)
    return known_source(home, resolve_names(request)[2], None, request.size)


def known_source(home: Home, layout: str, data: Path | None, size: int | None = None) -> DataSource | None:
    """The synthetic default, where it is there already; opens nothing. Raises RequestError for a missing folder."""
    require_folder(layout, data)
    if data is not None:
        return None
    root = _synthetic_place(home, layout, size or DEFAULT_SIZE)
    note = read_json(_note(root)) if root.is_dir() else None
    return DataSource(root, note["fingerprint"], synthetic=True) if note else None


def require_folder(layout: str, data: Path | None) -> None:
    """Raise RequestError for a data folder that is named and not there."""
    if data is not None and not data.is_dir():
        raise RequestError(f"no data folder at '{data}': expected a copy in the {layout} layout.")


def synthetic_root(
    home: Home, layout: str, size: int, progress: Callable[[int, int], None] | None = None
) -> Path:
    """The cached synthetic data of this generator version and hand model, made when they are not there yet."""
    from tasks.layouts.registry import load_synthesiser

    root = _synthetic_place(home, layout, size)
    if not root.is_dir():
        home.synthetic.mkdir(parents=True, exist_ok=True)
        make = load_synthesiser(layout)
        make(root, size=size, seed=DEFAULT_SEED, workers=os.cpu_count(), progress=progress)
    return root


def _synthetic_place(home: Home, layout: str, size: int) -> Path:
    from tasks.hands.in_use import hand_data
    from tasks.layouts.registry import find_layout

    version = find_layout(layout).generator_version
    return home.synthetic / f"{layout}-v{version}-{hand_data().fingerprint[:8]}-n{size}-s{DEFAULT_SEED}"


def _fingerprint(layout: "Layout", own: bool) -> str:
    """The content's fingerprint, kept beside our own synthetic cache, which nobody edits."""
    note = _note(layout.root)
    if own and (known := read_json(note)):
        return known["fingerprint"]
    fingerprint = layout.fingerprint()
    if own:
        write_json(note, {"fingerprint": fingerprint})
    return fingerprint


def _note(root: Path) -> Path:
    return root.with_name(root.name + ".fingerprint.json")

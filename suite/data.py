"""Where a cell's data come from: the user's copy, or synthetic data made on first use in the same layout."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suite.home import Home, read_json, write_json
from tasks.errors import RequestError

if TYPE_CHECKING:
    from tasks.layouts.base import Layout

DEFAULT_SIZE = 2000
DEFAULT_SEED = 0


@dataclass(frozen=True)
class DataSource:
    """A dataset folder, identified by its content."""

    root: Path
    fingerprint: str
    synthetic: bool


def open_source(
    home: Home,
    layout: str,
    data: Path | None,
    size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataSource:
    """The user's data at ``data``, or the synthetic default. Raises RequestError for a missing folder."""
    from tasks.layouts.registry import open_layout

    require_folder(layout, data)
    root = data or synthetic_root(home, layout, size or DEFAULT_SIZE, progress)
    opened = open_layout(layout, root.absolute())
    return DataSource(opened.root, _fingerprint(opened, own=data is None), opened.synthetic)


def require_folder(layout: str, data: Path | None) -> None:
    """Raise RequestError for a data folder that is named and not there."""
    if data is not None and not data.is_dir():
        raise RequestError(f"no data folder at '{data}': expected a copy in the {layout} layout.")


def synthetic_root(
    home: Home, layout: str, size: int, progress: Callable[[int, int], None] | None = None
) -> Path:
    """The cached synthetic data of this generator version and hand model, made when they are not there yet."""
    from tasks.hands.hand import load_hand
    from tasks.layouts.registry import load_synthesiser

    make = load_synthesiser(layout)
    version = sys.modules[make.__module__].GENERATOR_VERSION
    root = home.synthetic / f"{layout}-v{version}-{load_hand().fingerprint[:8]}-n{size}-s{DEFAULT_SEED}"
    if not root.is_dir():
        home.synthetic.mkdir(parents=True, exist_ok=True)
        make(root, size=size, seed=DEFAULT_SEED, workers=os.cpu_count(), progress=progress)
    return root


def _fingerprint(layout: "Layout", own: bool) -> str:
    """The content's fingerprint, kept beside our own synthetic cache, which nobody edits."""
    note = layout.root.with_name(layout.root.name + ".fingerprint.json")
    if own and (known := read_json(note)):
        return known["fingerprint"]
    fingerprint = layout.fingerprint()
    if own:
        write_json(note, {"fingerprint": fingerprint})
    return fingerprint

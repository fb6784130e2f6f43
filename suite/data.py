"""Where a cell's data come from: the user's copy, or synthetic data made on first use in the same layout."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suite.home import Home, read_json, write_json
from tasks.errors import RequestError

DEFAULT_SIZE = 3000
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

    if data is not None and not data.is_dir():
        raise RequestError(
            f"no data folder at '{data}': expected a {layout} copy (palmares data make {layout} {data})."
        )
    root = data or synthetic_root(home, layout, size or DEFAULT_SIZE, progress)
    opened = open_layout(layout, root)
    return DataSource(root.absolute(), _fingerprint(home, opened, own=data is None), opened.synthetic)


def synthetic_root(
    home: Home, layout: str, size: int, progress: Callable[[int, int], None] | None = None
) -> Path:
    """The cached synthetic data of this generator version, made when it is not there yet."""
    from tasks.layouts.registry import LAYOUTS, load_synthesiser

    spec = LAYOUTS[layout]
    root = home.synthetic / f"{layout}-v{spec.generator_version}-n{size}-s{DEFAULT_SEED}"
    if not root.is_dir():
        home.synthetic.mkdir(parents=True, exist_ok=True)
        load_synthesiser(layout)(
            root, size=size, seed=DEFAULT_SEED, workers=os.cpu_count(), progress=progress
        )
    return root


def _fingerprint(home: Home, layout: "object", own: bool) -> str:
    """The content's fingerprint, kept beside our own synthetic cache, which nobody edits."""
    note = layout.root.with_name(layout.root.name + ".fingerprint.json")  # type: ignore[attr-defined]
    if own and (known := read_json(note)):
        return known["fingerprint"]
    fingerprint = layout.fingerprint()  # type: ignore[attr-defined]
    if own:
        write_json(note, {"fingerprint": fingerprint})
    return fingerprint

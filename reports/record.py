"""The record of a finished cell: one schema, one writer, one reader.

``records/<cell>/`` holds ``record.json``, ``per_sample.parquet``, ``predictions.npz``, ``curves.parquet`` and
``renders/*.png``, for two hands ``meshes/*.ply``; and ``per_sample.f64``, the columns of the parquet file as bare
numbers, from which a report of thousands of records is made (``palmares report --verify`` reads the parquet files
instead). A record is written beside its place and published by one rename, so a folder is there whole or not at all;
``record.json`` names every file with its size, so a half-copied folder is noticed as well. Reading ``record.json``
imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from PIL.Image import Image

    from tasks.base import Metric
    from tasks.ragged import Field, Fields

SCHEMA = 2
"""2 added ``per_sample.f64``, and intervals that no order of adding changes; a record of 1 is read all the same."""
HEADER_FILE = "record.json"
REQUIRED = ("cell", "kind", "identity", "method", "task", "layout", "split", "seed", "protocol", "synthetic")
PLAIN_VARIANTS = (None, "", "default")
"""How a header says that a cell is no variant."""
BARE_FILE = "per_sample.f64"
CURVE_COLUMNS = ("step", "name", "value", "time_ms")

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Record:
    """One cell's folder: the header at once, tables when they are asked for.

    Unless ``trusted``, everything is computed from ``per_sample.parquet``, whatever else the folder says.
    """

    path: Path
    header: dict[str, Any]
    trusted: bool = True

    @property
    def cell(self) -> str:
        """The cell's id, 16 hex digits."""
        return str(self.header["cell"])

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """NAME -> ``{value, low, high, n, nan, unit, ...}``."""
        metrics: dict[str, dict[str, Any]] = self.header["metrics"]
        return metrics

    @cached_property
    def summarised(self) -> bool:
        """Whether the header's metrics and ``per_sample.f64`` may stand for the parquet file."""
        return self.trusted and "table" in self.header

    @cached_property
    def samples_key(self) -> str:
        """The same for records of the same samples in the same clusters."""
        return str(self.header["table"]["samples"]) if self.summarised else samples_key(self.sorted_table)

    @property
    def sorted_table(self) -> pd.DataFrame:
        """``per_sample.parquet`` sorted by sample. Read anew at every call."""
        return _read_table(self.path / "per_sample.parquet").sort_index()

    def columns(self, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """Per-sample columns (n,) float64 by name, all or those named, sorted by sample. Read anew at every call."""
        if not self.summarised:
            return bare_columns(self.sorted_table)
        import numpy as np

        stored, file = self.header["table"]["columns"], self.path / BARE_FILE
        if names is None:
            numbers = np.fromfile(file, dtype="<f8").reshape(len(stored), -1)
            return dict(zip(stored, numbers, strict=True))
        n = self.header["files"][BARE_FILE] // (8 * len(stored))
        return {name: np.fromfile(file, "<f8", n, offset=8 * n * stored.index(name)) for name in names}

    @cached_property
    def per_sample(self) -> pd.DataFrame:
        """Index ``sample``, a ``cluster`` column and one float64 column per sample column."""
        return _read_table(self.path / "per_sample.parquet")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Columns ``step, name, value, time_ms``."""
        return _read_table(self.path / "curves.parquet")

    @property
    def predictions(self) -> dict[str, Field]:
        """Prediction field -> n records, in the order of ``per_sample``. Read anew at every call."""
        import numpy as np

        from tasks.ragged import from_arrays

        with np.load(self.path / "predictions.npz", allow_pickle=False) as archive:
            return from_arrays(archive)

    def prediction(self, name: str) -> np.ndarray:
        """One field (n, ...) of the predictions, no other of which is read. Raises RequestError where it is absent."""
        import numpy as np

        with np.load(self.path / "predictions.npz", allow_pickle=False) as archive:
            if name not in archive.files:
                raise RequestError(f"the predictions of cell {self.cell} have no field '{name}'.")
            values: np.ndarray = archive[name]
            return values

    @property
    def renders(self) -> dict[str, Path]:
        """Name -> PNG file."""
        return {file.stem: file for file in sorted((self.path / "renders").glob("*.png"))}

    @property
    def meshes(self) -> list[Path]:
        """The predicted meshes of the samples that are rendered, where there are any."""
        return sorted((self.path / "meshes").glob("*"))


@dataclass(frozen=True)
class Skipped:
    """A folder under ``records/`` that is not read, and why."""

    path: Path
    reason: str


def write_record(
    records_root: Path,
    header: Mapping[str, Any],
    per_sample: pd.DataFrame,
    predictions: Fields,
    curves: pd.DataFrame | None = None,
    renders: Mapping[str, Image | bytes] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Aggregate, write and publish the record of a cell; returns its folder. An older record of it is
    replaced.

    ``per_sample`` is indexed by ``sample`` and has a ``cluster`` column; every metric of ``metrics`` (in the form of
    the header's protocol unless given) whose columns are all there is aggregated into the header, except those named in
    ``header["not_applicable"]``. ``files`` are further ones by their path in the folder. Raises ValueError when the
    header or a table lacks a part.
    """
    _check_parts(header, per_sample, curves)
    root = Path(records_root)
    root.mkdir(parents=True, exist_ok=True)
    cell = str(header["cell"])
    for abandoned in root.glob(f".{cell}.*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{cell}.", dir=root))
    try:
        beside.chmod(0o755)
        _write_tables(beside, per_sample, predictions, curves)
        _write_renders(beside / "renders", renders or {})
        _write_files(beside, files or {})
        whole = {**header, "schema": SCHEMA, "state": header.get("state", "done")}
        whole["table"] = _write_bare(beside / BARE_FILE, per_sample.sort_index())
        whole["metrics"] = _aggregate(per_sample, header, metrics)
        whole["files"] = {str(f.relative_to(beside)): f.stat().st_size for f in _files(beside)}
        (beside / HEADER_FILE).write_text(to_json(whole), encoding="utf-8")
        return _publish(beside, root / cell)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def read_record(path: Path) -> Record:
    """The record in a folder.

    Raises RequestError when it is not whole, not readable, or of a newer schema.
    """
    path = Path(path)
    file = path / HEADER_FILE
    try:
        header = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise RequestError(
            f"{path} is no record: it has no {HEADER_FILE}; remove the folder or copy it again."
        ) from None
    except (OSError, ValueError) as error:
        raise RequestError(f"{file} cannot be read ({error}); remove the folder or copy it again.") from None
    problem = _header_problem(header) or _missing_files(path, header)
    if problem:
        raise RequestError(f"{path}: {problem}")
    return Record(path, header)


def scan_records(root: Path) -> tuple[list[Record], list[Skipped]]:
    """Every record under a folder, sorted by cell, and every folder that cannot be read, with the reason."""
    records, skipped = [], []
    root = Path(root)
    names = sorted(name for name in os.listdir(root) if not name.startswith(".")) if root.is_dir() else []
    folders = [root / name for name in names if os.path.isdir(f"{root}/{name}")]
    for folder in folders:
        try:
            records.append(read_record(folder))
        except RequestError as error:
            skipped.append(Skipped(folder, str(error)))
    return records, skipped


def read_records(root: Path) -> list[Record]:
    """Every whole record under a folder, sorted by cell.

    A folder that is skipped is logged with its reason.
    """
    records, skipped = scan_records(root)
    for folder in skipped:
        log.warning("skipped: %s", folder.reason)
    return records


def cell_json(header: Mapping[str, Any]) -> dict[str, Any]:
    """A cell as every ``--json`` prints it. The header of a planned or failed cell has no metrics yet."""
    protocol = header.get("protocol") or {}
    label = (
        f"{protocol['name']}/{protocol['version']}"
        if isinstance(protocol, Mapping) and protocol
        else protocol
    )
    plain = ("cell", "method", "task", "layout", "axis", "variant", "seed", "state", "reason", "kind")
    shown = ("value", "low", "high", "n", "nan", "unit")
    metrics = {name: {key: m.get(key) for key in shown} for name, m in header.get("metrics", {}).items()}
    return {
        **{key: header.get(key) for key in plain},
        "protocol": label or None,
        "synthetic": header.get("synthetic"),
        "metrics": metrics,
    }


def to_json(value: Any) -> str:
    """Indented JSON with sorted keys; NaN and infinity, which JSON does not have, become null."""
    return json.dumps(_plain(value), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """A nested mapping as (dotted key, text) pairs, sorted; lists and other values as JSON."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from flatten(value[key], f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def bare_columns(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns of a per-sample table that hold numbers, as float64."""
    return {
        str(name): table[name].to_numpy("float64")
        for name in table.columns
        if name != "cluster" and table[name].dtype.kind in "fiub"
    }


def samples_key(sorted_table: pd.DataFrame) -> str:
    """Digest of sample ids and clusters, 16 hex digits."""
    digest = hashlib.sha256()
    for part in (sorted_table.index, sorted_table["cluster"]):
        digest.update("\0".join(map(str, part.tolist())).encode() + b"\1")
    return digest.hexdigest()[:16]


def _plain(value: Any) -> Any:
    """The value with JSON's own types only."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str | None) else str(value)


def _aggregate(
    per_sample: pd.DataFrame, header: Mapping[str, Any], metrics: Mapping[str, Metric] | None
) -> dict[str, dict[str, Any]]:
    from reports.statistics import summarise_all

    if metrics is None:
        from tasks.registry import metrics_of

        metrics = metrics_of(header["protocol"]["name"])
    present, absent = set(per_sample.columns), header.get("not_applicable", {})
    recorded = {
        name: metric
        for name, metric in metrics.items()
        if name not in absent and present.issuperset(metric.needs)
    }
    return {
        name: {**summary._asdict(), "unit": recorded[name].unit}
        for name, summary in summarise_all(per_sample, recorded).items()
    }


def _check_parts(header: Mapping[str, Any], per_sample: pd.DataFrame, curves: pd.DataFrame | None) -> None:
    missing = [key for key in REQUIRED if key not in header]
    if missing:
        raise ValueError(f"the header lacks {', '.join(missing)}")
    if per_sample.index.name != "sample" or "cluster" not in per_sample:
        raise ValueError("per_sample must be indexed by 'sample' and have a 'cluster' column")
    if not per_sample.index.is_unique:
        raise ValueError("per_sample has a sample twice")
    if curves is not None and not set(CURVE_COLUMNS) <= set(curves.columns):
        raise ValueError(f"curves must have the columns {', '.join(CURVE_COLUMNS)}")


def _write_tables(
    folder: Path, per_sample: pd.DataFrame, predictions: Fields, curves: pd.DataFrame | None
) -> None:
    import numpy as np
    import pandas as pd

    from tasks.ragged import to_arrays

    per_sample.to_parquet(folder / "per_sample.parquet")
    np.savez_compressed(folder / "predictions.npz", allow_pickle=False, **to_arrays(predictions))
    if curves is None:
        curves = pd.DataFrame({"step": [], "name": [], "value": [], "time_ms": []})
    types = {"step": "int64", "name": "str", "value": "float64", "time_ms": "int64"}
    curves[list(CURVE_COLUMNS)].astype(types).to_parquet(folder / "curves.parquet", index=False)


def _write_bare(file: Path, sorted_table: pd.DataFrame) -> dict[str, Any]:
    """Write ``per_sample.f64``, (columns, samples) little-endian; returns what the header says of it."""
    import numpy as np

    columns = bare_columns(sorted_table)
    np.array(list(columns.values()), dtype="<f8").tofile(file)
    return {"columns": list(columns), "samples": samples_key(sorted_table)}


def _write_renders(folder: Path, renders: Mapping[str, Image | bytes]) -> None:
    folder.mkdir()
    for name, image in renders.items():
        file = folder / f"{name.removesuffix('.png')}.png"
        if isinstance(image, bytes):
            file.write_bytes(image)
        else:
            image.save(file, "PNG")


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _publish(beside: Path, place: Path) -> Path:
    """Move a whole folder to its place by one rename; what stood there goes first."""
    if place.exists():
        old = place.parent / f"{beside.name}.old"
        os.rename(place, old)
        os.rename(beside, place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(beside, place)
    return place


def _files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.is_file())


def _header_problem(header: Any) -> str | None:
    if not isinstance(header, dict) or not isinstance(header.get("schema"), int):
        return f"{HEADER_FILE} is not a record's header; remove the folder or copy it again."
    if header["schema"] > SCHEMA:
        return f"its schema is {header['schema']}, expected at most {SCHEMA}; update palmares to read it."
    missing = [key for key in (*REQUIRED, "metrics", "files") if key not in header]
    return (
        f"{HEADER_FILE} lacks {', '.join(missing)}; remove the folder or copy it again." if missing else None
    )


def _missing_files(path: Path, header: dict[str, Any]) -> str | None:
    for name, size in header["files"].items():
        try:
            whole = os.stat(f"{path}/{name}").st_size == size
        except OSError:
            whole = False
        if not whole:
            return f"{name} is missing or cut short; the folder is not whole: remove it or copy it again."
    return None


def _read_table(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise RequestError(f"{file} cannot be read ({error}); remove the record or copy it again.") from None

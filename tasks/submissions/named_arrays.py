"""Our own submission: an ``.npz`` with the task's fields by name and, where the order is another one, their ``ids``.

A ragged field is two arrays: its rows by its name, and ``NAME_counts``, how many of them each part of each record has.

Nothing is loaded before its header has been read, and nothing is read that the header and the archive do not agree
on: no pickles, no structures, no shapes but the expected ones.
"""

import io
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from tasks.errors import RequestError, unknown_name
from tasks.prediction_fields import Rows, Shape
from tasks.ragged import Field, Ragged
from tasks.submissions.archive import open_archive
from tasks.submissions.fields import MAX_SURFACE_ROWS, MAX_VERTS, Spool, block_rows, blocks

IDS = "ids"
COUNTS = "_counts"
MAX_HEADER_BYTES = 4096
MAX_ID_CHARACTERS = 256
VERSIONS = (b"\x01\x00", b"\x02\x00", b"\x03\x00")
"""Of the ``.npy`` format; the third differs from the second in the names of structures only."""


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    nbytes: int
    """Of the header itself."""


def read_arrays(
    file: Path,
    shapes: Mapping[str, Shape],
    ids: Sequence[str],
    spool: Spool,
    required: Collection[str],
    may_be_columns: Collection[str] = (),
    ragged: Mapping[str, Rows] | None = None,
) -> dict[str, Field]:
    """The fields in the order of ``ids``, float64 or, where they are whole, int64. Raises RequestError that names the
    field or the id.

    ``shapes`` says the shape of one record of every field there may be, ``ragged`` which may have rows instead; (n, 1)
    is taken for (n,) where it may be.
    """
    ragged = ragged or {}
    counts = {name + COUNTS: (rows.parts,) for name, rows in ragged.items()}
    with open_archive(file) as archive:
        headers = {
            _field_of(file, member): _read_header(file, archive, member) for member in archive.infolist()
        }
        known = (*shapes, *ragged, *counts, IDS)
        for name in headers:
            if name not in known:
                raise _about(file, unknown_name("prediction field", name, known))
        for name in required:
            if name not in headers:
                raise RequestError(f"{file}: lacks the field '{name}': expected {', '.join(required)}.")
        for name in ragged:
            pair = (name, name + COUNTS)
            missing = [other for other in pair if other not in headers]
            if len(missing) == 1:
                raise RequestError(
                    f"{file}: lacks the field '{missing[0]}': expected both {' and '.join(pair)}."
                )
        for name, header in headers.items():
            if name in ragged:
                _check_rows(file, name, header, ragged[name])
                continue
            column = name in may_be_columns and len(header.shape) == 2
            one = (1,) if column else () if name == IDS else counts[name] if name in counts else shapes[name]
            _check_numbers(file, name, header, one, len(ids), whole=name in counts)
        order = _order(file, archive, headers[IDS], ids) if IDS in headers else np.arange(len(ids))
        return {
            name: _read_ragged(file, archive, name, headers, order, spool, ragged[name].whole)
            if name in ragged
            else _read_numbers(archive, name, header, order, spool)
            for name, header in headers.items()
            if name != IDS and name not in counts
        }


def field_names(file: Path) -> list[str]:
    """The names of the arrays that the file says it holds."""
    with open_archive(file) as archive:
        return [_field_of(file, member) for member in archive.infolist()]


def _field_of(file: Path, member: zipfile.ZipInfo) -> str:
    if not member.filename.endswith(".npy"):
        raise RequestError(
            f"{file}: holds {member.filename[:60]!r}: expected arrays (.npy) only, as np.savez writes."
        )
    return member.filename.removesuffix(".npy")


def _read_header(file: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Header:
    where = f"{file}: '{member.filename}'"
    with archive.open(member) as stream:
        start = stream.read(12)
        width = 2 if start[6:7] == b"\x01" else 4
        length = int.from_bytes(start[8 : 8 + width], "little")
        if start[:6] != b"\x93NUMPY" or start[6:8] not in VERSIONS or length > MAX_HEADER_BYTES:
            raise RequestError(f"{where} is no array: expected what np.savez writes.")
        head = io.BytesIO(start + stream.read(max(0, length + 8 + width - len(start))))
    try:
        version = npy.read_magic(head)
        read = {(1, 0): npy.read_array_header_1_0}.get(version, npy.read_array_header_2_0)
        shape, fortran_order, dtype = read(head, max_header_size=MAX_HEADER_BYTES)
    except Exception:  # the parser of headers promises nothing about what it raises
        raise RequestError(
            f"{where} has a header that cannot be read: expected what np.savez writes."
        ) from None
    if dtype.hasobject or dtype.names or dtype.subdtype or dtype.kind not in "fiuUS":
        raise RequestError(f"{where} holds {str(dtype)[:60]}: expected numbers (float64 or float32).")
    promised = dtype.itemsize * _product(shape)
    if min(shape, default=0) < 0 or promised + head.tell() != member.file_size:
        raise RequestError(
            f"{where} promises {promised} bytes of shape {_short(shape)} and holds {member.file_size - head.tell()}."
        )
    return _Header(shape, bool(fortran_order), dtype, head.tell())


def _product(shape: Sequence[int]) -> int:
    product = 1
    for n in shape:
        product *= n
    return product


def _check_numbers(
    file: Path, name: str, header: _Header, shape: Shape, count: int, whole: bool = False
) -> None:
    expected = (count, *shape)
    fits = len(expected) == len(header.shape) and all(
        0 < n <= MAX_VERTS if e is None else n == e for e, n in zip(expected, header.shape, strict=True)
    )
    if not fits:
        wanted = str(expected).replace("None", "V")
        raise RequestError(f"{file}: field '{name}' has shape {_short(header.shape)}: expected {wanted}.")
    if name != IDS:
        _check_type(file, name, header.dtype, whole)
        return
    kind, size = header.dtype.kind, header.dtype.itemsize
    if kind not in "US" or size > 4 * MAX_ID_CHARACTERS:
        raise RequestError(
            f"{file}: 'ids' holds {header.dtype}: expected strings, such as those of the dataset."
        )


def _check_rows(file: Path, name: str, header: _Header, rows: Rows) -> None:
    if header.shape[1:] != (rows.width,):
        raise RequestError(
            f"{file}: field '{name}' has shape {_short(header.shape)}: expected (N, {rows.width}), all records below "
            "each other."
        )
    _check_type(file, name, header.dtype, rows.whole)


def _check_type(file: Path, name: str, dtype: np.dtype, whole: bool) -> None:
    expected = "int64 or int32" if whole else "float64 or float32"
    if dtype.kind not in ("iu" if whole else "fiu") or dtype.itemsize > 8:
        raise RequestError(f"{file}: field '{name}' holds {dtype}: expected {expected}.")


def _order(file: Path, archive: zipfile.ZipFile, header: _Header, ids: Sequence[str]) -> np.ndarray:
    """(n,) int64: the position among ``ids`` of each row of the file."""
    rows: list[str] = []
    for block in _stream(archive, IDS, header):
        if header.dtype.kind == "U" and (_code_points(block, header.dtype) > sys.maxunicode).any():
            raise RequestError(f"{file}: 'ids' holds bytes that are no text: write it again.")
        texts = block.tolist()
        rows += [
            text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text for text in texts
        ]
    return match_ids(file, rows, ids)


def _code_points(texts: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(texts.tobytes(), np.dtype(np.uint32).newbyteorder(dtype.byteorder))


def match_ids(file: Path, found: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """(n,) int64: the position among ``ids`` of each one found. Raises RequestError unless each is there once."""
    position = {name: row for row, name in enumerate(ids)}
    first: dict[str, int] = {}
    for row, name in enumerate(found):
        if name in first:
            raise RequestError(
                f"{file}: id {name[:60]!r} is there twice, in records {first[name]} and {row}."
            )
        if name not in position:
            expected = f"'{ids[0]}' to '{ids[-1]}'" if ids else "none"
            raise RequestError(f"{file}: record {row} has the unknown id {name[:60]!r}: expected {expected}.")
        first[name] = row
    missing = [name for name in ids if name not in first]
    if missing:
        raise RequestError(
            f"{file}: lacks {len(missing)} of {len(ids)} records, the first is '{missing[0]}'."
        )
    return np.array([position[name] for name in found], np.int64)


def _read_numbers(
    archive: zipfile.ZipFile, name: str, header: _Header, order: np.ndarray, spool: Spool
) -> np.ndarray:
    values = spool.array(name, header.shape)
    for start, block in _rows(archive, name, header, spool):
        values[order[start : start + len(block)]] = block
    return values


def _read_ragged(
    file: Path,
    archive: zipfile.ZipFile,
    name: str,
    headers: Mapping[str, _Header],
    order: np.ndarray,
    spool: Spool,
    whole: bool,
) -> Ragged:
    """Rows of many records, each put where its record belongs."""
    header, of_counts = headers[name], headers[name + COUNTS]
    counts = np.zeros(of_counts.shape, np.int64)
    for start, block in _rows(archive, name + COUNTS, of_counts, spool):
        counts[start : start + len(block)] = block
    _check_counts(file, name, counts, header.shape[0])
    placed = np.empty_like(counts)
    placed[order] = counts
    per_record = counts.sum(axis=1)
    ends, first = np.cumsum(per_record), (np.cumsum(placed.sum(axis=1)) - placed.sum(axis=1))[order]
    shift = first - (ends - per_record)
    values = spool.array(name, header.shape, np.int64 if whole else np.float64)
    for start, block in _rows(archive, name, header, spool):
        rows = np.arange(start, start + len(block))
        values[rows + shift[np.searchsorted(ends, rows, side="right")]] = block
    return Ragged(values, placed)


def _check_counts(file: Path, name: str, counts: np.ndarray, there: int) -> None:
    beyond = (counts < 0) | (counts > MAX_SURFACE_ROWS)
    if beyond.any():
        record = int(np.argmax(beyond.any(axis=1)))
        raise RequestError(
            f"{file}: record {record} of '{name}{COUNTS}' is {counts[record].tolist()}: expected 0 to "
            f"{MAX_SURFACE_ROWS:,} rows."
        )
    if counts.sum() != there:
        raise RequestError(
            f"{file}: '{name}' has {there} rows and its counts add up to {counts.sum()}: write both again."
        )


def _rows(
    archive: zipfile.ZipFile, name: str, header: _Header, spool: Spool
) -> Iterator[tuple[int, np.ndarray]]:
    """The array's records in blocks, each with the number of its first, whatever its order in memory.

    Where the first index runs fastest it is put on disk as it is and copied from there.
    """
    if not header.fortran_order or len(header.shape) < 2:
        start = 0
        for block in _stream(archive, name, header):
            yield start, block
            start += len(block)
        return
    flat = spool.array(f"{name}.columns", (_product(header.shape),), _spooled(header.dtype))
    start = 0
    for block in _stream(archive, name, _Header((len(flat),), False, header.dtype, header.nbytes)):
        flat[start : start + len(block)] = block
        start += len(block)
    yield from blocks(flat.reshape(header.shape, order="F"))
    spool.drop(f"{name}.columns")


def _spooled(dtype: np.dtype) -> type[np.float64 | np.int64]:
    return np.int64 if dtype.kind in "iu" else np.float64


def _stream(archive: zipfile.ZipFile, name: str, header: _Header) -> Iterator[np.ndarray]:
    """The array's records in blocks, to the last byte, so that the archive's checksum is tested."""
    shape, size = header.shape[1:], header.dtype.itemsize
    record_bytes = size * _product(shape)
    with archive.open(f"{name}.npy") as stream:
        stream.read(header.nbytes)
        left = header.shape[0]
        while left and record_bytes:
            rows = min(left, block_rows(shape, size))
            content = _exactly(stream, rows * record_bytes)
            yield np.frombuffer(content, header.dtype).reshape(rows, *shape)
            left -= rows
        stream.read(1)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise EOFError("an array ends early")
    return content


def write_arrays(file: Path, fields: Mapping[str, np.ndarray], ids: Sequence[str]) -> None:
    """The fields and ``ids`` as np.savez writes them, a block at a time, with nothing of the day in the bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, values in {IDS: np.array(ids, np.str_), **fields}.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                header = {"descr": values.dtype.str, "fortran_order": False, "shape": values.shape}
                npy.write_array_header_1_0(stream, header)
                for _, block in blocks(values):
                    stream.write(np.ascontiguousarray(block).tobytes())


def _short(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _about(file: Path, error: RequestError) -> RequestError:
    return RequestError(f"{file}: {error}")

"""FreiHAND's and HO-3D's submission: the JSON list ``[joints, vertices]``, one record per frame, read as a stream.

A record is framed in the bytes, refused unless it is made of the characters of numbers and lists, decoded by itself,
and put on disk; so neither the file nor its lists ever stand in memory, and nothing in it can make them.
Sources: lmb-freiburg/freihand pred.py, eval.py; shreyashampali/ho3d pred.py, eval.py.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from pydantic_core import from_json, to_json

from tasks.errors import RequestError
from tasks.hands.skeleton import Order, reorder
from tasks.layouts.records import BadRecordError, record_array
from tasks.prediction_fields import N_VERTS, Shape
from tasks.submissions.fields import MAX_VERTS, Spool, blocks

CHUNK_BYTES = 2**20
MAX_SPACE_BYTES = 2**16
"""Between two tokens that stand outside records."""
BYTES_PER_NUMBER = 96
"""The most that a number takes, with what an indented file puts around it."""
PARTS = {"joints_cam_m": "joints", "verts_cam_m": "vertices"}
OPENGL = np.array([1.0, -1.0, -1.0])

_SPACE = b" \t\r\n"
_NUMERIC = b"0123456789+-.eE[]," + _SPACE
_NO_SPACE = re.compile(rb"[^ \t\r\n]")
_RECORD_END = re.compile(rb"\][ \t\r\n]*\]")
_STRANGE = re.compile(rb"[^0-9+\-.eE\[\], \t\r\n][^\[\],\s]{0,19}")


@dataclass(frozen=True)
class PointFrame:
    """The joint order and the axes of a layout's JSON."""

    order: Order
    axes: np.ndarray = field(default_factory=lambda: np.ones(3))

    def to_house(self, name: str, points: np.ndarray) -> np.ndarray:
        """(..., P, 3) in the file -> in order B and the OpenCV frame."""
        return self._reordered(name, points, self.order, "B") * self.axes

    def from_house(self, name: str, points: np.ndarray) -> np.ndarray:
        """The inverse of ``to_house``."""
        return self._reordered(name, points, "B", self.order) * self.axes

    @staticmethod
    def _reordered(name: str, points: np.ndarray, source: Order, target: Order) -> np.ndarray:
        return points[..., reorder(source, target), :] if name == "joints_cam_m" else points


FREIHAND = PointFrame("B")
HO3D = PointFrame("A", OPENGL)


def read_points(
    stream: IO[bytes], file: Path, ids: Sequence[str], frame: PointFrame, spool: Spool
) -> dict[str, np.ndarray]:
    """Joints and, unless their list is empty, vertices. Raises RequestError that names the record."""
    reader = _Reader(stream, file)
    reader.expect(b"[", "the list [joints, vertices]")
    fields = {"joints_cam_m": _read_part(reader, "joints_cam_m", (21, 3), ids, frame, spool)}
    reader.expect(b",", "the list of vertices after the joints")
    verts = _read_part(reader, "verts_cam_m", (None, 3), ids, frame, spool)
    reader.expect(b"]", "the end of the list [joints, vertices]")
    reader.expect(b"", "the end of the file")
    return fields | ({"verts_cam_m": verts} if len(verts) or not len(ids) else {})


def _read_part(
    reader: "_Reader", name: str, shape: Shape, ids: Sequence[str], frame: PointFrame, spool: Spool
) -> np.ndarray:
    """All records of one of the two lists; none at all where the list of vertices is empty."""
    what = PARTS[name]
    reader.expect(b"[", f"a list of {what}")
    values: np.ndarray | None = None
    for row, record in enumerate(reader.records(what, shape, ids)):
        points = _decode(reader.file, record, shape, f"the {what} of record {row} ('{ids[row]}')")
        if values is None:
            shape = points.shape
            values = spool.array(name, (len(ids), *points.shape))
        values[row] = frame.to_house(name, points)
    return np.zeros((0, 0, 3)) if values is None else values


def _decode(file: Path, record: bytes, shape: Shape, where: str) -> np.ndarray:
    if record.translate(None, _NUMERIC):
        found = _STRANGE.search(record)
        strange = found.group().decode("ascii", "backslashreplace") if found else "?"
        raise RequestError(f"{file}: {where}: holds {strange!r}: expected finite numbers only.")
    try:
        array = np.asarray(from_json(record, allow_inf_nan=False))
        own = len(array) if array.ndim == 2 and 0 < len(array) <= MAX_VERTS else N_VERTS
        points = record_array(array, tuple(own if n is None else n for n in shape))
    except BadRecordError as error:
        raise RequestError(f"{file}: {where}: {error}.") from None
    except (ValueError, OverflowError) as error:
        reason = str(error).split(". ")[0].split(" at line")[0]
        raise RequestError(f"{file}: {where}: is no array of {_shown(shape)} numbers ({reason}).") from None
    if not np.isfinite(points).all():
        raise RequestError(f"{file}: {where}: holds a number that is too large for float64.")
    return points


def _shown(shape: Shape) -> str:
    return " x ".join("V" if n is None else str(n) for n in shape)


class _Reader:
    """Tokens and records of a byte stream; what is read and done with is let go."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        self._stream, self.file = stream, file
        self._buffer, self._at = b"", 0

    def expect(self, token: bytes, what: str) -> None:
        """Step over this token; an empty one is the end of the file."""
        found = self._peek()
        if found != token:
            shown = repr(found.decode("ascii", "backslashreplace")) if found else "the end of the file"
            raise RequestError(f"{self.file}: {what} was expected where {shown} stands.")
        self._at += len(token)

    def records(self, what: str, shape: Shape, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of each record up to the end of the list; as many as there are ids, or none of the vertices."""
        limit = BYTES_PER_NUMBER * 3 * (shape[0] or MAX_VERTS) + 1024
        count = 0
        if self._peek() != b"]":
            while True:
                where = f"record {count} of the {what}"
                if count == len(ids):
                    raise RequestError(
                        f"{self.file}: holds more than the {len(ids)} records of {what} expected."
                    )
                if self._peek() != b"[":
                    self.expect(b"[", f"{where} ('{ids[count]}')")
                yield self._record(limit, f"{where} ('{ids[count]}')")
                count += 1
                if self._peek() == b"]":
                    break
                self.expect(b",", f"a comma or the end of the list after {where}")
        self._at += 1
        if count < len(ids) and (count or shape[0]):
            raise RequestError(
                f"{self.file}: holds {count} records of {what}: {len(ids)} expected, "
                f"the first that is missing is '{ids[count]}'."
            )

    def _peek(self) -> bytes:
        """The next byte that is no white space; empty at the end of the file."""
        passed = 0
        while not (found := _NO_SPACE.search(self._buffer, self._at)):
            passed += len(self._buffer) - self._at
            self._at = len(self._buffer)
            if passed > MAX_SPACE_BYTES:
                raise RequestError(
                    f"{self.file}: holds {passed} bytes of white space in a row; write it again."
                )
            if not self._fill():
                return b""
        self._at = found.start()
        return found.group()

    def _record(self, limit: int, where: str) -> bytes:
        """The bytes from here to the first two closing brackets in a row."""
        while not (end := _RECORD_END.search(self._buffer, self._at)):
            if len(self._buffer) - self._at > limit:
                raise RequestError(f"{self.file}: {where}: has no end within {limit} bytes.")
            if not self._fill():
                raise RequestError(f"{self.file}: {where}: the file ends in it; copy it again.")
        record = self._buffer[self._at : end.end()]
        if len(record) > limit:
            raise RequestError(f"{self.file}: {where}: takes {len(record)} bytes: at most {limit} expected.")
        self._at = end.end()
        return record

    def _fill(self) -> bool:
        chunk = self._stream.read(CHUNK_BYTES)
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        return bool(chunk)


def write_points(stream: IO[bytes], fields: Mapping[str, np.ndarray], frame: PointFrame) -> None:
    """Both lists with every digit that float64 has, a block at a time."""
    for opening, name in ((b"[[", "joints_cam_m"), (b"],[", "verts_cam_m")):
        stream.write(opening)
        for start, block in blocks(fields[name]):
            points = frame.from_house(name, np.asarray(block, np.float64))
            stream.write((b"," if start else b"") + to_json(points.tolist())[1:-1])
    stream.write(b"]]")

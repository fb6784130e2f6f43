"""Files that are one JSON list of arrays, read record by record, so that a defect has a number."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import RequestError

_SPACE = re.compile(r"[ \t\n\r]*")


class BrokenRecordsError(ValueError):
    """A JSON file that is not a list of records, or breaks off. ``record`` is the first one that is lost."""

    def __init__(self, text: str, record: int) -> None:
        super().__init__(text)
        self.record = record


def iterate_records(path: Path) -> Iterator[Any]:
    """The items of a JSON list, decoded one by one, so that a gigabyte of vertices never stands in memory as lists.

    Raises BrokenRecordsError at the first item that cannot be decoded, and OSError where the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BrokenRecordsError("is no JSON: it holds bytes that are no text", 0) from None
    position = _after_space(text, 0)
    if text[position : position + 1] != "[":
        raise BrokenRecordsError("is no JSON list of records", 0)
    position = _after_space(text, position + 1)
    decode, count = json.JSONDecoder().raw_decode, 0
    closed = text[position : position + 1] == "]"
    while not closed:
        try:
            item, position = decode(text, position)
        except (ValueError, RecursionError):
            raise BrokenRecordsError(f"{_defect(text)} after {count} whole records", count) from None
        yield item
        count += 1
        position = _after_space(text, position)
        closed = text[position : position + 1] == "]"
        if not closed and text[position : position + 1] != ",":
            raise BrokenRecordsError(f"{_defect(text)} after {count} whole records", count)
        position = position if closed else _after_space(text, position + 1)
    if text[position + 1 :].strip():
        raise BrokenRecordsError("goes on after the end of its list", count)


def _after_space(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]  # it matches the empty string too


def _defect(text: str) -> str:
    return "is invalid JSON" if text.rstrip().endswith("]") else "is truncated JSON"


class BadRecordError(ValueError):
    """A record that is not an array of numbers of the right shape."""


def record_array(record: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A decoded record as float64. Raises BadRecordError for another shape or for anything that is no number."""
    try:
        array = np.asarray(record)
    except (ValueError, OverflowError, TypeError):
        raise BadRecordError(f"is ragged: shape {shape} expected") from None
    if array.shape != shape:
        raise BadRecordError(f"has shape {array.shape}: {shape} expected")
    if array.dtype.kind not in "iuf":
        raise BadRecordError("holds something that is no number")
    return array.astype(np.float64)


def read_records(path: Path, shape: tuple[int, ...], what: str, dtype: type = np.float64) -> np.ndarray:
    """All records of a file, (n, *shape). Raises RequestError that names the file and the record.

    ``what`` says what the file should hold, for the message where it cannot be read.
    """
    rows: list[np.ndarray] = []
    try:
        for record in iterate_records(path):
            rows.append(record_array(record, shape).astype(dtype))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); expected {what}.") from None
    except BrokenRecordsError as error:
        raise RequestError(f"{path}: {error}; copy the file again.") from None
    except BadRecordError as error:
        raise RequestError(
            f"{path}[{len(rows)}]: {error}; 'palmares data check' lists every problem."
        ) from None
    return np.stack(rows) if rows else np.zeros((0, *shape), dtype)

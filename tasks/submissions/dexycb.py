"""DexYCB's submission: a text file with one line per frame, the image's id and 63 millimetres, with commas.

Source: NVlabs/dex-ycb-toolkit dex_ycb_toolkit/hpe_eval.py, which asks for every image with a hand.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from tasks.errors import RequestError
from tasks.submissions.fields import ScoredSet, Spool, blocks, sample_rows
from tasks.submissions.named_arrays import match_ids

MM_PER_M = 1000.0
ELEMENTS = 64
MAX_LINE_BYTES = 64 * ELEMENTS
MAX_ID_DIGITS = 12
DECIMALS = 6
"""Of the millimetres that are written."""
_NUMERIC = b"0123456789+-.eE, \t\r\n"


def image_ids(dataset: ScoredSet) -> list[str]:
    """What the official toolkit calls each image: its position in the split, images without a hand counted."""
    return [str(number) for number in np.asarray(dataset.samples.image_ids)[sample_rows(dataset)].tolist()]


def read_text(file: Path, ids: Sequence[str], spool: Spool) -> dict[str, np.ndarray]:
    """Joints of the images with these ids, in their order. Raises RequestError that names line or image."""
    limit = (len(ids) + 1) * MAX_LINE_BYTES
    if file.stat().st_size > limit:
        raise RequestError(
            f"{file}: holds {file.stat().st_size} bytes: at most {limit} expected of these frames."
        )
    joints_m = spool.array("joints_cam_m", (len(ids), 21, 3))
    found: list[str] = []
    with file.open("rb") as stream:
        for line, (number, values) in enumerate(_records(file, stream), start=1):
            if line > len(ids):
                raise RequestError(f"{file}: holds more than the {len(ids)} lines expected.")
            found.append(number)
            joints_m[line - 1] = values.reshape(21, 3)
    order = match_ids(file, found, ids)
    if (order != np.arange(len(order))).any():
        joints_m[order] = np.array(joints_m)
    for _, block in blocks(joints_m):
        block /= MM_PER_M
    return {"joints_cam_m": joints_m}


def _records(file: Path, stream: IO[bytes]) -> Iterator[tuple[str, np.ndarray]]:
    """Number and 63 finite values of each line."""
    count = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        count += 1
        where = f"{file}: line {count}"
        if len(line) > MAX_LINE_BYTES:
            raise RequestError(
                f"{where}: is longer than {MAX_LINE_BYTES} bytes: {ELEMENTS} numbers expected."
            )
        if not line.strip() and not stream.read(MAX_LINE_BYTES).strip():
            return
        elements = line.split(b",")
        if len(elements) != ELEMENTS:
            raise RequestError(
                f"{where}: has {len(elements)} elements between commas: the image's id and 63 numbers expected."
            )
        number = elements[0].strip()
        if not number.isdigit() or len(number) > MAX_ID_DIGITS:
            shown = number[:20].decode("ascii", "backslashreplace")
            raise RequestError(f"{where}: begins with {shown!r}: the id of an image expected.")
        yield str(int(number)), _values(f"{where} (image {int(number)})", line, elements[1:])


def _values(where: str, line: bytes, elements: list[bytes]) -> np.ndarray:
    try:
        values = np.array([float(element) for element in elements])
    except ValueError:
        values = np.array([np.nan])
    if line.translate(None, _NUMERIC) or not np.isfinite(values).all():
        raise RequestError(f"{where}: holds something that is no finite number: 63 millimetres expected.")
    return values


def write_text(stream: IO[bytes], joints_m: np.ndarray, ids: Sequence[str]) -> None:
    """One line per frame, joints in the original camera."""
    for start, block in blocks(joints_m):
        lines = (np.asarray(block, np.float64) * MM_PER_M).reshape(len(block), -1).tolist()
        for number, values in zip(ids[start:], lines, strict=False):
            text = ",".join(f"{value:.{DECIMALS}f}" for value in values)
            stream.write(f"{number},{text}\n".encode("ascii"))

"""Zip files from strangers, opened without trust: few flat members, plain compression, no more bytes than asked for."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tasks.errors import RequestError

MAX_MEMBERS = 16
MAX_DIRECTORY_BYTES = 2**16
"""Of the table of contents: checked before it is read, since a hostile one holds millions of entries."""
_END, _END64 = b"PK\x05\x06", b"PK\x06\x07"
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, struct.error)
"""What ``zipfile`` raises for damaged content."""


def is_zip(file: Path) -> bool:
    """Whether the file begins as zip archives do."""
    with file.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", _END)


@contextmanager
def open_archive(file: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, once its table of contents is known to be small and every member to be a plain flat file.

    Raises RequestError for anything else, and for damage found while members are read.
    """
    _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                _check_member(file, member)
            names = archive.namelist()
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise RequestError(f"{file}: holds {twice[0]!r} twice; zip it again.")
            yield archive
    except _BROKEN as error:
        raise RequestError(f"{file}: is a damaged archive ({_one_line(error)}); write it again.") from None


@contextmanager
def open_only_member(file: Path) -> Iterator[IO[bytes]]:
    """The archive's only member, which has to be a ``.json`` file."""
    with open_archive(file) as archive:
        names = archive.namelist()
        if len(names) != 1 or not names[0].lower().endswith(".json"):
            raise RequestError(
                f"{file}: holds {_listed(names)}: expected one JSON file and nothing else, zipped flat."
            )
        with archive.open(names[0]) as stream:
            yield stream


def _check_directory(file: Path) -> None:
    """Find the table of contents from the end of the file, as ``zipfile`` does, and refuse a large one."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 2**16 - 22 - 76))
        tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise RequestError(f"{file}: is no zip archive, or a truncated one; copy it again.")
    count, length = struct.unpack_from("<HI", tail, at + 10)
    if at >= 76 and tail[at - 20 : at - 16] == _END64:
        count, length = struct.unpack_from("<QQ", tail, at - 76 + 32)
    if count > MAX_MEMBERS or length > MAX_DIRECTORY_BYTES:
        raise RequestError(f"{file}: holds {count} members: expected at most {MAX_MEMBERS}, zipped flat.")


def _check_member(file: Path, member: zipfile.ZipInfo) -> None:
    name, mode = member.filename, member.external_attr >> 16
    reason = ""
    if "/" in name or "\\" in name or name in ("", ".", "..") or member.is_dir():
        reason = "lies in a folder: expected a flat archive"
    elif member.flag_bits & 1:
        reason = "is encrypted: expected it in the clear"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        reason = "is a link or a device: expected a plain file"
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        reason = "is compressed in an unusual way: expected deflate"
    if reason:
        raise RequestError(f"{file}: its member {_short(name)} {reason}; zip it again.")


def _listed(names: list[str]) -> str:
    return ", ".join(_short(name) for name in names[:3]) + (", ..." if len(names) > 3 else "") or "nothing"


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:57]}...")


def _one_line(error: BaseException) -> str:
    return _short(" ".join(str(error).split()) or type(error).__name__)

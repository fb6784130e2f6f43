"""A set that is being made: it appears whole or not at all, and what is finished survives whatever ends the process.

A hidden folder beside the set's place bears the request's name, so that nothing of another request is ever in it:

* ``set`` holds the files of finished parts and becomes the set in the end, by renaming;
* ``parts`` holds a note for each finished part, written whole: its result, and a checksum of each of its files;
* ``doing`` holds what is being written;
* ``lock`` is held by the process that makes the set, and by nobody once that is dead.
"""

import fcntl
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.errors import RequestError

KEPT = "What is finished is kept: the same command goes on from there."


class Unfinished:
    """The hidden folder of a set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "set"
        """What becomes the set. Beside the files of parts, whatever is written last goes here."""
        self._parts, self._doing = folder / "parts", folder / "doing"

    def begin(self) -> None:
        """Make the folders, and forget what was being written."""
        shutil.rmtree(self._doing, ignore_errors=True)
        for folder in (self.root, self._parts, self._doing):
            folder.mkdir(exist_ok=True)

    @property
    def is_begun(self) -> bool:
        """Whether a part is finished."""
        return self._parts.is_dir() and any(self._parts.glob("*.json"))

    def finish(self, key: str, make: Callable[[Any], Any], part: Any) -> None:
        """Make a part: ``make`` writes below the ``root`` of the part that it is given, and returns JSON."""
        stage, note = self._doing / key, self._parts / f"{key}.json"
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir()
        result, files = make(replace(part, root=stage)), {}
        for path in sorted(stage.rglob("*")):
            name = str(path.relative_to(stage))
            if path.is_dir():
                (self.root / name).mkdir(parents=True, exist_ok=True)
            else:
                files[name] = _checksum(path)
                path.replace(self.root / name)
        shutil.rmtree(stage)
        draft = self._doing / f"{key}.json"
        draft.write_text(json.dumps({"result": result, "files": files}), encoding="ascii")
        draft.replace(note)

    def is_finished(self, key: str) -> bool:
        """Whether a part is there whole: its note can be read, and its files are what the note says."""
        try:
            files = self._note(key)["files"]
            return all(_checksum(self.root / name) == checksum for name, checksum in files.items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def result(self, key: str) -> Any:
        """What the making of a finished part returned."""
        return self._note(key)["result"]

    def _note(self, key: str) -> dict[str, Any]:
        return json.loads((self._parts / f"{key}.json").read_text(encoding="ascii"))


def _checksum(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


@contextmanager
def unfinished(out: Path, request: Mapping[str, Any]) -> Iterator[Unfinished]:
    """Where the set that a ``signature`` describes is made; it is renamed to ``out`` at the end.

    A call that ends otherwise keeps what is finished for the next one with the same place and request. Raises
    RequestError when ``out`` holds anything, before and after, where nothing can be written, and while another process
    makes the same set.
    """
    out = Path(out).absolute()
    require_empty(out)
    work = Unfinished(out.with_name(f".{out.name}.{_name(request)}.unfinished"))
    try:
        with _locked(work.folder, out):
            yield from _made(work, out)
    except OSError as error:
        raise _cannot_write(error, out) from error


def _made(work: Unfinished, out: Path) -> Iterator[Unfinished]:
    try:
        work.begin()
        yield work
        require_empty(out)
        work.root.rename(out)
        shutil.rmtree(work.folder)
    except BaseException as error:
        if not work.is_begun:
            shutil.rmtree(work.folder, ignore_errors=True)
            raise
        if isinstance(error, RequestError | OSError):
            said = _cannot_write(error, out) if isinstance(error, OSError) else error
            raise RequestError(f"{said} {KEPT}") from error
        raise
    _clear(out)


def _cannot_write(error: OSError, out: Path) -> RequestError:
    return RequestError(f"cannot write {error.filename or out}: {error.strerror or error}.")


def _name(request: Mapping[str, Any]) -> str:
    """The request in a file name."""
    generator = str(request["generator"]).split()[-1]
    return (
        f"{generator}-v{request['generator_version']}-{request['hand_fingerprint'][:8]}"
        f"-s{request['seed']}-n{request['size']}"
    )


@contextmanager
def _locked(folder: Path, out: Path) -> Iterator[None]:
    """Hold the folder's lock; the folder is made where it is missing."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RequestError(
                    f"{out} is being made by another process: wait for it, or name another folder."
                ) from None
            if _is_at(file.fileno(), folder / "lock"):
                yield
                return


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still what the path names: its folder may have been finished and removed meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _clear(out: Path) -> None:
    """Remove what other requests left unfinished for the place that is taken."""
    left = re.compile(rf"\.{re.escape(out.name)}\.[\w-]+\.unfinished")
    for folder in out.parent.iterdir():
        if left.fullmatch(folder.name):
            with suppress(RequestError, OSError), _locked(folder, out):  # unless somebody works there
                shutil.rmtree(folder)


def require_empty(out: Path) -> None:
    """Raise RequestError unless the folder is absent or empty."""
    if out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file: expected a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()):
        raise RequestError(f"{out} is not empty: name another folder, or remove it.")

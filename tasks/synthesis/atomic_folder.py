"""A folder that appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import RequestError


@contextmanager
def atomic_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out``, renamed to it at the end, and removed when anything goes wrong.

    Raises RequestError when ``out`` holds anything, before and after, and where nothing can be written.
    """
    out = Path(out).absolute()
    require_empty(out)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        require_empty(out)
        partial.rename(out)
    except OSError as error:
        raise RequestError(f"cannot write {error.filename or out}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_empty(out: Path) -> None:
    """Raise RequestError unless the folder is absent or empty."""
    if out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file: expected a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()):
        raise RequestError(f"{out} is not empty: name another folder, or remove it.")

"""What processes left that were killed: leases, and work under way of what is whole by now."""

import shutil
from pathlib import Path

from suite.home import Home
from suite.lease import unheld
from suite.shards import SampleStore
from suite.stages import StageCache


def tidy(home: Home) -> None:
    """Remove what nobody works on and nobody will go on with. What is under way, or cut off, stays for who goes on."""
    cache = StageCache(home)
    for folder in _folders(home.cells):
        _clear(folder, folder, is_whole=(home.records / folder.name / "record.json").exists())
    for folder in _folders(home.train):
        _clear(folder, folder, is_whole=cache.note(folder.name) is not None)
    for room in (home.derived, home.keypoints):
        for folder in _folders(room):
            _clear(folder, folder / "shards", is_whole=SampleStore(folder).note() is not None)


def _folders(room: Path) -> list[Path]:
    return [folder for folder in room.glob("[0-9a-f]*") if folder.is_dir()]


def _clear(held: Path, left: Path, is_whole: bool) -> None:
    """Unless somebody holds the folder."""
    with unheld(held) as free:
        if free and is_whole:
            shutil.rmtree(left, ignore_errors=True)

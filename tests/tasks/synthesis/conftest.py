import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.hands.hand import load_hand
from tasks.hands.model_file import write_pickle
from tasks.synthesis.freihand import make_freihand

SIZE, SEED = 18, 3


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic set, made in this process; never write into it."""
    root = tmp_path_factory.mktemp("synthesis") / "freihand"
    make_freihand(root, size=SIZE, seed=SEED, workers=1)
    return root


def stops_after(count: int, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``make``, and Ctrl-C when it is called once too often."""
    calls = itertools.count()

    def make_or_stop(part: Any) -> Any:
        if next(calls) == count:
            raise KeyboardInterrupt
        return make(part)

    return make_or_stop


@pytest.fixture
def licensed_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hands from files under MANO's names are in use: the open ones, written as the licensed ones are."""
    folder = tmp_path / "mano"
    folder.mkdir()
    write_pickle(load_hand("right").data, folder / "MANO_RIGHT.pkl")
    write_pickle(load_hand("left").data, folder / "MANO_LEFT.pkl")
    monkeypatch.setenv("PALMARES_MANO", str(folder))

from pathlib import Path

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


@pytest.fixture
def licensed_hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hands from files under MANO's names are in use: the open ones, written as the licensed ones are."""
    folder = tmp_path / "mano"
    folder.mkdir()
    write_pickle(load_hand("right").data, folder / "MANO_RIGHT.pkl")
    write_pickle(load_hand("left").data, folder / "MANO_LEFT.pkl")
    monkeypatch.setenv("PALMARES_MANO", str(folder))

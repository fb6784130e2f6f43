from pathlib import Path

import pytest

from tasks.synthesis.freihand import make_freihand

SIZE, SEED = 18, 3


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic set, made in this process; never write into it."""
    root = tmp_path_factory.mktemp("synthesis") / "freihand"
    make_freihand(root, size=SIZE, seed=SEED, workers=1)
    return root

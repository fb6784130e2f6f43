"""A few synthetic hands on disk, and a stand-in for MLflow, which has its own tests."""

import pytest

from suite.home import Home
from suite.run import run_cells
from suite.train import Resources
from tasks.layouts.registry import load_synthesiser
from tests.suite import standins
from tests.suite.pairs import pair_cells


class SilentMirror:
    """Takes every call and does nothing."""

    def __init__(self, home):
        pass

    def __getattr__(self, name):
        return lambda *arguments: None


@pytest.fixture(scope="session")
def make_data():
    """Write the smallest synthetic FreiHAND."""

    def make(root, seed=0):
        load_synthesiser("freihand")(root, size=16, seed=seed, workers=1, progress=None)
        return root

    return make


@pytest.fixture(scope="session")
def data(tmp_path_factory, make_data):
    return make_data(tmp_path_factory.mktemp("data") / "freihand")


@pytest.fixture(scope="session")
def pairs_data(tmp_path_factory):
    """The smallest synthetic InterHand2.6M: 16 training frames, half of them of two hands."""
    root = tmp_path_factory.mktemp("data") / "interhand26m"
    load_synthesiser("interhand26m")(root, size=16, seed=0, workers=1, progress=None)
    return root


@pytest.fixture(scope="module")
def standins_registered():
    """The stand-in methods are among the registered ones, and no time goes into pictures and meshes."""
    with pytest.MonkeyPatch.context() as patch:
        standins.install(patch)
        for made in ("sample_renders", "sample_meshes"):
            patch.setattr(f"suite.evaluate.{made}", lambda *arguments: {})
        yield


@pytest.fixture(scope="module")
def run_pairs(standins_registered, pairs_data):
    """Run cells on two hands in this process: ``run_pairs(home, "nudge+relay", key=value, ...)`` -> header."""

    def run(home, method, seeds=(0,), **overrides):
        cells = pair_cells(home, pairs_data, method, seeds, **overrides)
        headers = run_cells(home, cells, Resources(workers=0))
        return headers[0] if len(headers) == 1 else headers

    return run


@pytest.fixture(scope="module", autouse=True)
def silent_mirror():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reports.tracking.live.LiveMirror", SilentMirror)
        yield


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")

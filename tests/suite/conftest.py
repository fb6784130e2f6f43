"""A few synthetic hands on disk, and a stand-in for MLflow, which has its own tests."""

import pytest

from suite.home import Home
from tasks.layouts.registry import load_synthesiser


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


@pytest.fixture(scope="module", autouse=True)
def silent_mirror():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reports.tracking.LiveMirror", SilentMirror)
        yield


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")

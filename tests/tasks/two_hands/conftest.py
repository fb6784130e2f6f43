"""A small two-hand dataset in memory."""

from functools import partial

import numpy as np
import pytest

from tasks.registry import PROTOCOLS
from tasks.two_hands import TwoHandDataset, TwoHands, scoring, surfaces
from tests.two_hand_pairs import SIDES, MemoryPairs


@pytest.fixture(scope="session")
def make_pairs():
    return MemoryPairs


@pytest.fixture(scope="session")
def task():
    return TwoHands()


@pytest.fixture(scope="session")
def pairs():
    return MemoryPairs()


@pytest.fixture(scope="session")
def dataset(pairs):
    return TwoHandDataset(pairs, np.arange(len(pairs)), 64)


@pytest.fixture
def perfect(pairs):
    """The truth as a prediction: annotated joints, fitted vertices."""
    kinds = pairs.hand_type
    sure = np.stack([np.isin(kinds, (side, "interacting")) for side in SIDES], axis=1).astype(float)
    return {
        "joints_cam_m": pairs.joints_m.copy(),
        "verts_cam_m": pairs.verts_m.copy(),
        "handedness": 0.1 + 0.8 * sure,
    }


@pytest.fixture
def noisy(perfect):
    """A prediction that is a centimetre off everywhere."""
    rng = np.random.default_rng(1)
    fields = {name: values + rng.normal(0, 0.006, values.shape) for name, values in perfect.items()}
    return fields | {"handedness": perfect["handedness"]}


@pytest.fixture(scope="session")
def scored(task, dataset):
    """Columns by a protocol: of the whole small dataset, or of these positions of another one."""

    def columns(protocol, fields, of=None, positions=None):
        of = dataset if of is None else of
        named = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
        return task.score(named, fields, of, np.arange(len(of)) if positions is None else positions).columns

    return columns


@pytest.fixture
def few_points(monkeypatch):
    """Im2Hands' protocol on 2,000 points in the place of 100,000."""
    monkeypatch.setattr(scoring, "surface_columns", partial(surfaces.surface_columns, count=2000))

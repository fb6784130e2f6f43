"""Sweeps over the stand-in ``relay``, whose stages train in a moment."""

from dataclasses import replace

import pytest

from suite.data import open_source
from suite.plan import Request
from suite.sweeps.sweep import make_sweep


@pytest.fixture
def relay(home, standins_registered, pairs_data):
    """``relay("weight", "scale", seeds=(0, 1), as_grid=True)`` -> the sweep."""
    source = open_source(home, "interhand26m", pairs_data)

    def make(*axes, as_grid=False, **asked):
        request = replace(Request("relay", "two_hands", data=pairs_data), **asked)
        return make_sweep(request, axes, source, as_grid)

    return make

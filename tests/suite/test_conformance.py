"""The conformance suite over every registered method, and over one that breaks the contract."""

import pytest

from methods.registry import METHODS
from suite import conformance


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_keeps_the_contract(method):
    results = list(conformance.examine(method))
    assert [f"{r['name']}: {r['why']}" for r in results if not r["ok"]] == []
    assert len(results) == 1 + len(conformance.REQUIREMENTS) * len(METHODS[method].tasks)


def test_a_requirement_that_raises_is_a_cross_with_the_error():
    def explodes(subject):
        """It holds."""
        raise ValueError("boom")

    result = conformance._tried("single_hand: ", explodes, None)
    assert result == {"name": "single_hand: It holds", "ok": False, "why": "ValueError: boom"}

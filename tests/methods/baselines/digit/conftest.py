import pytest

from methods.baselines.digit.parts import PartPainter
from tasks.hands.hand import HandModel
from tasks.two_hands.batch import TwoHandBatch
from tests.methods.baselines.digit.pairs import rendered_pairs


@pytest.fixture(scope="session")
def batch() -> TwoHandBatch:
    """A pair, a right hand, a left hand, and again, in crops of 64 px."""
    return rendered_pairs(6, 64)


@pytest.fixture(scope="session")
def paint(hand: HandModel) -> PartPainter:
    return PartPainter(hand)

"""A hand and a rendered batch that any method can be tried on."""

import pytest
import torch

from tasks.hands.hand import HandModel, load_hand
from tasks.single_hand.batch import HandBatch
from tasks.two_hands.batch import TwoHandBatch
from tests.methods.synthetic import rendered_batch, two_hand_batch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def hand() -> HandModel:
    return load_hand()


@pytest.fixture(scope="session")
def batch(hand: HandModel) -> HandBatch:
    return rendered_batch(hand, 6, 64)


@pytest.fixture(scope="session")
def pair_batch() -> TwoHandBatch:
    return two_hand_batch(5, 64)

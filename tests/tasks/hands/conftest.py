import pytest

from tasks.hands.hand import HandModel
from tasks.hands.model_file import HandModelData, read_model
from tasks.hands.open_hand import OPEN_HAND_FILE


@pytest.fixture(scope="session")
def right() -> HandModelData:
    return read_model(OPEN_HAND_FILE)


@pytest.fixture(scope="session")
def hand(right) -> HandModel:
    return HandModel.from_data(right)

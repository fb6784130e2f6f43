import operator
import os

import pytest

from tasks.errors import RequestError
from tasks.synthesis.processes import process_map


def test_one_worker_is_this_process() -> None:
    with process_map(1) as each:
        assert each is map


def test_results_come_in_order_and_errors_come_through() -> None:
    with process_map(2) as each:
        assert list(each(operator.neg, range(20))) == [-i for i in range(20)]
    with pytest.raises(ZeroDivisionError), process_map(2) as each:
        list(each(operator.truediv, [1], [0]))


def test_a_killed_process_is_a_sentence() -> None:
    with (
        pytest.raises(RequestError, match=r"was killed \(out of memory\?\): try fewer workers"),
        process_map(2) as each,
    ):
        list(each(os._exit, [1]))

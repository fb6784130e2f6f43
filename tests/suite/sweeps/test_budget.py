"""A budget stops cells from being begun, not from being ended."""

import pytest

from suite.sweeps.budget import Budget, hours, parse_budget
from suite.sweeps.forecast import Costs
from suite.train import Resources
from tasks.errors import RequestError
from tests.suite.sweeps.recording import finished


def test_hours_of_cpus_or_gpus_are_read():
    assert parse_budget("8gpuh") == (8.0, "gpuh")
    assert parse_budget(" 2.5 CPUh ") == (2.5, "cpuh")
    assert parse_budget(".5cpuh") == (0.5, "cpuh")


@pytest.mark.parametrize("text", ["8", "8h", "0gpuh", "-1cpuh", "many"])
def test_anything_else_is_refused(text):
    with pytest.raises(RequestError, match="expected hours of CPUs or GPUs"):
        parse_budget(text)


def test_what_a_cell_held_for_as_long_as_it_ran_is_what_it_cost(relay):
    (cell,) = relay("weight").default.cells
    header = finished(cell, stage_s=1750.0, evaluate_s=100.0, workers=2, cpus=4, gpus=0.5)
    assert hours(header, "cpuh") == pytest.approx(8.0)
    assert hours(header, "gpuh") == pytest.approx(1.0)


def test_no_cell_is_begun_that_may_not_fit_beside_those_under_way(relay):
    one, two, three, *_ = relay("weight").cells
    costs = Costs()
    costs.learn(finished(one, stage_s=700.0, evaluate_s=200.0))
    budget = Budget(1.0, "cpuh", Resources(0, cpus_per_worker=1), costs)
    assert budget.allows(two, [one]), "1600 s each, of 3600"
    assert not budget.allows(three, [one, two])


def test_what_finished_cells_did_cost_is_taken_off(relay):
    one, two, *_ = relay("weight").cells
    budget = Budget(1.0, "cpuh", Resources(0, cpus_per_worker=1), Costs())
    assert budget.allows(one, []), "nothing is known of what it costs"
    budget.spent(finished(one, stage_s=1000.0, evaluate_s=10.0))
    assert budget.used_h == pytest.approx(2010 / 3600)
    assert not budget.allows(two, []), "it would take as long again"


def test_without_a_limit_everything_is_allowed(relay):
    one, two, *_ = relay("weight").cells
    assert Budget(None, "cpuh", Resources(0), Costs()).allows(two, [one])

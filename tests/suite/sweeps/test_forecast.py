"""What cells will cost, by what finished ones did."""

import pytest

from suite.home import write_json
from suite.stage_plan import planned_stages
from suite.sweeps.forecast import Costs, images
from suite.sweeps.plan import forecast
from tests.suite.sweeps.recording import finished


@pytest.fixture
def sweep(relay):
    return relay("weight", seeds=(0, 1))


def known(*headers):
    costs = Costs()
    for header in headers:
        costs.learn(header)
    return costs


def test_a_cell_costs_its_stages_and_its_evaluation(sweep):
    cell, other = sweep.cells[0], sweep.cells[1]
    assert known(finished(cell)).seconds(other) == pytest.approx(100 + 100 + 10)


def test_what_is_in_the_cache_costs_nothing(sweep):
    cell, other = sweep.cells[:2]
    _, second = planned_stages(other)
    assert known(finished(cell)).seconds(other, [second]) == pytest.approx(100 + 10)


def test_a_longer_training_costs_more_in_proportion(relay, sweep):
    (longer,) = relay("weight", overrides={"training.epochs": "9"}).default.cells
    assert known(finished(sweep.cells[0])).seconds(longer) == pytest.approx(3 * 200 + 10)


def test_the_median_of_what_was_seen_counts(sweep):
    cell = sweep.cells[0]
    costs = known(*(finished(cell, stage_s=seconds) for seconds in (90.0, 100.0, 900.0)))
    assert costs.seconds(cell) == pytest.approx(210)


def test_of_a_method_that_has_finished_nothing_nothing_is_known(sweep):
    assert Costs().seconds(sweep.cells[0]) is None


def test_a_training_sees_its_samples_once_an_epoch_or_as_many_as_are_drawn(sweep):
    training = sweep.cells[0].config.training
    assert images(training, 50) == 3 * 50
    assert images(training.model_copy(update={"epoch_samples": 20}), 50) == 3 * 20
    assert images(training.model_copy(update={"epoch_samples": 80}), 50) == 3 * 50


def test_the_plan_charges_what_cells_share_once(home, sweep):
    outlook = forecast(home, sweep, known(finished(sweep.cells[0])))
    cells = len(sweep.cells)
    assert (cells, outlook.count["planned"]) == (8, 8)
    assert outlook.to_train == 2 + cells, "the first stage once a seed"
    assert outlook.shared == cells - 2
    assert outlook.seconds == pytest.approx(100 * (2 + cells) + 10 * cells)
    assert outlook.finish_s(2) == pytest.approx(outlook.seconds / 2)
    assert outlook.finish_s(1000) == pytest.approx(210), "the longest cell"


def test_the_plan_charges_nothing_that_is_done_or_cached(home, sweep):
    done, *rest = sweep.cells
    header = finished(done)
    write_json(home.records / done.id / "record.json", {**header, "schema": 2, "files": {}})
    first, _ = planned_stages(done)
    write_json(home.stages / first.key / "stage.json", {"key": first.key})
    outlook = forecast(home, sweep, known(header))
    assert outlook.count == {"done": 1, "planned": 7}
    assert outlook.cached == sum(cell.seed == done.seed for cell in rest)
    assert outlook.to_train == 1 + len(rest)

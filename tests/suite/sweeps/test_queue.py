"""The queue: what is shared is made first, nothing is begun that would have to wait, others' work is left to them."""

import os
import socket

import pytest

from suite.failures import TRIES, write_failure
from suite.home import write_json
from suite.loop import TrainingDivergedError
from suite.stage_plan import planned_stages
from suite.sweeps import queue as queues
from suite.sweeps.queue import CellQueue


def publish(home, cell, *names):
    """As if stages of a cell, all unless named, had been trained."""
    for stage in planned_stages(cell):
        if not names or stage.name in names:
            write_json(home.stages / stage.key / "stage.json", {"key": stage.key})


def record(home, cell):
    """As if a cell had been run by somebody."""
    folder = home.records / cell.id
    header = {**cell.header(), "schema": 2, "state": "done", "metrics": {}, "files": {}}
    write_json(folder / "record.json", header)


def held_by_another(home, cell):
    holder = {"host": socket.gethostname(), "pid": os.getppid(), "started": 0}
    write_json(home.cells / cell.id / "lease.json", holder)


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch):
    monkeypatch.setattr(queues, "LOOK_EVERY_S", 0.0)


def test_cells_that_share_an_unmade_stage_are_begun_one_after_the_other(relay, home):
    sweep = relay("weight", seeds=(0, 1))
    queue = CellQueue(home, sweep.cells)
    first, second = queue.take(), queue.take()
    assert {first.seed, second.seed} == {0, 1}, "each makes the first stage of its seed"
    assert queue.take() is None
    publish(home, first, "first")
    third = queue.take()
    assert third.seed == first.seed
    assert queue.take().seed == first.seed, "the last stage is another one for every weight"


def test_how_many_could_begin_counts_none_that_would_wait_for_another(relay, home):
    sweep = relay("weight", seeds=(0, 1))
    queue = CellQueue(home, sweep.cells)
    assert queue.startable(99) == 2, "a first stage for each seed"
    assert queue.startable(1) == 1
    first = queue.take()
    assert queue.startable(99) == 1
    publish(home, first, "first")
    assert queue.startable(99) == len(sweep.cells) // 2 - 1 + 1, (
        "the seed's others, and the other seed's first"
    )
    assert len(queue.running) == 1, "none was begun"


def test_what_most_cells_wait_for_is_made_first(relay, home):
    sweep = relay("weight", "scale")
    alone = next(cell for cell in sweep.cells if cell.config.scale == 0.9)
    publish(home, sweep.default.cells[0], "first")
    queue = CellQueue(home, [alone, *sweep.cells])
    assert queue.take().id == alone.id, "nothing is shared any more: the first in line"
    again = CellQueue(home, [alone, *relay("weight", seeds=(1,)).cells])
    assert again.take().seed == 1


def test_a_cell_waits_for_the_one_whose_predictions_it_is_given(relay, home):
    sweep = relay("source")
    for cell in sweep.cells:
        publish(home, cell)
    queue = CellQueue(home, [cell for cell in sweep.cells if cell.source])
    source = queue.take()
    assert source.entrant.name == "nudge"
    assert queue.take() is None
    queue.close({**source.header(), "state": "done"})
    assert queue.take().entrant.name == "nudge+relay"


def test_cells_that_are_recorded_are_not_queued(relay, home):
    sweep = relay("weight")
    record(home, sweep.cells[0])
    queue = CellQueue(home, sweep.cells)
    assert list(queue.outcome) == [sweep.cells[0].id]
    assert sweep.cells[0].id not in queue.waiting


def test_a_cell_that_another_process_runs_is_left_to_it_and_seen_when_it_is_done(relay, home):
    sweep = relay("weight")
    for cell in sweep.cells:
        publish(home, cell)
    held_by_another(home, sweep.cells[0])
    queue = CellQueue(home, sweep.cells)
    taken = [queue.take() for _ in sweep.cells]
    assert taken[-1] is None
    assert sweep.cells[0] not in taken
    record(home, sweep.cells[0])
    for cell in taken[:-1]:
        queue.close({**cell.header(), "state": "done"})
    assert queue.take() is None
    assert queue.is_over


def test_a_lease_that_a_dead_process_left_holds_nobody_up(relay, home):
    (cell,) = relay("weight").cells[:1]
    write_json(
        home.cells / cell.id / "lease.json", {"host": socket.gethostname(), "pid": 2**22 + 1, "started": 0}
    )
    assert CellQueue(home, [cell]).take() is not None


def test_a_diverged_cell_is_not_tried_again_and_an_unlucky_one_is(relay, home):
    diverged, unlucky, poison, *_ = relay("weight").cells
    write_failure(home.cells / diverged.id, TrainingDivergedError("loss is not finite"))
    write_failure(home.cells / unlucky.id, RuntimeError("a worker died"))
    for _ in range(TRIES):
        write_failure(home.cells / poison.id, RuntimeError("a worker died"))
    queue = CellQueue(home, [diverged, unlucky, poison])
    assert list(queue.waiting) == [unlucky.id]
    assert {cell: header["reason"] for cell, header in queue.outcome.items()} == {
        diverged.id: "loss is not finite",
        poison.id: "a worker died",
    }


def test_a_cell_that_is_put_back_is_taken_again(relay, home):
    (cell,) = relay("weight").cells[:1]
    queue = CellQueue(home, [cell])
    queue.put_back(queue.take())
    assert not queue.is_over
    assert queue.take().id == cell.id

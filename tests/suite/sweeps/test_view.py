"""What a person sees of a sweep: a tree on a terminal, lines when it is piped."""

import io

import pytest
from rich.console import Console

from suite.sweeps.forecast import Costs
from suite.sweeps.view import View
from suite.watch import Standing
from tests.suite.sweeps.recording import finished


def seen(view):
    """The tree as text."""
    console = Console(file=io.StringIO(), width=120, no_color=True)
    console.print(view.tree())
    return console.file.getvalue().splitlines()


@pytest.fixture
def sweep(relay):
    return relay("weight", "scale", seeds=(0, 1))


@pytest.fixture
def view(sweep):
    return View(sweep, {}, Costs())


def line(view, name):
    (found,) = [line for line in seen(view) if f" {name} " in line]
    return found


def test_the_tree_has_a_branch_for_every_axis_and_a_mark_for_every_seed(view):
    lines = seen(view)
    assert "relay: weight, scale" in lines[0]
    assert "0 of 10 cells done" in lines[0]
    assert sum("weight" in text and "expected: unknown" in text for text in lines) == 1
    assert sum("scale" in text and "expected: better" in text for text in lines) == 1
    assert "· 0" in line(view, "default")
    assert "· 1" in line(view, "default")
    assert len(lines) == 1 + 1 + (1 + 4) + (1 + 2)
    assert line(view, "weight 0.0").endswith("the default"), "whose cells stand above"


def test_a_running_cell_shows_what_it_is_at_its_loss_and_how_long_it_may_take(sweep):
    costs = Costs()
    costs.learn(finished(sweep.cells[0], stage_s=90.0, evaluate_s=20.0))
    view = View(sweep, {}, costs)
    cell = sweep.of(sweep.axes[0])[-1].cells[1]
    view.began(cell)
    view.stands(cell.id, Standing("second", 12, 40, 0.01234))
    text = line(view, "weight 3.0")
    assert "· 0" in text
    assert "▶ 1 (second 12/40 loss 0.0123, 0:00 of about 3:20)" in text
    assert "1 running" in seen(view)[0]


def test_done_failed_and_put_back_cells_are_told_apart(view, sweep):
    first, second, third = (point.cells[0] for point in sweep.of(sweep.axes[0])[1:])
    for cell in (first, second, third):
        view.began(cell)
    view.ended(first, {"state": "done"})
    view.ended(second, {"state": "failed", "reason": "loss is not finite"})
    view.ended(third, {"state": "running", "reason": "another process has it"})
    assert "✓ 0" in line(view, "weight 1.0")
    assert "✗ 0" in line(view, "weight 2.0")
    assert "· 0" in line(view, "weight 3.0")
    assert view.summary() == "1 of 10 cells done, 1 failed"


def test_a_grid_shows_its_combinations(relay):
    lines = seen(View(relay("weight", "scale", as_grid=True), {}, Costs()))
    assert sum("weight 2.0, scale 0.9" in text for text in lines) == 1
    assert len(lines) == 2 + 4 * 2


def test_piped_it_says_how_cells_begin_and_end(view, sweep, capsys):
    cell = sweep.cells[1]
    with view:
        view.began(cell)
        view.ended(cell, {"state": "failed", "reason": "loss is not finite"})
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "relay: weight, scale: 0 of 10 cells done"
    assert said[1] == f"{cell.label}: begins"
    assert said[2] == f"{cell.label}: failed: loss is not finite after 0:00"
    assert said[3].startswith("relay: weight, scale: 0 of 10 cells done, 1 failed, 0:0")

"""Sweeps: axes, variants and seeds as cells, and the declaration that tables are made from."""

import json

import pytest

from suite.sweeps.sweep import declaration, is_small, save, with_changes, with_sources
from tasks.errors import RequestError


def test_every_point_has_a_cell_per_seed_and_each_cell_is_run_once(relay):
    sweep = relay("weight", "scale", seeds=(0, 1))
    assert [len(point.cells) for point in sweep.points] == [2] * 7
    assert len(sweep.cells) == 2 * 5, "weight 0 and scale 1 are the default"
    assert [cell.seed for cell in sweep.cells] == [0] * 5 + [1] * 5, "first seeds first"


def test_a_value_that_the_default_has_is_the_default(relay):
    sweep = relay("weight")
    zero = next(point for point in sweep.points if point.variant.settings == {"weight": "0.0"})
    assert [cell.id for cell in zero.cells] == [cell.id for cell in sweep.default.cells]


def test_a_variant_is_the_cell_that_the_same_settings_give_on_the_command_line(relay, home, pairs_data):
    from tests.suite.pairs import pair_cells

    sweep = relay("weight")
    (cell,) = pair_cells(home, pairs_data, "relay", weight=2.0)
    assert cell.id in {mine.id for mine in sweep.cells}


def test_settings_of_the_request_hold_for_every_point(relay):
    sweep = relay("weight", overrides={"scale": "0.5"})
    assert {cell.config.scale for cell in sweep.cells} == {0.5}


def test_a_sweep_is_the_same_whatever_its_seeds_and_another_with_other_axes_or_settings(relay):
    first = relay("weight").id
    assert relay("weight", seeds=(3, 4)).id == first
    others = {
        relay("scale").id,
        relay("weight", as_grid=True).id,
        relay("weight", overrides={"scale": "0.5"}).id,
    }
    assert len(others | {first}) == 4


def test_a_value_that_the_method_does_not_take_names_its_axis(relay, monkeypatch):
    from methods import registry

    axes = registry.load_ablations("relay")
    monkeypatch.setattr(
        registry, "load_ablations", lambda name: {"weight": axes["weight"] | {"values": ["much"]}}
    )
    with pytest.raises(RequestError, match="axis 'weight': bad value for 'weight'"):
        relay("weight")


def test_the_declaration_says_which_cells_answer_which_question(relay):
    sweep = relay("weight", "rate", seeds=(0, 1))
    said = json.loads(json.dumps(declaration(sweep)))
    weight, rate = said["axes"]
    assert weight["values"] == ["0.0", "1.0", "2.0", "3.0"]
    assert said["points"][weight["reference"]]["values"] == {}
    longer = said["points"][rate["reference"]]
    assert (longer["values"], longer["given"]) == ({}, {"training.epochs": "4"})
    two = next(point for point in said["points"] if point["values"] == {"weight": "2.0"})
    assert list(two["cells"]) == ["0", "1"]


def test_an_axis_over_sources_names_the_composed_method_and_runs_the_source_first(relay):
    sweep = relay("source")
    names = [point["method"] for point in declaration(sweep)["points"]]
    assert names == ["relay", "relay", "nudge+relay"]
    assert [cell.entrant.name for cell in with_sources(sweep.cells)] == ["relay", "nudge", "nudge+relay"]


def test_more_seeds_are_added_to_the_declaration_on_disk(relay, home):
    save(home, relay("weight"))
    said = save(home, relay("weight", seeds=(1, 2)))
    assert all(list(point["cells"]) == ["0", "1", "2"] for point in said["points"])


def test_a_cell_that_stands_in_for_a_failed_one_keeps_its_place(relay, home, pairs_data, monkeypatch):
    from suite.data import open_source
    from suite.failures import write_failure
    from suite.home import write_json
    from suite.sweeps.requeue import put_back

    sweep = relay("weight", seeds=(0, 1))
    save(home, sweep)
    failed = sweep.points[3].cells[1]
    write_json(home.cells / failed.id / "cell.json", failed.header())
    write_failure(home.cells / failed.id, ValueError("out of memory"))
    (put,) = put_back(home, "memory", {"training.batch_size": "2"})
    assert put["cell"] == failed.id
    again = with_changes(home, relay("weight", seeds=(0, 1)), open_source(home, "interhand26m", pairs_data))
    first, second = again.points[3].cells
    assert first.id == sweep.points[3].cells[0].id
    assert (second.seed, second.config.training.batch_size, second.config.weight) == (1, 2, 2.0)
    said = save(home, again)
    assert said["points"][3]["changed"] == {"1": {"training.batch_size": "2"}}
    assert said["points"][3]["cells"]["1"] == second.id


def test_cells_that_see_few_images_share_processes(relay):
    assert is_small(relay("weight"))
    assert not is_small(relay("weight", overrides={"training.epochs": "100000"}))


def test_one_sweep_asks_for_its_axes_alone(relay):
    with pytest.raises(RequestError, match=r"weigth.*weight"):
        relay("weigth")

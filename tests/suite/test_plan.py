"""Cells and their identity."""

from dataclasses import replace
from pathlib import Path

import pytest

from methods.registry import METHODS, load_config_model, load_preset
from suite.identity import digest
from suite.plan import Cell, Request, resolve_names, resolve_settings, variant_name
from suite.stage_plan import stage_key
from tasks.errors import RequestError
from tasks.registry import PROTOCOLS, TASKS


@pytest.fixture
def cell():
    config = load_config_model("amvur").model_validate(load_preset("amvur", "tiny"))
    return Cell(
        method=METHODS["amvur"],
        task=TASKS["single_hand"],
        protocol=PROTOCOLS["freihand"],
        layout="freihand",
        root=Path("/data/one"),
        data_fingerprint="d" * 16,
        synthetic=True,
        hand_fingerprint="h" * 16,
        hand_name="open hand",
        preset="tiny",
        variant="default",
        config=config,
        seed=0,
    )


def changed(config, **training):
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def test_identity_does_not_depend_on_the_path_of_the_data(cell):
    assert replace(cell, root=Path("/data/two")).id == cell.id


def test_identity_depends_on_everything_that_may_change_the_numbers(cell):
    others = [
        replace(cell, seed=1),
        replace(cell, data_fingerprint="e" * 16),
        replace(cell, hand_fingerprint="i" * 16),
        replace(cell, config=changed(cell.config, epochs=99)),
        replace(cell, method=replace(cell.method, version=cell.method.version + 1)),
        replace(cell, task=replace(cell.task, version=99)),
        replace(cell, protocol=replace(cell.protocol, version=99)),
    ]
    ids = {cell.id, *(other.id for other in others)}
    assert len(ids) == len(others) + 1


def test_identity_is_the_same_on_every_machine_and_day(cell):
    assert cell.id == cell.id
    assert len(cell.id) == 16
    assert set(cell.id) <= set("0123456789abcdef")


def test_the_id_is_the_address_of_the_identity(cell):
    """Whatever is worked out once for all seeds."""
    given_joints = replace(cell, source=replace(cell, seed=7))
    for one in (cell, replace(cell, seed=1), given_joints, replace(given_joints, seed=1)):
        assert one.id == digest(one.identity)


def test_a_stage_key_is_the_address_of_what_its_weights_depend_on(cell):
    (stage,) = cell.method.stages(cell.config, "truth")
    stage = replace(stage, needs=("first",))
    for seed in (0, 1):
        depends_on = {
            "method": "amvur", "stage": "amvur", "version": stage.version, "upstream": {"first": f"k{seed}"},
            "task": ["single_hand", cell.task.version], "layout": "freihand", "data": "d" * 16, "hand": "h" * 16,
            "config": stage.settings(cell.config), "training": cell.config.training.model_dump(mode="json"),
            "seed": seed, "keypoints": "p" * 16,
        }  # fmt: skip
        upstream = {"first": f"k{seed}", "not needed": "x"}
        key = stage_key(replace(cell, seed=seed), stage, upstream, {"keypoints": "p" * 16})
        assert key == digest(depends_on)


def test_a_stage_key_depends_on_its_training_and_its_upstream_stages(cell):
    (stage,) = cell.method.stages(cell.config, "truth")
    key = stage_key(cell, stage, {})
    assert key == stage_key(replace(cell, root=Path("/elsewhere")), stage, {})
    assert key != stage_key(replace(cell, config=changed(cell.config, epochs=99)), stage, {})
    assert key != stage_key(replace(cell, seed=1), stage, {})


def test_a_variant_is_named_by_its_overrides_in_a_fixed_order():
    assert variant_name({}) == "default"
    assert variant_name({"b": "2", "a": "1"}) == variant_name({"a": "1", "b": "2"}) == "a=1, b=2"


def test_a_request_is_refused_before_any_work(tmp_path):
    with pytest.raises(RequestError, match="did you mean 'amvur'"):
        resolve_names(Request("amvr", "single_hand"))
    with pytest.raises(RequestError, match=r"training\.batch_size"):
        resolve_settings(Request("amvur", "single_hand", overrides={"training.batch_size": "0"}))


def test_overrides_change_the_preset():
    config = resolve_settings(Request("amvur", "single_hand", overrides={"training.epochs": "2"}))
    assert config.training.epochs == 2

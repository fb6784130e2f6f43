import subprocess
import sys

import pytest

from methods.base import Method
from methods.config import MethodConfig, check_key, resolve_config
from methods.registry import (
    METHODS,
    load_ablations,
    load_config_model,
    load_method,
    load_preset,
    load_published,
    presets,
)
from tasks.errors import RequestError
from tasks.registry import METRICS, TASKS


def test_listing_methods_imports_nothing_heavy() -> None:
    code = (
        "import sys, methods.registry; print([m for m in ('torch', 'pydantic', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_methods_are_found_in_their_own_folders_and_among_the_baselines() -> None:
    papers = {"amvur", "im2hands"}
    baselines = {"mean_hand", "mano_regressor", "digit", "intaghand", "halo", "halo_star"}
    assert set(METHODS) == papers | baselines
    assert {name for name, spec in METHODS.items() if spec.kind == "paper"} == papers


@pytest.mark.parametrize("name", METHODS)
def test_a_declaration_leads_to_a_method_and_its_config(name: str) -> None:
    method, config = load_method(name), load_config_model(name)
    assert issubclass(method, Method)
    assert issubclass(config, MethodConfig)
    assert method.spec is METHODS[name]
    assert set(METHODS[name].tasks) <= set(TASKS)


@pytest.mark.parametrize("name", METHODS)
def test_every_preset_validates(name: str) -> None:
    assert presets(name) == ["tiny", "small", "paper"]
    for preset in presets(name):
        resolve_config(load_config_model(name), load_preset(name, preset), {})


def test_tiny_compares_like_with_like() -> None:
    ours, theirs = (load_preset(name, "tiny") for name in ("amvur", "mano_regressor"))
    for field in ("backbone", "image_size_px", "augment"):
        assert ours[field] == theirs[field]
    labels = load_config_model("mano_regressor")().weights  # type: ignore[attr-defined]
    assert (ours["full"]["rotation"], ours["full"]["angles"]) == (labels.rotation, labels.pose)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="did you mean 'amvur'"):
        load_method("amvr")
    with pytest.raises(RequestError, match="did you mean 'tiny'"):
        load_preset("amvur", "tinny")


@pytest.mark.parametrize("name", METHODS)
def test_every_ablation_names_a_field_with_valid_values(name: str) -> None:
    model = load_config_model(name)
    for axis, entry in load_ablations(name).items():
        assert set(entry) - {"given"} == {"question", "field", "values", "metric", "expect", "source"}, axis
        assert entry["metric"] in METRICS
        assert len(entry["values"]) >= 2
        given = {key: str(value) for key, value in entry.get("given", {}).items() if key != "keypoints"}
        if entry["field"] == "keypoints":
            assert METHODS[name].keypoints
            continue
        check_key(model, entry["field"])
        for value in entry["values"]:
            resolve_config(model, load_preset(name, "tiny"), {**given, entry["field"]: str(value)})


def test_published_rows_have_a_metric_a_unit_and_a_source() -> None:
    rows = load_published("amvur")
    for row in rows:
        assert set(row) == {"method", "layout", "metric", "value", "unit", "source"}
        assert row["unit"] == METRICS[row["metric"]].unit
        assert row["source"]
    headline = {(r["layout"], r["metric"]): r["value"] for r in rows if r["method"] == "AMVUR"}
    assert headline["ho3d_v2", "pa_mpjpe_mm"] == 8.3
    assert headline["freihand", "pa_mpvpe_mm"] == 6.1
    assert headline["ho3d_v3", "f5"] == 0.593

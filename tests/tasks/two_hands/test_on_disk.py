"""The task on InterHand2.6M's own layout, from files to columns."""

import numpy as np
import pytest
import torch

from tasks.layouts.registry import load_synthesiser, open_layout
from tasks.protocols import HAS_BOTH_WRISTS, IS_SCORED, JOINT_ERRORS
from tasks.registry import PROTOCOLS, metrics_of

FIT_ROUNDING_MM = 1e-3
"""A hand model in float32 rounds by the size of its batch."""


@pytest.fixture(scope="module")
def test_set(task, tmp_path_factory):
    root = tmp_path_factory.mktemp("interhand26m") / "data"
    load_synthesiser("interhand26m")(root, size=4, seed=0, workers=1)
    return task.test_set(open_layout("interhand26m", root))


@pytest.fixture(scope="module")
def truth(test_set):
    positions = torch.arange(len(test_set))
    annotated, verts_m = test_set.truth(positions), test_set.true_verts(positions)
    return {"joints_cam_m": annotated.joints_cam_m.numpy(), "verts_cam_m": verts_m.numpy()}


def test_the_truth_of_files_scores_zero(task, test_set, truth):
    rows = np.arange(len(test_set))
    joints = task.score(PROTOCOLS["interhand26m"], truth, test_set, rows).columns
    meshes = task.score(PROTOCOLS["intaghand"], truth, test_set, rows).columns
    assert joints[IS_SCORED].all()
    assert np.nanmax([joints[name] for name in JOINT_ERRORS]) == 0
    assert 0 < meshes[IS_SCORED].sum() < len(rows)
    assert np.nanmax(meshes["mpvpe_mm"]) < FIT_ROUNDING_MM
    np.testing.assert_array_equal(np.isfinite(meshes["mpvpe_mm"]), meshes[IS_SCORED] == 1)
    assert np.nanmax(joints["mrrpe_mm"]) == 0
    assert np.isfinite(joints["mrrpe_mm"]).sum() == joints[HAS_BOTH_WRISTS].sum() > 0


def test_labels_of_the_test_split_are_as_exact_as_the_files(test_set):
    assert test_set.samples.joints_m.dtype == np.float64


def test_pictures_show_the_truth_on_the_hands(task, test_set, truth):
    """Skin under the mesh: the pixels that the truth covers differ from the picture's corners."""
    shown = np.arange(0, len(test_set), 5)
    fields = {name: values[shown] for name, values in truth.items()}
    picture = np.asarray(task.renders(fields, test_set, shown)).astype(int)
    image, drawn = (picture[26 : 26 + 192, 6 + 198 * column :][:, :192] for column in (0, 1))
    covered = (image != drawn).any(-1)
    assert 0.05 < covered.mean() < 0.7
    inside, outside = image[covered].mean(0), image[~covered].mean(0)
    assert np.abs(inside - outside).max() > 10


@pytest.mark.parametrize("protocol", ["intaghand", "im2hands", "house_two_hands", "interhand26m"])
def test_a_portion_without_any_pair_has_all_columns(task, test_set, truth, protocol):
    """Single-hand frames come first, so whole portions of a split hold no pair."""
    single = np.flatnonzero(~test_set.truth(torch.arange(len(test_set))).interacting.numpy())[:2]
    scores = task.score(PROTOCOLS[protocol], {n: v[single] for n, v in truth.items()}, test_set, single)
    for name in PROTOCOLS[protocol].metrics:
        needs = metrics_of(protocol)[name].needs
        assert name in scores.not_applicable or set(needs) <= set(scores.columns)
    assert np.isnan(scores.columns["mrrpe_mm"]).all()

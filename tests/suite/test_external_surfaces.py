"""Anybody's free surfaces of two hands, from an ``.npz`` to a row with occupancy and penetration."""

from functools import partial

import numpy as np
import pytest
import torch

from reports.record import read_record
from suite.external import Submission, evaluate_file
from tasks.errors import RequestError
from tasks.layouts.registry import open_layout
from tasks.ragged import Ragged, to_arrays
from tasks.two_hands import TwoHands, scoring, surfaces
from tasks.two_hands.dataset import SIDES
from tasks.two_hands.meshes import regressed_joints
from tasks.two_hands.solids import sealed


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    monkeypatch.setattr(scoring, "surface_columns", partial(surfaces.surface_columns, count=2000))


@pytest.fixture(scope="module")
def truth(pairs_data):
    """The fields of the true hands: joints, and each hand's closed mesh as a surface."""
    task = TwoHands()
    dataset = task.test_set(open_layout("interhand26m", pairs_data))
    verts_m = dataset.true_verts(torch.arange(len(dataset)))
    meshes = []
    for frame_m in verts_m:
        for side, hand_m in zip(SIDES, frame_m, strict=True):
            mesh = sealed(hand_m, task.hands[side])
            there = bool(hand_m.isfinite().all())
            meshes.append([part.numpy()[: None if there else 0] for part in mesh])
    verts, faces = zip(*meshes, strict=True)
    return {
        "joints_cam_m": regressed_joints(verts_m, task.hands).numpy(),
        **{
            name: Ragged(np.concatenate(parts), np.array([len(part) for part in parts]).reshape(-1, 2))
            for name, parts in (("surface_verts_cam_m", verts), ("surface_faces", faces))
        },
    }


@pytest.fixture
def submit(tmp_path, pairs_data):
    def submit(fields, **more):
        np.savez(tmp_path / "own.npz", **to_arrays(fields, "_counts"))
        given = {"layout": "interhand26m", "data": pairs_data, "protocol": "im2hands"} | more
        return Submission(tmp_path / "own.npz", "lab", "two_hands", **given)

    return submit


def test_the_true_surfaces_are_perfect(home, truth, submit):
    record = read_record(home.records / evaluate_file(home, submit(truth))["cell"])
    assert record.metrics["iou"]["value"] == 1
    assert record.metrics["iou_near"]["value"] == 1
    assert record.metrics["cd_mm"]["value"] < 4
    assert record.metrics["mpjpe_mm"]["value"] == pytest.approx(0, abs=1e-3)
    for name, field in to_arrays(truth).items():
        np.testing.assert_array_equal(to_arrays(record.predictions)[name], field)


def test_a_smaller_surface_has_a_smaller_overlap_with_the_truth(home, truth, submit):
    verts = truth["surface_verts_cam_m"]
    centres = np.repeat([part.mean(axis=0) for i in range(len(verts)) for part in verts.parts(i) if len(part)],
                        verts.counts[verts.counts > 0], axis=0)  # fmt: skip
    shrunk = Ragged(centres + 0.9 * (verts.values - centres), verts.counts)
    header = evaluate_file(home, submit(truth | {"surface_verts_cam_m": shrunk}))
    assert 0.4 < header["metrics"]["iou"]["value"] < 0.8


def test_faces_beyond_their_own_mesh_are_refused_and_never_scored(home, truth, submit):
    faces = truth["surface_faces"]
    wrong = Ragged(faces.values + 100_000, faces.counts)
    for as_is in (False, True):
        with pytest.raises(RequestError, match="expected numbers from 0 on, within its own mesh"):
            evaluate_file(home, submit(truth | {"surface_faces": wrong}, as_is=as_is))
    assert not home.records.exists() or not list(home.records.iterdir())

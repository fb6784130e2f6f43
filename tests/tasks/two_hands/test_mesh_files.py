"""Predicted hands as files: which there are, what they are called, and that they read back as they were."""

import io

import numpy as np
import pytest
import trimesh

from tests.tasks.two_hands.free_surfaces import SIDES, as_fields, closed, subdivided

IDS = ["Capture0/ROM01/cam400001/image00001", "Capture0/ROM01/cam400001/image00002"]


def read(mesh, file_format):
    return trimesh.load(io.BytesIO(mesh.encoded(file_format)), file_type=file_format, process=False)


@pytest.fixture
def model(pairs):
    """Two frames of the hand model's vertices; the second has no left hand."""
    verts = pairs.verts_m[[0, 2]].copy()
    verts[1, 1] = np.nan
    return {"joints_cam_m": pairs.joints_m[[0, 2]], "verts_cam_m": verts}


@pytest.fixture
def free(task, pairs):
    """Two frames of surfaces of many sizes; the first has no right hand."""
    solids = [
        [closed(v, task.hands, s) for v, s in zip(frame, SIDES, strict=True)]
        for frame in pairs.verts_m[[0, 2]]
    ]
    meshes = [[None, solids[0][1]], [subdivided(*solids[1][0], times=1), solids[1][1]]]
    return as_fields(meshes, pairs.joints_m[[0, 2]])


def test_a_hand_is_named_by_its_frame_and_side_and_missing_ones_have_no_file(task, model, free):
    names = [mesh.name for mesh in task.meshes(model, IDS)]
    first, second = (name.replace("/", "_") for name in IDS)
    assert names == [f"{first}_right", f"{first}_left", f"{second}_right"]
    assert [mesh.name for mesh in task.meshes(free, IDS)] == [
        f"{first}_left", f"{second}_right", f"{second}_left"
    ]  # fmt: skip


@pytest.mark.parametrize("file_format", ["ply", "obj"])
def test_files_read_back_as_they_were_predicted(task, model, free, file_format):
    for fields in (model, free):
        for mesh in task.meshes(fields, IDS):
            found = read(mesh, file_format)
            np.testing.assert_allclose(found.vertices, mesh.verts_cam_m, atol=1e-7)
            np.testing.assert_array_equal(found.faces, mesh.faces)
            assert mesh.encoded(file_format) == mesh.encoded(file_format)


def test_the_models_mesh_is_open_unless_it_is_sealed(task, model):
    plain, whole = (list(task.meshes(model, IDS, seal=seal)) for seal in (False, True))
    assert [(len(m.verts_cam_m), m.closed, m.kind) for m in plain] == [(778, False, "hand model")] * 3
    assert [(len(m.verts_cam_m), m.closed, m.kind) for m in whole] == [(779, True, "hand model")] * 3
    assert all(read(mesh, "ply").is_watertight for mesh in whole)
    np.testing.assert_array_equal(plain[0].verts_cam_m, model["verts_cam_m"][0, 0])


def test_free_surfaces_are_written_as_they_are_whether_or_not_they_are_closed(task, free):
    lost = free["surface_faces"].values
    lost[0] = lost[1]
    found = list(task.meshes(free, IDS, seal=True))
    assert [(mesh.kind, mesh.closed) for mesh in found] == [
        ("surface", False),
        ("surface", True),
        ("surface", True),
    ]
    assert [len(mesh.verts_cam_m) for mesh in found] == free["surface_verts_cam_m"].counts.ravel()[
        1:
    ].tolist()


def test_joints_alone_have_no_meshes(task, model):
    assert list(task.meshes({"joints_cam_m": model["joints_cam_m"]}, IDS)) == []

import numpy as np
import pytest

from tasks.errors import RequestError
from tasks.prediction_fields import RAGGED_SHAPES, SHAPES, check_shapes
from tasks.ragged import Ragged
from tasks.registry import TASKS


@pytest.mark.parametrize("task", TASKS)
def test_every_declared_field_has_a_shape_and_no_other(task):
    assert {*SHAPES[task], *RAGGED_SHAPES[task]} == set(TASKS[task].prediction_fields)
    for name, shape in SHAPES[task].items():
        declared = TASKS[task].prediction_fields[name].split(")")[0]
        if None not in shape:
            assert declared == f"(B, {', '.join(map(str, shape))}"


@pytest.mark.parametrize("task", SHAPES)
def test_what_is_whole_passes_and_each_mistake_is_named(task):
    good = {
        name: np.zeros((4, *(9 if n is None else n for n in shape))) for name, shape in SHAPES[task].items()
    }
    check_shapes(good, task, 4)
    check_shapes({"joints_cam_m": good["joints_cam_m"]}, task, 4)
    with pytest.raises(RequestError, match="lack the field 'joints_cam_m'"):
        check_shapes({"verts_cam_m": good["verts_cam_m"]}, task, 4)
    with pytest.raises(
        RequestError, match="unknown prediction field 'joint_cam_m': did you mean 'joints_cam_m'"
    ):
        check_shapes(good | {"joint_cam_m": good["joints_cam_m"]}, task, 4)
    for name in good:
        for wrong in (good[name][1:], good[name][..., None]):
            with pytest.raises(RequestError, match=f"'{name}' has shape"):
                check_shapes(good | {name: wrong}, task, 4)


def surfaces(n_verts=((4, 0), (5, 6)), n_faces=((3, 0), (2, 1))):
    """Two frames; the first has no left hand."""
    verts, faces = np.array(n_verts), np.array(n_faces)
    return {
        "joints_cam_m": np.zeros((2, 2, 21, 3)),
        "surface_verts_cam_m": Ragged(np.zeros((verts.sum(), 3), np.float32), verts),
        "surface_faces": Ragged(np.tile(np.array([0, 1, 2], np.int32), (faces.sum(), 1)), faces),
    }


def test_surfaces_of_any_size_pass_and_a_hand_may_have_none():
    check_shapes(surfaces(), "two_hands", 2)
    check_shapes(surfaces(((0, 0), (0, 0)), ((0, 0), (0, 0))), "two_hands", 2)


def test_every_mistake_in_a_surface_is_named():
    def refused(message, task="two_hands", **changes):
        fields = {name: values for name, values in (surfaces() | changes).items() if values is not None}
        with pytest.raises(RequestError, match=message):
            check_shapes(fields, task, 2)

    good = surfaces()
    verts, faces = good["surface_verts_cam_m"], good["surface_faces"]
    refused("one of 'surface_verts_cam_m' and 'surface_faces'", surface_faces=None)
    refused("one of 'surface_verts_cam_m' and 'surface_faces'", surface_verts_cam_m=None)
    refused("'surface_verts_cam_m' is one array", surface_verts_cam_m=np.zeros((2, 2, 9, 3)))
    refused("'joints_cam_m' is ragged", joints_cam_m=verts)
    refused(r"shape \(1, 2\) of counts: expected \(2, 2\)", surface_verts_cam_m=verts[:1])
    refused(r"shape \(15, 2\) of rows", surface_verts_cam_m=Ragged(verts.values[:, :2], verts.counts))
    refused("holds float32: expected whole", surface_faces=Ragged(np.float32(faces.values), faces.counts))
    refused("unknown prediction field 'surface_faces'", "single_hand", joints_cam_m=np.zeros((2, 21, 3)),
            surface_verts_cam_m=None)  # fmt: skip


@pytest.mark.parametrize(("row", "corner", "size"), [(0, 4, 4), (3, 5, 5), (5, 6, 6), (4, -1, 5)])
def test_a_face_keeps_to_the_vertices_of_its_own_mesh(row, corner, size):
    fields = surfaces()
    fields["surface_faces"].values[row, 1] = corner - 1 if corner > 0 else 0
    check_shapes(fields, "two_hands", 2)
    fields["surface_faces"].values[row, 1] = corner
    with pytest.raises(RequestError, match=f"face {row} .* in a mesh of {size} vertices"):
        check_shapes(fields, "two_hands", 2)

import numpy as np
import pytest

from tasks.errors import RequestError
from tasks.hand_object import score
from tasks.registry import PROTOCOLS, metrics_of

CLIP_PROTOCOLS = [protocol for protocol in PROTOCOLS.values() if "hand_object" in protocol.tasks]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("colour", np.zeros(3), "unknown prediction field 'colour'"),
        ("object_to_hand", np.zeros((6, 4, 4)), r"shape \(6, 4, 4\): expected \(7, 4, 4\)"),
        ("object_verts_m", np.zeros((9, 2)), r"shape \(9, 2\): expected \(any, 3\)"),
        ("verts_cam_m", np.zeros((7, 777, 3)), r"shape \(7, 777, 3\): expected \(7, 778, 3\)"),
        ("object_faces", np.array([[0, 1, 5000]]), "names vertex 5000: expected 0 to"),
        ("object_faces", np.array([[0, 1, -1]]), "names vertex -1: expected 0 to"),
        ("object_faces", np.zeros((2, 3)), "holds float64 numbers: expected whole ones"),
    ],
)
def test_a_bad_field_is_refused_by_name(truth, perfect, field, value, message):
    with pytest.raises(RequestError, match=message):
        score(PROTOCOLS["diffhoi_hand"], perfect | {field: value}, truth)


def test_half_a_mesh_is_refused(truth, perfect):
    del perfect["object_faces"]
    with pytest.raises(RequestError, match="lacks 'object_faces'"):
        score(PROTOCOLS["diffhoi_object"], perfect, truth)


def test_a_protocol_of_another_task_is_refused(truth, perfect):
    with pytest.raises(RequestError, match="unknown protocol of hand_object 'freihand'"):
        score(PROTOCOLS["freihand"], perfect, truth)


@pytest.mark.parametrize("protocol", CLIP_PROTOCOLS, ids=lambda protocol: protocol.name)
def test_every_metric_is_a_column_or_has_a_reason(truth, noisy, protocol):
    noisy["object_faces"] = noisy["object_faces"][:0]
    for fields in (noisy, {"joints_cam_m": noisy["joints_cam_m"]}):
        scores = score(protocol, fields, truth)
        for name in protocol.metrics:
            needs = set(metrics_of(protocol)[name].needs)
            assert (name in scores.not_applicable) != (needs <= set(scores.columns)), name
        for values in scores.columns.values():
            assert values.shape == (1,)
            assert values.dtype == np.float64

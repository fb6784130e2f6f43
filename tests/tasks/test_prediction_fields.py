import numpy as np
import pytest

from tasks.errors import RequestError
from tasks.prediction_fields import SHAPES, check_shapes
from tasks.registry import TASKS


@pytest.mark.parametrize("task", TASKS)
def test_every_declared_field_has_a_shape_and_no_other(task):
    assert set(SHAPES[task]) == set(TASKS[task].prediction_fields)
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

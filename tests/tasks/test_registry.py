import subprocess
import sys

import pytest

from tasks.errors import RequestError
from tasks.registry import METRICS, PROTOCOLS, TASKS, find_metric, load_task


def test_listing_imports_neither_torch_nor_numpy():
    script = "import sys, tasks.registry; print({'torch', 'numpy', 'scipy', 'PIL'} & set(sys.modules))"
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "set()"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_tasks_declaration_points_at_things_that_exist(task):
    assert set(task.protocols) == set(task.layouts)
    assert set(task.headline) <= set(METRICS)
    for name in task.protocols.values():
        assert set(task.headline) <= set(PROTOCOLS[name].metrics)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_a_protocols_metrics_exist(protocol):
    assert set(protocol.metrics) <= set(METRICS)
    assert protocol.label == f"{protocol.name}/{protocol.version}"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(RequestError, match="did you mean 'single_hand'"):
        load_task("single_hnad")
    with pytest.raises(RequestError, match="did you mean 'mpjpe_mm'"):
        find_metric("mpjpe")


def test_the_single_hand_task_loads():
    task = load_task("single_hand")
    assert task.spec is TASKS["single_hand"]

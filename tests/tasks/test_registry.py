import subprocess
import sys

import pytest

from tasks.errors import RequestError
from tasks.registry import METRICS, PROTOCOLS, TASKS, find_metric, load_task, metrics_of


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
    scored = {metric for p in PROTOCOLS.values() if task.name in p.tasks for metric in p.metrics}
    assert set(task.headline) | set(task.ladder) <= scored
    for name in task.protocols.values():
        assert task.name in PROTOCOLS[name].tasks
        assert set(task.headline) & set(PROTOCOLS[name].metrics)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_a_protocols_metrics_exist(protocol):
    assert set(protocol.metrics) <= set(METRICS)
    assert protocol.label == f"{protocol.name}/{protocol.version}"


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_a_protocols_own_forms_are_of_metrics_it_measures(protocol):
    forms = metrics_of(protocol)
    for own in protocol.own_forms:
        assert own.name in protocol.metrics
        assert forms[own.name] is own
        assert (own.unit, own.direction) == (METRICS[own.name].unit, METRICS[own.name].direction)
    assert metrics_of("no such protocol") == METRICS


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(RequestError, match="did you mean 'single_hand'"):
        load_task("single_hnad")
    with pytest.raises(RequestError, match="did you mean 'mpjpe_mm'"):
        find_metric("mpjpe")


def test_the_single_hand_task_loads():
    task = load_task("single_hand")
    assert task.spec is TASKS["single_hand"]

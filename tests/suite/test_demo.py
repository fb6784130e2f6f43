"""What the demo runs."""

import pytest

from methods.registry import METHODS
from suite import demo
from suite.demo import Entry, Programme, requests, sweeps
from suite.plan import resolve_names, resolve_settings
from suite.sweeps.axes import declared_axes
from tasks.registry import TASKS


def test_every_method_is_run_on_each_of_its_tasks_and_every_request_is_right():
    asked = requests([0, 1])
    for request in asked:
        resolve_names(request)
        resolve_settings(request)
        assert request.seeds == (0, 1)
    plain = {(request.method, request.task) for request in asked if not request.overrides}
    assert {(name, task) for name, spec in METHODS.items() for task in spec.tasks} <= plain


def test_rows_of_a_task_stand_in_one_table():
    asked = requests([0])
    for task in TASKS:
        assert len({(r.protocol, r.size, r.preset) for r in asked if r.task == task}) <= 1


def test_every_paper_has_a_small_ablation_on_the_data_and_the_protocol_of_its_table():
    asked = {request.task: request for request in requests([0])}
    papers = {(name, task) for name, spec in METHODS.items() if spec.kind == "paper" for task in spec.tasks}
    swept = sweeps([0, 1])
    assert {(request.method, request.task) for request, _ in swept} == papers
    for request, axis in swept:
        assert axis in declared_axes(request.method)
        assert request.seeds == (0, 1)
        assert (request.size, request.protocol) == (asked[request.task].size, asked[request.task].protocol)


@pytest.mark.usefixtures("standins_registered")
def test_a_programme_names_protocol_size_variants_and_compositions(monkeypatch):
    entries = (Entry("nudge+relay"), Entry("nudge+relay", {"nudge.offset_m": "0.02"}))
    monkeypatch.setitem(demo.PROGRAMMES, "two_hands", Programme(entries, protocol="im2hands", size=160))
    asked = [request for request in requests([0]) if request.task == "two_hands"]
    assert {(request.protocol, request.size) for request in asked} == {("im2hands", 160)}
    names = [request.method for request in asked]
    assert names[-2:] == ["nudge+relay", "nudge+relay"]
    assert names.index("nudge") < names.index("relay"), "baselines come first"
    assert resolve_settings(asked[-1]).weight == 0

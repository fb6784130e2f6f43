"""What the demo runs."""

import pytest

from methods.registry import METHODS
from suite import demo
from suite.demo import Entry, Programme, requests
from suite.plan import resolve_names, resolve_settings
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


@pytest.mark.usefixtures("standins_registered")
def test_a_programme_names_protocol_size_variants_and_compositions(monkeypatch):
    entries = (Entry("nudge+relay"), Entry("nudge+relay", {"nudge.offset_m": "0.02"}))
    monkeypatch.setitem(demo.PROGRAMMES, "two_hands", Programme(entries, "im2hands", size=160))
    asked = [request for request in requests([0]) if request.task == "two_hands"]
    assert {(request.protocol, request.size) for request in asked} == {("im2hands", 160)}
    names = [request.method for request in asked]
    assert names[-2:] == ["nudge+relay", "nudge+relay"]
    assert names.index("nudge") < names.index("relay"), "baselines come first"
    assert resolve_settings(asked[-1]).weight == 0

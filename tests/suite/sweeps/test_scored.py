"""A sweep is scored by a protocol that measures what its axes ask about."""

import pytest

from suite.plan import Request
from suite.sweeps.scored import scored
from tasks.errors import RequestError


def protocol_of(method, *axes, task="two_hands", protocol=None):
    request, said = scored(Request(method, task, protocol=protocol), axes)
    return request.protocol, " ".join(said)


def test_the_official_protocol_where_it_measures_what_is_asked():
    assert protocol_of("amvur", "supervision", task="single_hand") == ("freihand", "")
    assert protocol_of("digit+im2hands", "refiner_graph") == ("interhand26m", "")


def test_another_one_of_the_task_where_that_measures_more():
    name, said = protocol_of("im2hands", "penetration_weight", "anchors")
    assert name == "im2hands"
    assert said == (
        "scored by protocol 'im2hands': the official 'interhand26m' measures no iou, penetration_cm3."
    )
    assert protocol_of("im2hands")[0] == "im2hands", "all axes"


def test_the_one_that_is_asked_for_and_what_it_leaves_unanswered():
    name, said = protocol_of("im2hands", "penetration_weight", "anchors", protocol="house_two_hands")
    assert name == "house_two_hands"
    assert said.endswith("so they get no answer: anchors (iou).")
    assert "penetration_weight" not in said


def test_every_declared_axis_is_answered_by_some_protocol():
    from methods.registry import METHODS, load_ablations

    for name, spec in METHODS.items():
        if load_ablations(name):
            for task in spec.tasks:
                assert "no answer" not in protocol_of(name, task=task)[1]


def test_an_unknown_axis_is_refused():
    with pytest.raises(RequestError, match="did you mean 'anchors'"):
        protocol_of("im2hands", "anchor")

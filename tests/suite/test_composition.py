"""``SOURCE+METHOD``: what such a name means, and what is refused."""

import json

import pytest

from methods.base import TRUTH
from suite.composition import names_a_method, resolve_entrant, split_overrides
from suite.external import Submission, check_request
from suite.listing import listing
from suite.plan import Request, resolve_settings, source_request
from tasks.errors import RequestError
from tasks.registry import TASKS

pytestmark = pytest.mark.usefixtures("standins_registered")
TWO_HANDS = TASKS["two_hands"]


def test_a_method_alone_is_given_true_keypoints_if_it_is_driven_by_any():
    relay, nudge = (resolve_entrant(name, TWO_HANDS) for name in ("relay", "nudge"))
    assert (relay.name, relay.title, relay.keypoints, relay.keypoints_from) == (
        "relay",
        "Relay",
        TRUTH,
        TRUTH,
    )
    assert relay.flags == ("true keypoints", "true fits")
    assert nudge.keypoints_from is None
    assert nudge.flags == ("true joints",)


def test_the_truth_as_a_source_is_the_method_alone():
    assert resolve_entrant("truth+relay", TWO_HANDS) == resolve_entrant("relay", TWO_HANDS)


def test_a_composed_row_has_both_names_and_saw_what_either_did():
    entrant = resolve_entrant("nudge+relay", TWO_HANDS)
    assert (entrant.name, entrant.title) == ("nudge+relay", "Nudge + Relay")
    assert (entrant.keypoints, entrant.keypoints_from) == ("nudge", "Nudge")
    assert entrant.flags == ("true joints", "true fits")


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("relay+nudge", "two_hands", "'nudge' is not driven by keypoints.*expected one of .*relay"),
        ("nudge+amvur", "single_hand", "'amvur' is not driven by keypoints"),
        ("nudge+amvur", "two_hands", "'amvur' does not solve task 'two_hands'"),
        ("nudge+relay", "single_hand", "'relay' does not solve task 'single_hand'"),
        ("nuge+relay", "two_hands", "unknown source of keypoints 'nuge': did you mean 'nudge'"),
        ("nudge+rellay", "two_hands", "unknown method 'rellay': did you mean 'relay'"),
        ("amvur+relay", "two_hands", "'amvur' does not solve task 'two_hands', so it predicts no keypoints"),
        ("relay+relay", "two_hands", "'relay' is itself driven by keypoints"),
        ("nudge+relay+relay", "two_hands", "no name of a method: expected METHOD, or SOURCE.METHOD"),
        ("+relay", "two_hands", "no name of a method"),
        ("nudge+", "two_hands", "no name of a method"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_sentence(name, task, words):
    with pytest.raises(RequestError, match=words) as refused:
        resolve_entrant(name, TASKS[task])
    assert "\n" not in str(refused.value)


def test_settings_with_the_sources_name_are_the_sources():
    request = Request("nudge+relay", "two_hands", overrides={"nudge.offset_m": "0.02", "weight": "0.5"})
    of_source, of_method = split_overrides(resolve_entrant(request.method, TWO_HANDS), request.overrides)
    assert (of_source, of_method) == ({"offset_m": "0.02"}, {"weight": "0.5"})
    assert resolve_settings(request).weight == 0.5
    assert resolve_settings(source_request(request)).offset_m == 0.02


def test_a_wrong_setting_of_either_is_refused_before_anything_runs():
    for key, near in (("nudge.ofset_m", "offset_m"), ("weigt", "weight")):
        with pytest.raises(RequestError, match=f"did you mean '{near}'"):
            resolve_settings(Request("nudge+relay", "two_hands", overrides={key: "1"}))


def test_submissions_take_no_name_that_a_run_may_have(tmp_path):
    file = tmp_path / "file.npz"
    file.write_bytes(b"")
    for name in ("relay", "nudge+relay", "truth+relay"):
        assert names_a_method(name)
        with pytest.raises(RequestError, match="is the name of a method"):
            check_request(Submission(file, name, "two_hands"))
    assert not names_a_method("ours+relay")
    check_request(Submission(file, "ours+relay", "two_hands"))


def test_the_list_of_methods_says_how_to_give_keypoints():
    rows = {row["name"]: row for row in listing("methods")}
    assert "SOURCE+relay" in rows["relay"]["summary"]
    assert rows["relay"]["flags"] == ["true keypoints", "true fits"]
    assert (rows["relay"]["keypoints"], rows["nudge"]["keypoints"]) == (True, False)
    assert "+" not in rows["nudge"]["summary"]
    json.dumps(list(rows.values()))

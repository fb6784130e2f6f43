"""What may be searched, and how it is written."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.tuning.space import Choice, Range, parse_space, settings
from tasks.errors import RequestError


def only(text):
    return parse_space({"key": text})["key"]


def test_two_numbers_with_dots_between_are_a_range():
    assert only("1e-4..1e-2:log") == Range("1e-4", "1e-2", log=True)
    assert only("0.5..2.") == Range("0.5", "2.", log=False)


def test_bounds_written_as_whole_numbers_draw_whole_numbers():
    assert only("1..8").distribution() == optuna.distributions.IntDistribution(1, 8)
    assert only("1.0..8").distribution() == optuna.distributions.FloatDistribution(1.0, 8.0)


def test_values_with_commas_are_a_choice_each_once():
    assert only("mse, bce,mse") == Choice(("mse", "bce"))


@given(low=st.floats(1e-6, 1.0), factor=st.floats(1.5, 1e4), seed=st.integers(0, 99))
def test_what_is_drawn_is_written_as_a_setting_within_the_bounds(low, factor, seed):
    space = parse_space({"rate": f"{low:.3e}..{low * factor:.3e}:log"})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    drawn = study.ask({"rate": space["rate"].distribution()}).params
    text = settings(space, drawn)["rate"]
    assert len(text.lstrip("0.")) <= 9, "four digits and an exponent"
    assert float(space["rate"].low) <= float(text) * 1.001
    assert float(text) <= float(space["rate"].high) * 1.001


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("2..1", "the lower bound 2 is not below 1"),
        ("0..1:log", "begins above 0"),
        ("3", "expected KEY=LOW..HIGH"),
        ("1..x", "expected KEY=LOW..HIGH"),
        ("a,,b", "expected KEY=LOW..HIGH"),
    ],
)
def test_what_is_no_range_and_no_choice_is_refused(text, complaint):
    with pytest.raises(RequestError, match=complaint):
        only(text)


def test_nothing_to_search_is_refused():
    with pytest.raises(RequestError, match="nothing is searched"):
        parse_space({})

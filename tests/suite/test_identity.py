"""Addresses of values, whole and with parts left open."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from suite.identity import Form, Same, digest

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def test_an_address_is_that_of_the_text_with_sorted_keys():
    text = '{"a":[1,"x"],"b":{"c":null,"d":0.5}}'
    expected = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert digest({"b": {"d": 0.5, "c": None}, "a": (1, "x")}) == expected


@given(st.dictionaries(TEXTS, VALUES, max_size=5), VALUES, VALUES)
def test_a_form_that_is_filled_in_has_the_address_of_the_whole(shared, seed, upstream):
    """Also where what is shared looks like a place that is left open, or like one to format."""
    shared |= {"%": "%(seed)s", "like": '"seed"', "percent": 100.5}
    whole = {**shared, "seed": seed, "upstream": upstream}
    assert Form(shared, "seed", "upstream").digest(seed=seed, upstream=upstream) == digest(whole)


def test_a_key_of_a_cache_equals_itself_alone():
    one, other = {"a": 1}, {"a": 1}
    assert Same(one) == Same(one)
    assert Same(one) != Same(other)
    assert len({Same(one), Same(one), Same(other)}) == 2

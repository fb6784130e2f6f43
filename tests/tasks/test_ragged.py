import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import RequestError
from tasks.ragged import Ragged, concatenate, from_arrays, to_arrays

counts = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8)


def ragged(sizes) -> Ragged:
    """Every row holds its sample, its part and its place."""
    rows = [(i, k, j) for i, pair in enumerate(sizes) for k, n in enumerate(pair) for j in range(n)]
    return Ragged(np.array(rows, np.int64).reshape(-1, 3), np.array(sizes, np.int64))


@given(counts)
def test_every_part_has_its_own_rows(sizes):
    field = ragged(sizes)
    for sample, pair in enumerate(sizes):
        for part, rows in enumerate(field.parts(sample)):
            expected = [(sample, part, place) for place in range(pair[part])]
            assert [tuple(row) for row in rows] == expected


@given(counts, st.data())
def test_taken_rows_are_those_samples(sizes, data):
    field = ragged(sizes)
    chosen = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=6))
    taken = field[np.array(chosen, np.int64)]
    assert len(taken) == len(chosen)
    for place, sample in enumerate(chosen):
        for ours, theirs in zip(taken.parts(place), field.parts(sample), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@given(counts, st.integers(0, 8))
def test_portions_put_together_are_the_whole(sizes, cut):
    field = ragged(sizes)
    whole = concatenate([field[:cut], field[cut:]])
    np.testing.assert_array_equal(whole.values, field.values)
    np.testing.assert_array_equal(whole.counts, field.counts)


@given(counts)
def test_plain_arrays_hold_it_whole(sizes):
    fields = {"meshes": ragged(sizes), "joints": np.zeros((len(sizes), 3))}
    back = from_arrays(to_arrays(fields))
    assert set(back) == {"meshes", "joints"}
    np.testing.assert_array_equal(back["meshes"].values, fields["meshes"].values)
    np.testing.assert_array_equal(back["meshes"].counts, fields["meshes"].counts)


@pytest.mark.parametrize("wrong", [[[1, 1]], [[5, -1]]])
def test_counts_that_do_not_add_up_are_refused(wrong):
    with pytest.raises(RequestError, match="add up to"):
        Ragged(np.zeros((4, 3)) if wrong == [[5, -1]] else np.zeros((3, 3)), np.array(wrong))

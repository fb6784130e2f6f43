import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.metrics.two_hands import handedness_is_right, mrrpe_mm


def test_mrrpe_is_the_length_of_the_difference_in_millimetres():
    predicted, true = np.random.default_rng(0).normal(0, 0.2, (2, 6, 3))
    expected = [1000 * np.sqrt(sum((p - t) ** 2)) for p, t in zip(predicted, true, strict=True)]
    np.testing.assert_allclose(
        mrrpe_mm(torch.from_numpy(predicted), torch.from_numpy(true)).numpy(), expected
    )


@pytest.mark.parametrize(("x_px", "y_px"), [(0, 0), (120, -60), (300, 200)])
def test_a_wrong_relative_depth_costs_its_length_along_the_line_of_sight(x_px, y_px):
    """InterHand2.6M back-projects the left wrist's pixel: 8 mm of depth are 8 sqrt(1 + tan^2) mm of space."""
    focal, depth_m, wrong_m = 500.0, 0.7, 0.008
    ray = np.array([x_px / focal, y_px / focal, 1.0])
    right = np.array([0.05, 0.0, 0.7])
    true, predicted = depth_m * ray - right, (depth_m + wrong_m) * ray - right
    value = mrrpe_mm(*(torch.from_numpy(v[None]) for v in (predicted, true))).item()
    assert value == pytest.approx(8 * np.sqrt(1 + ray[0] ** 2 + ray[1] ** 2))


def test_mrrpe_ignores_where_both_hands_are_and_not_which_is_which():
    rng = np.random.default_rng(1)
    left, right, moved = (torch.from_numpy(rng.normal(size=(4, 3))) for _ in range(3))
    true = left - right
    torch.testing.assert_close(
        mrrpe_mm((left + moved) - (right + moved), true),
        torch.zeros(4, dtype=torch.float64),
        atol=1e-9,
        rtol=0,
    )
    torch.testing.assert_close(mrrpe_mm(-true, true), 2000 * true.norm(dim=1))


def test_a_missing_root_has_no_mrrpe():
    predicted = torch.zeros(2, 3)
    predicted[1, 0] = torch.nan
    assert mrrpe_mm(predicted, torch.zeros(2, 3)).isnan().tolist() == [False, True]


def official_handedness(p_right, p_left, hand):
    if hand == "right":
        return p_right > 0.5 and p_left < 0.5
    if hand == "left":
        return p_left > 0.5 and p_right < 0.5
    return p_right > 0.5 and p_left > 0.5


@settings(deadline=None, max_examples=60)
@given(
    st.floats(0, 1) | st.just(0.5),
    st.floats(0, 1) | st.just(0.5),
    st.sampled_from(["right", "left", "interacting"]),
)
def test_handedness_follows_the_official_comparisons(p_right, p_left, hand):
    there = torch.tensor([[hand != "left", hand != "right"]])
    told = handedness_is_right(torch.tensor([[p_right, p_left]], dtype=torch.float64), there)
    assert told.item() == official_handedness(p_right, p_left, hand)


def test_handedness_without_a_probability_is_undefined():
    probability = torch.tensor([[0.9, torch.nan], [0.9, 0.1]])
    told = handedness_is_right(probability, torch.tensor([[True, False], [True, False]]))
    assert told.isnan().tolist() == [True, False]
    assert told[1] == 1

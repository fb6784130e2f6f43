"""Verdicts: every rule by hand, its mirror images, and how often it is wrong when there is nothing to see."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.ablations.declared import EXPECTATIONS
from reports.ablations.verdicts import RULES, Evidence, against_reference, judge
from reports.statistics import Effect, Samples, block_of, effects
from tasks.base import Metric

NAN = float("nan")
LOWER = Metric("error_mm", "mm", "lower", "error", "", "")
HIGHER = Metric("score", "", "higher", "score", "", "")


def effect(value, error, seeds=3, freedom=8.0):
    """What a difference of known error says."""
    if seeds == 1:
        return Effect(value, NAN, NAN, 50, 50, NAN, 1, value - error, value + error, NAN, NAN, NAN)
    half = scipy.stats.t.ppf(0.975, freedom) * error
    p = 2 * scipy.stats.t.sf(abs(value) / error, freedom)
    detectable = half + scipy.stats.t.ppf(0.8, freedom) * error
    return Effect(
        value, value - half, value + half, 50, 50, p, seeds, value, value, error, freedom, detectable
    )


def evidence(means, reference=None, error=0.1, metric=LOWER, seeds=3, labels=None):
    """Values with these means, NaN for one that is not measured, whose differences all have one error."""
    numbers = range(len(means))

    def found(a, b):
        known = math.isfinite(means[a] - means[b])
        return effect(means[a] - means[b], error, seeds) if known else None

    declared = [number for number in numbers if reference != -1 or number]
    at = 0 if reference in (None, -1) else reference
    return Evidence(metric, labels or [f"v{n}" for n in numbers], declared, at, means, found)


def outcome(expect, means, reference=None, **more):
    return judge(expect, evidence(means, reference, **more)).outcome


def test_every_expectation_has_a_rule():
    assert set(RULES) == set(EXPECTATIONS)


@pytest.mark.parametrize(
    ("expect", "means", "reference", "expected"),
    [
        ("better", [5, 6, 7], 0, "confirmed"),
        ("better", [6, 7, 5], 2, "confirmed"),
        ("better", [5, 6, 5.05], 0, "undecided"),
        ("better", [5, 6, 4], 0, "contradicted"),
        ("worse", [7, 6, 5], 0, "confirmed"),
        ("worse", [7, 6, 7.05], 0, "undecided"),
        ("worse", [7, 6, 8], 0, "contradicted"),
        ("monotone", [7, 6, 5], 0, "confirmed"),
        ("monotone", [5, 6, 7], 0, "confirmed"),
        ("monotone", [7, 7.05, 5], 0, "confirmed"),
        ("monotone", [7, 8, 5], 0, "contradicted"),
        ("monotone", [5, 8, 5.05], 0, "contradicted"),
        ("monotone", [5, 5.1, 5.2], 0, "undecided"),
        ("monotone", [5, 5.05, 6, 5.2], 0, "contradicted"),
        ("monotone", [5, 6], 0, "confirmed"),
        ("monotone", [5], 0, "undecided"),
        ("interior optimum", [7, 5, 6], 0, "confirmed"),
        ("interior optimum", [7, 5, 6], 1, "confirmed"),
        ("interior optimum", [7, 6, 5, 7], 0, "confirmed"),
        ("interior optimum", [7, 5, 5.05], 0, "undecided"),
        ("interior optimum", [4, 5, 6], 0, "contradicted"),
        ("interior optimum", [7, 6, 6.5, 5], 0, "contradicted"),
        ("interior optimum", [5, 5.05, 6], 0, "undecided"),
        ("interior optimum", [5, 6], 0, "undecided"),
        ("unknown", [5, 6, 4], 0, "no claim"),
    ],
)
def test_each_rule_by_hand(expect, means, reference, expected):
    assert outcome(expect, means, reference) == expected
    assert outcome(expect, [-mean for mean in means], reference, metric=HIGHER) == expected


@pytest.mark.parametrize(
    ("expect", "means", "reference", "sentence"),
    [
        ("better", [5, 6, 7], 0, "confirmed: v0 is clearly better than v1 and v2"),
        ("better", [5, 6, 4, 3], 0, "contradicted: v2 and v3 are clearly better than v0"),
        ("worse", [7, 6, 8], 0, "contradicted: v2 is clearly worse than v0"),
        ("monotone", [7, 6, 5], 0, "confirmed: v2 is clearly better than v0, and no step goes clearly against that"),
        ("monotone", [7, 8, 5], 0, "contradicted: v2 is clearly better than v0, but v1 is clearly worse than v0"),
        ("monotone", [5, 8, 5], 0, "contradicted: v1 is clearly worse than v0, but v2 is clearly better than v1"),
        ("monotone", [5], 0, "undecided: a direction needs at least two values"),
        ("interior optimum", [7, 5, 6], 0, "confirmed: v1 is clearly better than v0 and v2"),
        ("interior optimum", [4, 5, 6, 7], 0, "contradicted: v0 is clearly better than v1 and v2"),
        ("interior optimum", [4, 5], 0, "undecided: an interior optimum needs at least three values"),
        ("unknown", [5, 6, 4], 0, "no claim: v2 is clearly better than v0; v1 is clearly worse than v0"),
        ("better", [5], 0, "undecided: there is no other value"),
    ],
)  # fmt: skip
def test_a_verdict_says_why(expect, means, reference, sentence):
    assert judge(expect, evidence(means, reference)).sentence == sentence


def test_what_is_undecided_says_which_difference_could_have_been_shown():
    shown = evidence([5, 5.05, 6], 0).effect(1, 0).detectable
    expected = f"undecided: 3 seeds could have shown a difference of {shown:.2f} mm"
    assert judge("better", evidence([5, 5.05, 6], 0)).sentence == expected
    seen = f"no claim: v2 is clearly worse than v0; the rest is not clear: {expected.partition(': ')[2]}"
    assert judge("unknown", evidence([5, 5.05, 6], 0)).sentence == seen


@pytest.mark.parametrize("expect", ["better", "worse", "monotone", "interior optimum"])
def test_one_seed_decides_nothing_however_large_the_difference(expect):
    assert judge(expect, evidence([5, 50, 500], 0, seeds=1)).sentence == "undecided: one seed"


def test_one_seed_of_an_unknown_effect_says_so():
    assert judge("unknown", evidence([5, 50], 0, seeds=1)).sentence == "no claim: nothing is clear: one seed"


def test_a_value_that_is_not_measured_leaves_a_claim_open_unless_another_one_refutes_it():
    assert judge("better", evidence([5, NAN, 7], 0)).sentence == "undecided: v1 not measured yet"
    assert outcome("better", [5, NAN, 4], 0) == "contradicted"
    assert outcome("worse", [5, NAN, 6], 0) == "contradicted"
    assert judge("monotone", evidence([7, NAN, 5], 0)).sentence.startswith("undecided: v1 not measured yet")
    assert outcome("interior optimum", [7, 5, NAN, 6], 0) == "confirmed"
    assert outcome("interior optimum", [4, 5, NAN, 6], 0) == "undecided"
    assert outcome("better", [NAN, 5, 6], 0) == "undecided"


def test_a_reference_that_is_none_of_the_values_takes_no_part_in_their_order():
    assert outcome("monotone", [1, 7, 6, 5], -1) == "confirmed"
    assert outcome("interior optimum", [1, 7, 5, 6], -1) == "confirmed"
    assert (
        judge("better", evidence([1, 7, 6, 5], -1)).sentence
        == "confirmed: v0 is clearly better than v1, v2 and v3"
    )


def test_a_difference_must_hold_after_the_correction_for_its_family():
    """Alone it is clear; as one of five it is not."""
    means = [5.0, 5.25, 5.0, 5.0, 5.0, 5.0]
    assert outcome("worse", means[:2], 0) == "contradicted"
    assert outcome("worse", means, 0) == "undecided"
    found = against_reference(evidence(means, 0))
    assert found[1, 0].corrected == pytest.approx(5 * found[1, 0].effect.p)


means_lists = st.lists(st.floats(0, 10), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(means=means_lists, data=st.data(), expect=st.sampled_from(EXPECTATIONS))
def test_verdicts_do_not_depend_on_which_direction_is_called_better(means, data, expect):
    reference = data.draw(st.integers(0, len(means) - 1))
    mirrored = judge(expect, evidence([-mean for mean in means], reference, metric=HIGHER))
    assert judge(expect, evidence(means, reference)).outcome == mirrored.outcome


@settings(max_examples=150, deadline=None)
@given(means=means_lists, data=st.data())
def test_better_is_the_mirror_image_of_worse_and_order_is_the_same_from_either_end(means, data):
    reference = data.draw(st.integers(0, len(means) - 1))
    negative = [-mean for mean in means]
    assert outcome("better", means, reference) == outcome("worse", negative, reference)
    assert outcome("monotone", means) == outcome("monotone", means[::-1]) == outcome("monotone", negative)
    assert outcome("interior optimum", means) == outcome("interior optimum", means[::-1])


@settings(max_examples=150, deadline=None)
@given(means=means_lists, data=st.data(), expect=st.sampled_from(EXPECTATIONS))
def test_confirmed_never_becomes_contradicted_with_smaller_errors(means, data, expect):
    reference = data.draw(st.integers(0, len(means) - 1))
    coarse, fine = (outcome(expect, means, reference, error=error) for error in (0.5, 0.005))
    if coarse == "confirmed" and expect in ("better", "worse"):
        assert fine == "confirmed"
    if coarse == "contradicted" and expect in ("better", "worse"):
        assert fine == "contradicted"


def simulated(rng, shifts, n_seeds=3, n_clusters=20):
    """Evidence from values that differ by ``shifts``, as samples and seeds would give it."""
    samples = Samples.of([f"s{i:03d}" for i in range(n_clusters)], [str(i) for i in range(n_clusters)])
    hardness = rng.normal(0, 1, n_clusters)
    rows = [
        shift
        + hardness
        + rng.normal(0, 0.3, (n_seeds, 1))
        + rng.normal(0, 0.3, n_clusters)
        + rng.normal(0, 0.2, (n_seeds, n_clusters))
        for shift in shifts
    ]
    blocks = [block_of([[{"error_mm": seed} for seed in row]], samples, LOWER) for row in rows]
    labels, numbers = [str(n) for n in range(len(shifts))], list(range(len(shifts)))
    means = [float(row.mean()) for row in rows]
    return Evidence(LOWER, labels, numbers, 0, means, lambda a, b: effects(blocks[a], blocks[b])[0])


@pytest.mark.parametrize("expect", ["better", "worse", "monotone", "interior optimum"])
def test_where_nothing_differs_hardly_anything_is_decided(expect):
    rng = np.random.default_rng(30)
    outcomes = [judge(expect, simulated(rng, [0.0] * 4)).outcome for _ in range(200)]
    assert sum(found != "undecided" for found in outcomes) / 200 < 0.08


@pytest.mark.parametrize(
    ("expect", "shifts", "expected"),
    [
        ("better", [0, 3, 4, 5], "confirmed"),
        ("better", [0, 3, -4, 5], "contradicted"),
        ("worse", [0, -3, -4, -5], "confirmed"),
        ("monotone", [0, 1, 2, 4], "confirmed"),
        ("interior optimum", [0, -3, -3, 0], "confirmed"),
    ],
)
def test_a_large_effect_is_nearly_always_seen(expect, shifts, expected):
    rng = np.random.default_rng(31)
    outcomes = [judge(expect, simulated(rng, shifts)).outcome for _ in range(40)]
    assert outcomes.count(expected) >= 36

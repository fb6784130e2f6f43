"""A sweep joined with its records: which rows a table has, what they are compared with, and what is yet to come."""

import math

import numpy as np
import pytest
import scipy.stats

from reports.ablations.study import make_studies
from reports.record import read_records
from reports.statistics import holm


def only(study):
    (ablation,) = study.ablations
    return ablation


def labels(ablation):
    return [ablation.label(variant) for variant in ablation.variants]


def variant_of(ablation, label):
    return ablation.variants[labels(ablation).index(label)]


def values_of(ablation, label, metric="mpjpe_mm"):
    return {
        seed: r.metrics[metric]["value"] for seed, r in variant_of(ablation, label).having(metric).items()
    }


def test_a_value_that_is_the_default_has_its_cells_and_shows_as_the_reference(depth):
    ablation = only(depth.study())
    assert labels(ablation) == ["0", "1", "4"]
    assert ablation.label(ablation.reference) == "4"
    assert ablation.comparison(ablation.reference, "mpjpe_mm") is None


def test_a_reference_that_is_none_of_the_values_stands_before_them_as_it_was_set(sweep):
    sweep.default().axis("weight", "kl.weight", {0.0: 12.0, 1.0: 13.0}, "monotone")
    ablation = only(sweep.study())
    assert labels(ablation) == ["0.1", "0.0", "1.0"]
    assert ablation.reference is ablation.variants[0]
    assert "0.1" not in ablation.verdicts[ablation.axes[0]].reason


def test_a_reference_without_records_or_setting_is_called_default(sweep):
    sweep.default(seeds=()).axis("weight", "kl.weight", {0.0: 12.0}).axis("other", "no.such", {})
    weight, other = sweep.study().ablations
    assert labels(weight) == ["default", "0.0"]
    assert labels(other) == ["default"]


def test_differences_are_over_the_seeds_and_samples_that_both_have(depth):
    ablation = only(depth.study())
    here, there = values_of(ablation, "0"), values_of(ablation, "4")
    by_seed = np.array([here[seed] - there[seed] for seed in (0, 1, 2)])
    effect = ablation.comparison(variant_of(ablation, "0"), "mpjpe_mm").effect
    assert effect.value == pytest.approx(by_seed.mean(), rel=1e-9)
    assert effect.seed_sd == pytest.approx(by_seed.std(ddof=1), rel=1e-9)
    assert (effect.seeds, effect.n) == (3, 48)
    samples = np.mean(
        [
            a.per_sample.groupby("cluster")["mpjpe_mm"].mean()
            - b.per_sample.groupby("cluster")["mpjpe_mm"].mean()
            for a, b in zip(
                *ablation.pair(variant_of(ablation, "0"), ablation.reference, "mpjpe_mm"), strict=True
            )
        ],
        axis=0,
    )
    error = math.hypot(scipy.stats.sem(samples), scipy.stats.sem(by_seed))
    assert effect.high - effect.value == pytest.approx(
        scipy.stats.t.ppf(0.975, effect.freedom) * error, rel=1e-6
    )


def test_comparisons_of_a_table_are_corrected_for_each_other(depth):
    ablation = only(depth.study())
    found = [ablation.comparison(variant, "mpjpe_mm") for variant in ablation.variants[:2]]
    assert [each.corrected for each in found] == holm([each.effect.p for each in found])
    assert [each.gain for each in found] == [-1, -1]
    assert ablation.verdicts[ablation.axes[0]].sentence == "confirmed: 4 is clearly better than 0 and 1"


def test_cells_that_are_missing_are_yet_to_come(sweep):
    changes = {0: {"seeds": (0, 1)}, 1: {"seeds": ()}}
    sweep.default().axis("depth", "layers", {0: 14.0, 1: 12.0, 4: 10.0}, changes=changes)
    ablation = only(sweep.study())
    few, none, all_of_them = ablation.variants
    assert [len(variant.records) for variant in ablation.variants] == [2, 0, 3]
    assert few.seeds_asked == 3
    assert ablation.comparison(few, "mpjpe_mm").effect.seeds == 2
    assert ablation.comparison(none, "mpjpe_mm").effect is None
    assert ablation.row(none, "mpjpe_mm") is None
    assert math.isnan(ablation.mean(none, "mpjpe_mm"))
    assert ablation.row(all_of_them, "mpjpe_mm").seeds == [0, 1, 2]
    assert ablation.verdicts[ablation.axes[0]].reason.startswith("1 not measured yet")


def test_no_records_at_all_decide_nothing(sweep):
    ablation = only(
        sweep.default(seeds=()).axis("depth", "layers", {0: 14.0}, changes={0: {"seeds": ()}}).study()
    )
    assert ablation.verdicts[ablation.axes[0]].sentence == "undecided: default and 0 not measured yet"


def test_one_seed_decides_nothing(sweep):
    sweep.seeds = (0,)
    ablation = only(sweep.default().axis("depth", "layers", {0: 30.0, 4: 10.0}).study())
    effect = ablation.comparison(ablation.variants[0], "mpjpe_mm").effect
    assert math.isnan(effect.p)
    assert effect.sample_low > 10
    assert ablation.verdicts[ablation.axes[0]].sentence == "undecided: one seed"


def test_a_cell_without_the_metric_is_left_out_with_its_seed_of_the_reference(sweep):
    changes = {0: {"lacking": (1,)}}
    ablation = only(sweep.default().axis("depth", "layers", {0: 14.0, 4: 10.0}, changes=changes).study())
    here, there = values_of(ablation, "0"), values_of(ablation, "4")
    assert (set(here), set(there)) == ({0, 2}, {0, 1, 2})
    effect = ablation.comparison(ablation.variants[0], "mpjpe_mm").effect
    assert effect.value == pytest.approx(np.mean([here[seed] - there[seed] for seed in (0, 2)]), rel=1e-9)
    assert len(ablation.variants[0].records) == 3


def test_variants_without_a_common_seed_are_not_compared(sweep):
    changes = {0: {"seeds": (2,)}, 4: {"seeds": (0, 1)}}
    sweep.default(seeds=(0, 1)).axis("depth", "layers", {0: 14.0, 4: 10.0}, changes=changes)
    ablation = only(sweep.study())
    assert ablation.comparison(ablation.variants[0], "mpjpe_mm").effect is None
    assert ablation.verdicts[ablation.axes[0]].sentence == "undecided: no common seed yet"


def test_two_axes_share_the_cells_of_the_default(sweep):
    sweep.default().axis("depth", "layers", {1: 12.0, 4: 10.0})
    sweep.axis("supervision", "supervision", {"full": 10.0, "weak": 13.0})
    first, second = sweep.study().ablations
    assert first.reference.records == second.reference.records
    assert (labels(first), labels(second)) == (["1", "4"], ["full", "weak"])
    assert len(list((sweep.root / "records").iterdir())) == 9
    assert {verdict.outcome for each in (first, second) for verdict in each.verdicts.values()} == {
        "confirmed"
    }


def test_what_makes_a_question_meaningful_is_given_to_its_reference_as_well(sweep):
    """The axis's reference is another point without values, named by its number."""
    sweep.default()
    sweep.point({}, {"supervision": "weak"}, 13.0)
    sweep.point({"weight": "1.0"}, {"supervision": "weak", "kl.weight": 1.0}, 15.0)
    sweep.declare("weight", "kl.weight", [1.0], "better")
    said = sweep.said()
    said["axes"][0]["reference"] = 1
    (study,) = make_studies([said], read_records(sweep.root / "records"))
    ablation = only(study)
    assert {record.header["identity"]["config"]["supervision"] for record in ablation.reference.records} == {
        "weak"
    }
    assert labels(ablation) == ["0.1", "1.0"]


def test_an_axis_of_keypoints_is_called_by_its_sources(sweep):
    sweep.default(method="im2hands")
    sweep.point({"source": "digit"}, {"layers": 4}, 12.0, method="digit+im2hands")
    sweep.declare("source", "keypoints", ["digit"], "unknown")
    assert labels(only(sweep.study())) == ["truth", "digit"]


def test_a_grid_is_one_table_of_all_combinations_and_judges_each_axis_where_the_others_are_as_usual(grid):
    ablation = only(grid.study(grid=True))
    assert labels(ablation) == ["1 · full", "1 · weak", "4 · full", "4 · weak"]
    assert ablation.label(ablation.reference) == "4 · full"
    assert list(ablation.metrics) == ["mpjpe_mm", "pa_mpvpe_mm"]
    depth, supervision = ablation.verdicts.values()
    assert depth.sentence == "confirmed: 4 is clearly better than 1"
    assert supervision.sentence == "contradicted: weak is clearly worse than full"
    assert (
        ablation.seen["mpjpe_mm"].reason == "1 · full, 1 · weak and 4 · weak are clearly worse than 4 · full"
    )


def test_a_grid_without_what_it_is_compared_with_judges_no_axis(sweep):
    sweep.default()
    for layers, level in ((0, 14.0), (1, 12.0)):
        sweep.point(
            {"depth": str(layers), "supervision": "weak"}, {"layers": layers, "supervision": "weak"}, level
        )
    sweep.declare("depth", "layers", [0, 1], "monotone")
    sweep.declare("supervision", "supervision", ["weak"], "worse")
    ablation = only(sweep.study(grid=True))
    assert labels(ablation) == ["4 · full", "0 · weak", "1 · weak"]
    reasons = {verdict.sentence for verdict in ablation.verdicts.values()}
    assert reasons == {"undecided: what it is compared with is none of the combinations"}
    assert ablation.seen["mpjpe_mm"].reason == "0 · weak and 1 · weak are clearly worse than 4 · full"


def test_settings_without_any_effect_differ_by_nothing(sweep):
    """The records of the value are those of the reference, number by number."""
    sweep.default().axis("depth", "layers", {3: 10.0, 4: 10.0})
    ablation = only(sweep.study())
    effect = ablation.comparison(ablation.variants[0], "mpjpe_mm").effect
    assert (effect.value, effect.low, effect.high, effect.p) == (0, 0, 0, 1)

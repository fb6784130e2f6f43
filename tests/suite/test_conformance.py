"""The conformance suite over every registered method, and over one that breaks the contract."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from methods.registry import METHODS
from suite import conformance
from tasks.errors import RequestError
from tasks.ragged import Ragged
from tests.suite import standins


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_keeps_the_contract(method):
    results = list(conformance.examine(method))
    assert [f"{r['name']}: {r['why']}" for r in results if not r["ok"]] == []
    assert len(results) == 1 + len(conformance.REQUIREMENTS) * len(METHODS[method].tasks)


def test_a_requirement_that_raises_is_a_cross_with_the_error():
    def explodes(subject):
        """It holds."""
        raise ValueError("boom")

    result = conformance._tried("single_hand: ", explodes, None)
    assert result == {"name": "single_hand: It holds", "ok": False, "why": "ValueError: boom"}


def bench_of(method, data):
    return conformance.make_bench(method, "two_hands", data)


def crosses(bench):
    results = [conformance._tried("", requirement, bench) for requirement in conformance.REQUIREMENTS]
    return {result["name"]: result["why"] for result in results if not result["ok"]}


@pytest.mark.parametrize("method", ["nudge", "relay"])
def test_methods_on_two_hands_with_several_stages_are_examined_whole(
    standins_registered, pairs_data, method, monkeypatch
):
    trained = []
    train = conformance._train_a_little

    def noted(bench, stage, module, samples):
        trained.append((stage.name, len(samples)))
        return train(bench, stage, module, samples)

    monkeypatch.setattr(conformance, "_train_a_little", noted)
    assert crosses(bench_of(method, pairs_data)) == {}
    stages = {"nudge": [("nudge", 16)], "relay": [("polish", 8), ("first", 8), ("second", 8)]}
    assert trained == stages[method]


def test_a_hand_that_is_there_needs_numbers_and_one_that_is_not_needs_none(
    standins_registered, pairs_data, monkeypatch
):
    bench, predict = bench_of("nudge", pairs_data), standins.Nudge.predict
    assert conformance.predictions_have_the_declared_fields(bench) == ""

    def without_a_thumb(self, modules, batch):
        fields = predict(self, modules, batch)
        fields["joints_cam_m"][0, :, 2] = torch.nan
        return fields

    monkeypatch.setattr(standins.Nudge, "predict", without_a_thumb)
    assert (
        conformance.predictions_have_the_declared_fields(bench) == "wrong length or not finite: joints_cam_m"
    )


def test_what_is_derived_beside_others_must_not_depend_on_them(standins_registered, pairs_data, monkeypatch):
    def mixed(self, upstream, batch):
        return {"anchors": batch.keypoints_cam_m - batch.keypoints_cam_m.mean(dim=0)}

    monkeypatch.setattr(standins.Second, "derive", mixed)
    why = conformance.what_is_derived_depends_on_the_sample_alone(bench_of("relay", pairs_data))
    assert why == "stage 'second' derives otherwise beside other samples: anchors"


def test_batches_must_not_share_memory(standins_registered, pairs_data, monkeypatch):
    kept = torch.zeros(8, 2, 4)

    def cut_from_what_is_kept(self, batch, noise):
        return replace(batch, derived={"kept": kept[: len(batch)]})

    monkeypatch.setattr(standins.First, "prepare", cut_from_what_is_kept)
    why = conformance.batches_share_no_memory(bench_of("relay", pairs_data))
    assert why == "stage 'first' is given 'kept' in the memory of another batch: clone it"


def test_samples_must_not_vanish_without_a_reason(standins_registered, pairs_data, monkeypatch):
    monkeypatch.setattr(standins.First, "select", lambda self, data: (data.part(np.arange(2)), {}))
    why = conformance.samples_are_chosen_or_left_out_for_a_reason(bench_of("relay", pairs_data))
    assert why == "stage 'first' accounts for another number of train samples than there are"


def test_a_composed_name_is_no_method_to_examine():
    with pytest.raises(RequestError, match="check its parts, digit and halo"):
        next(conformance.examine("digit+halo"))


def rows(*counts, value=0.0):
    return Ragged(np.full((sum(counts), 3), value), np.array([counts]))


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        (rows(100, 200), 0.0),
        (rows(100, 200, value=0.1), 1.0),
        (rows(100, 198), 2 / 300),
        (rows(0, 200), 1 / 3),
        (rows(0, 0), 1.0),
    ],
)
def test_ragged_fields_differ_by_their_values_or_by_the_rows_that_one_lacks(other, differing):
    assert conformance._share_differing(rows(100, 200), other) == pytest.approx(differing)
    assert conformance._share_differing(other, rows(100, 200)) == pytest.approx(differing)


def test_the_protocol_measures_what_ranks():
    for task in conformance.TASKS.values():
        protocol = conformance.scoring_protocol(task)
        assert task.headline[0] in protocol.metrics
        assert task.name in protocol.tasks

"""Processor hours from what records tell of their stages."""

import pytest

from reports.ablations.cost import Cost, training_cost
from reports.record import Record

CPU, GPU = "x86_64 CPU, 3 threads", "NVIDIA H100 80GB HBM3"


def record(*stages, cpus=4, gpus=0.0, workers=1):
    cost = {"train_s": 0.0, "workers": workers, "cpus_per_worker": cpus, "gpus_per_worker": gpus}
    return Record(None, {"stages": list(stages), "cost": cost})


def stage(hours, device=CPU, workers=1, cached=False):
    return {"train_s": 3600 * hours, "device": device, "workers": workers, "cached": cached}


def test_every_stage_counts_with_its_workers_whether_it_was_trained_or_reused():
    found = training_cost([record(stage(0.5, workers=2), stage(1.0, cached=True))])
    assert found == Cost(cpu_h=4 * (0.5 * 2 + 1.0), gpu_h=0)


def test_hours_of_gpus_stand_apart_from_hours_of_cpus():
    found = training_cost([record(stage(1.0, GPU, workers=2), stage(0.25), gpus=0.5)])
    assert found == Cost(cpu_h=1.0, gpu_h=1.0)
    assert found.text == "1.0 CPU-h + 1.0 GPU-h"


def test_a_reused_stage_that_a_gpu_trained_took_a_gpu_even_for_a_cell_without_one():
    assert training_cost([record(stage(2.0, GPU, cached=True))]) == Cost(0, 2.0)


def test_a_stage_that_names_no_device_ran_where_its_cell_ran():
    bare = {"train_s": 3600.0}
    assert training_cost([record(bare, gpus=1.0)]) == Cost(0, 1.0)
    assert training_cost([record(bare, workers=3, cpus=2)]) == Cost(6.0, 0)


def test_a_run_inside_the_calling_process_has_one_worker():
    assert training_cost([record({"train_s": 3600.0}, workers=0, cpus=1)]) == Cost(1.0, 0)


def test_the_cost_of_a_variant_is_the_mean_over_its_seeds():
    assert training_cost([record(stage(1.0)), record(stage(3.0))]) == Cost(8.0, 0)


def test_what_a_record_does_not_tell_is_unknown_and_never_nothing():
    untold = Record(None, {"stages": [{"name": "regressor"}], "cost": {"train_s": 1.5}})
    assert training_cost([untold]) is None
    assert training_cost([record(stage(1.0)), untold]) is None
    assert training_cost([]) is None


def test_a_method_without_training_costs_nothing():
    assert training_cost([record()]).text == "none"


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0.00421, "0.0042 CPU-h"),
        (0.42, "0.42 CPU-h"),
        (4.21, "4.2 CPU-h"),
        (42.1, "42 CPU-h"),
        (4212.0, "4212 CPU-h"),
    ],
)
def test_hours_have_two_digits_and_no_exponent(hours, text):
    assert Cost(hours, 0).text == text

"""The generic loop on a toy stage: what it computes, how it resumes, how it fails."""

import os
import time
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn

from methods.base import Stage, StageSpec
from methods.config import SingleStageConfig, TrainingConfig
from suite.curves import CurveFile, make_point, read_curve
from suite.loop import (
    PlainSession,
    Schedule,
    TrainingDivergedError,
    ahead,
    by_processes,
    mix,
    train_stage,
    whole_set,
)


@dataclass
class Batch:
    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.x.to(device), self.y.to(device))


class Line:
    """y = 3 x + 1 with noise."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(count, 1, generator=generator)
        self.y = 3 * self.x + 1 + 0.01 * torch.randn(count, 1, generator=generator)

    def __len__(self) -> int:
        return len(self.x)

    def gather(self, indices: torch.Tensor) -> Batch:
        return Batch(self.x[indices], self.y[indices])


class Regression(Stage):
    spec = StageSpec("regression")

    def build(self, config, hand, upstream):
        return nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.2), nn.Linear(8, 1))

    def loss(self, module, batch, progress):
        return {"total": (module(batch.x) - batch.y).square().mean()}


class Diverging(Regression):
    def loss(self, module, batch, progress):
        factor = float("nan") if progress.step >= 5 else 1.0
        return {"total": module(batch.x).mean() * factor}


class Interrupted(Regression):
    """Dies in the third epoch, as a killed process does: without a word to the loop."""

    def loss(self, module, batch, progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt
        return super().loss(module, batch, progress)


def no_augment(batch, settings, generator):
    return batch


def run(folder, stage, epochs=4, seed=0, session=None, data=None, **settings):
    training = TrainingConfig(epochs=epochs, batch_size=16, learning_rate=0.05, **settings)
    config = SingleStageConfig(training=training)
    data = data or {"train": Line(100), "val": Line(20)}
    torch.manual_seed(mix(seed, -2, 0))
    module = stage.build(config, None, {})
    session = session or PlainSession(folder)
    return train_stage(stage, module, data, config, seed, session, folder / "curve.jsonl", no_augment)


def weights(module):
    return torch.cat([p.flatten() for p in module.state_dict().values()])


def test_training_fits_the_line(tmp_path):
    module = run(tmp_path, Regression(), epochs=30).eval()
    assert module(torch.tensor([[2.0]])).item() == pytest.approx(7.0, abs=0.5)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    first, again = run(tmp_path / "a", Regression()), run(tmp_path / "b", Regression())
    other = run(tmp_path / "c", Regression(), seed=1)
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_an_interrupted_training_resumes_and_ends_bit_for_bit_as_if_undisturbed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a", Interrupted())
    resumed = run(tmp_path / "a", Regression())
    undisturbed = run(tmp_path / "b", Regression())
    assert torch.equal(weights(resumed), weights(undisturbed))
    curves = [
        [(p["step"], p["name"], p["value"]) for p in read_curve(tmp_path / x / "curve.jsonl")] for x in "ab"
    ]
    assert curves[0] == curves[1]


class SecondRank(PlainSession):
    rank = 1


def test_every_rank_resumes_with_its_optimisers_state(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupted())
    steps, step = [], torch.optim.AdamW.step

    def noted(self, *arguments):
        steps.append({int(state["step"]) for state in self.state.values()})
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    run(tmp_path, Regression(), session=SecondRank(tmp_path))
    assert steps[0] == {2 * (100 // 16)}


def test_a_finished_training_run_again_changes_nothing(tmp_path):
    first = weights(run(tmp_path, Regression()))
    assert torch.equal(first, weights(run(tmp_path, Regression())))


def test_a_loss_that_is_not_finite_stops_with_its_name_and_step(tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"loss 'total' is not finite at step 6"):
        run(tmp_path, Diverging())


def test_curves_hold_every_term_for_training_and_validation_once(tmp_path):
    run(tmp_path, Regression())
    points = read_curve(tmp_path / "curve.jsonl")
    keys = [(p["step"], p["name"]) for p in points]
    assert len(keys) == len(set(keys))
    assert {name for _, name in keys} == {"train/total", "val/total"}
    assert max(step for step, _ in keys) == 4 * (100 // 16)


def test_an_epoch_may_be_a_part_of_the_set_drawn_anew_each_time(tmp_path):
    run(tmp_path, Regression(), epoch_samples=40)
    points = read_curve(tmp_path / "curve.jsonl")
    assert max(p["step"] for p in points if p["name"] == "train/total") == 4 * (40 // 16)


def test_a_part_of_a_set_is_spread_evenly_over_it():
    stage = Regression()
    whole = torch.cat([batch.x for batch in whole_set(stage, Line(20), 8)])
    part = torch.cat([batch.x for batch in whole_set(stage, Line(20), 3, most=5)])
    assert torch.equal(part, whole[::4])
    assert sum(len(batch) for batch in whole_set(stage, Line(20), 8, most=50)) == 20


def test_a_half_written_line_of_a_curve_is_left_out_and_later_points_are_dropped_on_resume(tmp_path):
    path = tmp_path / "curve.jsonl"
    CurveFile(path, 0).append([make_point(step, "train/total", 1.0, 0) for step in (1, 2, 3)])
    with path.open("a") as file:
        file.write('{"step": 4, "na')
    assert [p["step"] for p in read_curve(path)] == [1, 2, 3]
    CurveFile(path, 2)
    assert [p["step"] for p in read_curve(path)] == [1, 2]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_the_learning_rate_rises_then_follows_its_schedule(schedule):
    settings = TrainingConfig(epochs=10, schedule=schedule, warmup_fraction=0.1)
    factors = [Schedule(settings, 10).factor(step) for step in range(100)]
    assert factors[0] < factors[5] < factors[10] == pytest.approx(1.0)
    assert factors[-1] == pytest.approx({"constant": 1.0, "cosine": 0.0, "step": 0.1}[schedule], abs=1e-3)


def test_a_rate_may_fall_in_several_steps():
    settings = TrainingConfig(schedule="step", step_every=0.25, step_factor=0.2, warmup_fraction=0, epochs=10)
    factors = [Schedule(settings, 10).factor(step) for step in (0, 24, 25, 50, 99)]
    assert factors == pytest.approx([1, 1, 0.2, 0.04, 0.008])


@pytest.mark.parametrize("processes", [0, 2])
def test_items_prepared_ahead_come_in_order_and_errors_come_through(processes):
    def decode(number):
        if number == 3:
            raise ValueError("broken image")
        return number

    prepared = ahead(by_processes(decode, range(5), processes))
    assert [next(prepared) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="broken image"):
        next(prepared)


def test_processes_make_what_they_are_asked_for():
    makers = list(by_processes(lambda _: os.getpid(), range(8), 2))
    assert len(set(makers)) == 2
    assert os.getpid() not in makers


class Drawing(Regression):
    """What it is given depends on the noise that it is prepared with, and takes unlike long."""

    def prepare(self, batch, noise):
        draw = torch.rand(1, generator=noise)
        time.sleep(0.005 * float(draw))
        return Batch(batch.x + draw, batch.y)


class ManyPreparers(PlainSession):
    preparers = 2


def test_how_many_processes_prepare_batches_does_not_change_the_weights(tmp_path):
    none = run(tmp_path / "a", Drawing())
    two = run(tmp_path / "b", Drawing(), session=ManyPreparers(tmp_path / "b"))
    assert torch.equal(weights(none), weights(two))


def test_no_batch_shares_memory_with_another(tmp_path):
    """To send a tensor to another process is to move its memory, whoever else is reading there."""
    asked = []

    class Asked(Line):
        def gather(self, indices):
            asked.append(indices)
            return super().gather(indices)

    data = {"train": Asked(100), "val": Asked(40)}
    run(tmp_path, Regression(), data=data, epochs=2)
    places = {indices.untyped_storage().data_ptr() for indices in asked}
    assert len(places) == len(asked) == 2 * (100 // 16 + 3)


def test_every_batch_is_disturbed_anew(tmp_path):
    seen = []

    class Listening(Drawing):
        def prepare(self, batch, noise):
            seen.append(noise.initial_seed())
            return super().prepare(batch, noise)

    run(tmp_path, Listening(), epochs=2, validation_samples=1)
    assert len(set(seen)) == 2 * (100 // 16) + 1


@pytest.mark.parametrize(("asked", "times"), [(10, 1), (None, 3)])
def test_a_set_number_of_validation_samples_is_prepared_once(tmp_path, asked, times):
    class Counting(Regression):
        prepared = 0

        def prepare(self, batch, noise):
            self.prepared += len(batch)
            return super().prepare(batch, noise)

    stage = Counting()
    run(tmp_path, stage, epochs=3, validation_samples=asked)
    validated = stage.prepared - 3 * (100 - 100 % 16)
    assert validated == times * (asked or 20)


def test_a_compiled_training_learns_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    torch.compiler.reset()
    graphs = torch._dynamo.utils.counters["stats"]
    graphs.clear()
    plain = run(tmp_path / "a", Regression())
    assert not graphs["unique_graphs"]
    same = run(tmp_path / "b", Regression(), compile=True)
    assert graphs["unique_graphs"]
    assert list(same.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(weights(same), weights(plain))


def test_seeds_of_neighbouring_epochs_and_ranks_differ():
    seeds = {mix(seed, epoch, rank) for seed in range(5) for epoch in range(20) for rank in range(-1, 4)}
    assert len(seeds) == 5 * 20 * 5

"""What a stage derives of its samples: made once by the stages before it, kept, and handed to the training."""

import numpy as np
import pytest
import torch

from methods.base import StageSpec
from suite.derived import derive, derive_shard
from suite.home import Home
from suite.run import run_cells
from suite.shards import SampleStore, write_arrays
from suite.stage_data import training_data
from suite.stage_plan import DERIVED, planned_stages
from suite.staging import trained_stages
from suite.train import Resources, StageJob
from tests.suite import standins
from tests.suite.pairs import counting, dying_after, pair_cells

HERE = Resources(workers=0)


def silently(done, total):
    pass


def kept(home):
    (folder,) = home.derived.iterdir()
    return SampleStore(folder)


@pytest.fixture(scope="module")
def ready(tmp_path_factory, run_pairs):
    home = Home(tmp_path_factory.mktemp("home"))
    return home, run_pairs(home, "relay")


@pytest.fixture
def job(home, standins_registered, pairs_data, monkeypatch):
    """The job of ``second``, which derives, in a home where ``first`` is trained."""
    (cell,) = pair_cells(home, pairs_data, "relay")
    planned = planned_stages(cell)[-1]
    with monkeypatch.context() as patch:
        patch.setattr(standins, "relay_stages", lambda config, keypoints: [standins.FIRST])
        trained_stages(home, cell, HERE)
    return StageJob.of(home, cell, planned, HERE)


def test_the_record_says_what_was_derived_and_from_which_samples(ready):
    home, header = ready
    first, second = header["stages"]
    assert kept(home).folder.name == second["derived"]
    assert second["derive_s"] > 0
    assert "derived" not in first
    assert second["samples"] == {
        "train": {"used": 8, "left_out": {"one hand": 8}},
        "val": {"used": 4, "left_out": {"one hand": 4}},
    }


def test_every_chosen_sample_is_derived_once_in_its_place_with_its_type(ready):
    store = kept(ready[0])
    for split, count in (("train", 8), ("val", 4)):
        arrays = store.arrays(split)
        assert arrays["anchors"].shape == (count, 2, 21, 3)
        assert arrays["anchors"].dtype == np.float16
        assert arrays["index"][:, 0].tolist() == list(range(count))
        assert isinstance(arrays["anchors"], np.memmap)
    assert store.note()["samples"] == {"train": 8, "val": 4}


@torch.no_grad()
def test_the_stage_before_derives_it_and_batches_hold_it(home, job):
    derive(job, HERE, silently)
    first = standins.Map()
    first.load_state_dict(
        torch.load(home.stages / dict(job.upstream)["first"] / "weights.pt", weights_only=True)
    )
    batch = training_data(job, standins.Second(None))["train"].gather(torch.tensor([6, 1]))
    assert torch.equal(batch.derived["anchors"], first(batch.keypoints_cam_m).half())
    assert batch.derived["index"].tolist() == [[6, 6], [1, 1]]


def test_another_variant_of_a_later_stage_takes_what_is_there(ready, run_pairs, monkeypatch):
    home, header = ready
    monkeypatch.setattr(standins.Second, "derive", lambda *arguments: pytest.fail("derived again"))
    other = run_pairs(home, "relay", weight=0.5)
    assert other["state"] == "done"
    assert [stage["cached"] for stage in other["stages"]] == [True, False]
    assert other["stages"][1]["derived"] == header["stages"][1]["derived"]


def test_what_changes_it_is_another_address(standins_registered, pairs_data, home):
    def address(method="relay", seed=0, **overrides):
        (cell,) = pair_cells(home, pairs_data, method, (seed,), **overrides)
        second = planned_stages(cell)[-1]
        return second.inputs[DERIVED], second.key

    plain = address()
    assert address(scale=2)[0] != plain[0], "its slice"
    assert address(augment__flip=0)[0] != plain[0], "the stage before"
    assert address(seed=1)[0] != plain[0], "the seed of the stage before"
    assert address(weight=1)[0] == plain[0]
    assert address(weight=1)[1] != plain[1]
    assert address("nudge+relay") == plain


def test_deriving_goes_on_after_a_kill_in_the_middle_of_it(home, job, monkeypatch):
    monkeypatch.setattr("suite.shards.SHARD_SAMPLES", 3)
    monkeypatch.setattr("suite.shards.BATCH_SAMPLES", 2)
    with monkeypatch.context() as patch:
        patch.setattr("suite.derived.write_arrays", dying_after(4, write_arrays))
        with pytest.raises(KeyboardInterrupt):
            derive(job, HERE, silently)
    store, again = kept(home), []
    assert store.note() is None
    assert len(list(store.folder.glob("shards/*.npz"))) == 4
    monkeypatch.setattr("suite.derived.derive_shard", counting(again, derive_shard))
    derive(job, HERE, silently)
    assert again == [("val", 1)]
    assert not (store.folder / "shards").exists()
    for split, count in (("train", 8), ("val", 4)):
        assert store.arrays(split)["index"][:, 0].tolist() == list(range(count))


def test_a_kill_while_it_is_put_together_leaves_nothing_that_looks_whole(home, job, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("suite.shards.write_json", dying_after(0, None))
        with pytest.raises(KeyboardInterrupt):
            derive(job, HERE, silently)
    cut_off = kept(home).folder / "train" / ".anchors.999999"
    cut_off.write_bytes(b"half of it")
    assert kept(home).note() is None
    derive(job, HERE, silently)
    assert sorted(kept(home).arrays("train")) == ["anchors", "index"]
    assert not cut_off.exists()


def test_a_kill_in_the_training_costs_neither_the_stage_before_nor_what_was_derived(
    ready, home, pairs_data, monkeypatch
):
    _, undisturbed = ready

    def killed_in_the_second_epoch(self, module, batch, progress):
        if progress.epoch == 1:
            raise KeyboardInterrupt
        return loss(self, module, batch, progress)

    loss = standins.Second.loss
    cells = pair_cells(home, pairs_data, "relay")
    with monkeypatch.context() as patch:
        patch.setattr(standins.Second, "loss", killed_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            run_cells(home, cells, HERE)
    for name in ("First.loss", "Second.derive", "Second.select"):
        monkeypatch.setattr(f"tests.suite.standins.{name}", lambda *arguments: pytest.fail("done again"))
    (header,) = run_cells(home, cells, HERE)
    assert header["state"] == "done", header["reason"]
    assert header["metrics"] == undisturbed["metrics"]


def test_samples_that_depend_on_a_setting_outside_the_slice_are_noticed(home, job, monkeypatch):
    derive(job, HERE, silently)
    (job.folder / "frames.npz").unlink()
    select = standins.Second.select

    def fewer(self, dataset):
        chosen, left_out = select(self, dataset)
        return chosen.part(np.arange(1, len(chosen))), {**left_out, "first": 1}

    monkeypatch.setattr(standins.Second, "select", fewer)
    with pytest.raises(RuntimeError, match="'second' has derived other samples than it selects"):
        derive(job, HERE, silently)


def test_a_stage_without_a_sample_fails_with_its_reasons_before_it_trains(home, pairs_data, monkeypatch):
    def none(self, dataset):
        return dataset.part(np.zeros(0, np.int64)), {"too small": len(dataset) - 1, "black": 1}

    monkeypatch.setattr(standins.First, "select", none)
    monkeypatch.setattr("suite.staging.train", lambda *arguments: pytest.fail("trained"))
    (header,) = run_cells(home, pair_cells(home, pairs_data, "relay"), HERE)
    assert header["state"] == "failed"
    assert header["reason"] == "stage 'first' has no training sample left: 15 too small, 1 black."


def test_what_a_stage_leaves_out_is_said_once(home, run_pairs, capsys):
    run_pairs(home, "relay")
    said = [line for line in capsys.readouterr().err.splitlines() if "first learns from" in line]
    assert said == [
        "relay seed 0: first learns from 8 train samples (left out: 8 one hand), 4 val samples (left out: 4 one hand)"
    ]


class Third(standins.RelayStage):
    """Needs a stage that needs one itself."""

    spec = StageSpec("third", needs=("second",))

    def build(self, config, hand, upstream):
        assert sorted(upstream) == ["second"]
        return standins.Map()

    def points(self, batch):
        return batch.keypoints_cam_m


def test_a_stage_is_built_from_those_it_needs_and_these_from_theirs(home, run_pairs, monkeypatch):
    def build(self, config, hand, upstream):
        assert sorted(upstream) == ["first"]
        return standins.Map()

    stages = standins.relay_stages
    monkeypatch.setattr(standins.Second, "build", build)
    monkeypatch.setattr(standins, "STAGES", [*standins.STAGES, Third])
    monkeypatch.setattr(standins, "relay_stages", lambda *given: [*stages(*given), Third.spec])
    header = run_pairs(home, "relay")
    assert header["state"] == "done", header["reason"]
    assert [stage["name"] for stage in header["stages"]] == ["first", "second", "third"]

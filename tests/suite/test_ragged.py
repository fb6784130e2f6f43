"""Fields of which every sample has another number of rows, from a method's prediction to the record and back."""

import numpy as np
import pytest
import torch

from reports.record import read_record
from suite.external import fingerprint
from suite.home import Home
from suite.scoring import RENDERED_SAMPLES, sample_renders
from suite.stored import rescore
from tasks.ragged import Ragged
from tasks.two_hands import TwoHands
from tests.suite import standins

SURFACE, LABEL = "surface", "label"


def rows_of(sample):
    """The rows of both hands of a sample: as many of the right one as its number says, modulo three."""
    return [np.full((sample % 3, 3), sample, np.float32), np.full((2, 3), -sample, np.float32)]


def surfaces(samples):
    parts = [rows for sample in samples for rows in rows_of(sample)]
    counts = np.array([len(rows) for rows in parts]).reshape(-1, 2)
    return Ragged(np.concatenate(parts), counts)


@pytest.fixture(scope="module")
def ready(tmp_path_factory, run_pairs):
    """A home with a cell whose predictions have a ragged field and whole numbers, and how its task was asked."""
    predict, score, asked = standins.Nudge.predict, TwoHands.score, []

    def predict_more(self, modules, batch):
        numbers = batch.index.tolist()
        return predict(self, modules, batch) | {SURFACE: surfaces(numbers), LABEL: 2**40 + batch.index}

    def score_known(self, protocol, predictions, dataset, indices):
        asked.append((np.asarray(indices), predictions[SURFACE]))
        known = {name: values for name, values in predictions.items() if name not in (SURFACE, LABEL)}
        return score(self, protocol, known, dataset, indices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standins.Nudge, "predict", predict_more)
        patch.setattr(TwoHands, "score", score_known)
        patch.setattr("suite.shards.SHARD_SAMPLES", 5)
        patch.setattr("suite.shards.BATCH_SAMPLES", 2)
        home = Home(tmp_path_factory.mktemp("home"))
        yield home, run_pairs(home, "nudge"), asked


def assert_rows(field, samples):
    assert isinstance(field, Ragged)
    assert len(field) == len(samples)
    for i, sample in enumerate(samples):
        for found, expected in zip(field.parts(i), rows_of(sample), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_record_keeps_every_samples_rows(ready):
    home, header, _ = ready
    assert header["state"] == "done", header["reason"]
    record = read_record(home.records / header["cell"])
    assert_rows(record.predictions[SURFACE], range(16))
    assert record.predictions[SURFACE].values.dtype == np.float32


def test_whole_numbers_stay_whole(ready):
    home, header, _ = ready
    labels = read_record(home.records / header["cell"]).prediction(LABEL)
    assert labels.tolist() == [2**40 + i for i in range(16)]


def test_every_shard_is_scored_with_its_own_rows(ready):
    _, _, asked = ready
    assert [indices.tolist() for indices, _ in asked[:4]] == [
        [0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14], [15],
    ]  # fmt: skip
    for indices, field in asked[:4]:
        assert_rows(field, indices.tolist())


def test_rescoring_slices_them_and_keeps_them(ready, pairs_data):
    home, header, asked = ready
    del asked[:]
    (again,) = rescore(home, [header["cell"]], "house_two_hands", pairs_data)
    assert sorted(i for indices, _ in asked for i in indices.tolist()) == list(range(16))
    for indices, field in asked:
        assert_rows(field, indices.tolist())
    assert_rows(read_record(home.records / again["cell"]).predictions[SURFACE], range(16))


def test_pictures_are_drawn_of_the_rows_of_their_samples():
    class Task:
        def renders(self, fields, dataset, indices):
            return fields, indices

    dataset = list(range(16))
    fields, shown = sample_renders(Task(), {SURFACE: surfaces(dataset), "x": np.arange(16)}, dataset)[
        "samples"
    ]
    assert len(shown) == RENDERED_SAMPLES
    assert_rows(fields[SURFACE], shown.tolist())
    assert fields["x"].tolist() == shown.tolist()


def test_the_fingerprint_tells_rows_and_their_samples_apart():
    field = surfaces(range(4))
    moved = Ragged(field.values, field.counts[[1, 0, 2, 3]])
    prints = {fingerprint({SURFACE: f}) for f in (field, surfaces(range(4)), moved, surfaces(range(1, 5)))}
    assert len(prints) == 3
    dense = {"x": np.arange(6.0).reshape(3, 2)}
    assert fingerprint(dense) != fingerprint({**dense, SURFACE: field})


def test_a_prediction_on_a_device_of_lower_precision_comes_in_float32():
    from suite.evaluate import on_host

    assert on_host(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert on_host(torch.ones(2, dtype=torch.int32)).dtype == np.int32
    assert on_host(torch.nn.Parameter(torch.ones(2, 2))[0]).tolist() == [1, 1], "a part of a weight"
    assert on_host(torch.ones(2, dtype=torch.bool)).dtype == np.bool_

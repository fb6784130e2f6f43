"""Mirroring a whole home folder, as often as one likes."""

from reports.tracking.sync import sync
from tests.reports.tracking.seeing import counts, only_run


def test_sync_twice_changes_nothing(home, fabricate):
    cells = sorted(fabricate(home / "records", seed=seed).name for seed in (0, 1))
    first = sync(home)
    rows = counts(home)
    second = sync(home)
    assert (first.mirrored, first.unchanged, first.failed) == (cells, [], {})
    assert (second.mirrored, second.unchanged, second.failed) == ([], cells, {})
    assert counts(home) == rows
    assert rows["runs"] == 2


def test_mirroring_again_after_the_digest_was_lost_adds_no_row(home, fabricate):
    fabricate(home / "records")
    sync(home)
    client, run = only_run(home)
    rows = counts(home)
    client.set_tag(run.info.run_id, "palmares.record", "lost")
    assert len(sync(home).mirrored) == 1
    assert counts(home) == rows


def test_a_record_that_is_not_whole_stops_no_other(home, fabricate):
    good, bad = (fabricate(home / "records", seed=seed) for seed in (0, 1))
    (bad / "curves.parquet").unlink()
    outcome = sync(home)
    assert outcome.mirrored == [good.name]
    assert "curves.parquet" in outcome.failed[bad.name]


def test_a_record_that_mlflow_refuses_stops_no_other(home, fabricate):
    good = fabricate(home / "records", seed=0)
    bad = fabricate(home / "records", seed=1, method="!" * 10, preset="p", task="x" * 600)
    outcome = sync(home)
    assert outcome.mirrored == [good.name]
    assert set(outcome.failed) == {bad.name}

"""One run per cell, which says what the record of the cell says."""

from reports.tracking.sync import sync
from reports.tracking.values import shorten
from tests.reports.tracking.seeing import artifact_names, only_run


def test_a_run_says_what_its_record_says(home, fabricate):
    from reports.record import read_record

    record = read_record(fabricate(home / "records", seed=4))
    sync(home)
    client, run = only_run(home)
    tags = {
        key.removeprefix("palmares."): v for key, v in run.data.tags.items() if key.startswith("palmares.")
    }
    assert tags["cell"] == record.cell
    assert (tags["kind"], tags["method"], tags["task"], tags["layout"]) == (
        "run",
        "amvur",
        "single_hand",
        "freihand",
    )
    assert (tags["split"], tags["synthetic"], tags["preset"], tags["seed"]) == ("test", "true", "tiny", "4")
    assert (tags["variant"], tags["state"]) == ("default", "done")
    assert (tags["data_fingerprint"], tags["git_commit"]) == ("3fa9c1d2e4b5a697", "0" * 40)
    assert run.data.params["config.training.epochs"] == "3"
    assert run.data.params["config.blocks"] == "[1, 2]"
    assert {key.split(".")[0] for key in run.data.params} == set(record.header["identity"])
    assert run.data.metrics["test/mpjpe_mm"] == record.metrics["mpjpe_mm"]["value"]
    assert len(client.get_metric_history(run.info.run_id, "train/total")) == 40
    assert len(client.get_metric_history(run.info.run_id, "test/mpjpe_mm")) == 1
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_700_000_009_000)


def test_artifacts_are_the_records_files_except_the_predictions(home, fabricate):
    fabricate(home / "records")
    sync(home)
    client, run = only_run(home)
    expected = {"record.json", "per_sample.parquet", "curves.parquet", "renders/samples.png"}
    assert artifact_names(client, run) == expected
    assert str(home / "artifacts") in run.info.artifact_uri


def test_a_long_setting_is_shortened_and_still_tells_itself_apart(home, fabricate):
    fabricate(home / "records", config={"words": "w" * 9000})
    assert len(sync(home).mirrored) == 1
    _, run = only_run(home)
    assert run.data.params["config.words"] == shorten("w" * 9000)
    assert len(shorten("w" * 9000)) <= 500
    assert shorten("w" * 9000) != shorten("w" * 9001)
    assert shorten("w" * 500) == "w" * 500

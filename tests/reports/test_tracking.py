"""The MLflow mirror: one run per cell, whatever happens, and never in the way of a run."""

import contextlib
import logging
import shutil
import sqlite3
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from reports.tracking import LiveMirror, Mirror, Point, shorten, sync

TABLES = ("experiments", "runs", "metrics", "params", "tags")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Making MLflow's tables takes seconds: once per session."""
    home = tmp_path_factory.mktemp("mlflow")
    Mirror(home)
    return home / "mlflow.db"


@pytest.fixture
def home(tmp_path, empty_database, monkeypatch):
    """A home folder with an empty embedded database."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def dead_server(monkeypatch):
    """A tracking server that is down."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return monkeypatch


def counts(home):
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as database:
        return {table: database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in TABLES}


def only_run(home, task="single_hand"):
    client = Mirror(home).client
    runs = client.search_runs([client.get_experiment_by_name(f"palmares/{task}").experiment_id])
    assert len(runs) == 1
    return client, runs[0]


def all_runs(home, task="single_hand"):
    client = Mirror(home).client
    return client.search_runs([client.get_experiment_by_name(f"palmares/{task}").experiment_id])


def wait_until(there, patience_s=60):
    until = time.monotonic() + patience_s
    while not there():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def points(first, last, name="total"):
    return [Point(step, name, 1.0 / (1 + step), 1_700_000_000_000 + step) for step in range(first, last)]


def artifact_names(client, run):
    found, folders = set(), [None]
    while folders:
        for entry in client.list_artifacts(run.info.run_id, folders.pop()):
            folders.append(entry.path) if entry.is_dir else found.add(entry.path)
    return found


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


def test_a_cell_mirrored_live_is_unchanged_for_sync(home, header, fabricate):
    mirror = LiveMirror(home)
    mirror.start(header())
    mirror.log(header()["cell"], points(0, 20))
    mirror.finish(fabricate(home / "records"))
    mirror.close()
    rows = counts(home)
    assert not mirror.gave_up
    assert sync(home).mirrored == []
    assert counts(home) == rows
    client, run = only_run(home)
    assert len(client.get_metric_history(run.info.run_id, "train/total")) == 40


def test_points_may_be_plain_mappings_with_nan_and_infinity(home, header):
    mirror = LiveMirror(home)
    mirror.start(header())
    values = [1.0, float("nan"), float("inf"), 2.0]
    mirror.log(
        header()["cell"],
        [{"step": i, "name": "total", "value": v, "time_ms": 5} for i, v in enumerate(values)],
    )
    mirror.close()
    assert not mirror.gave_up
    client, run = only_run(home)
    assert len(client.get_metric_history(run.info.run_id, "train/total")) == 4


def test_an_interrupted_live_run_is_continued_as_the_same_run_without_double_points(home, header, fabricate):
    first = LiveMirror(home)
    first.start(header())
    first.log(header()["cell"], points(0, 25))
    first.close()
    _, interrupted = only_run(home)
    assert interrupted.data.tags["palmares.state"] == "running"
    second = LiveMirror(home)
    second.start(header())
    second.log(header()["cell"], [Point(p.step, p.name, p.value, p.time_ms + 60_000) for p in points(20, 40)])
    second.finish(fabricate(home / "records"))
    second.close()
    client, run = only_run(home)
    assert run.info.run_id == interrupted.info.run_id
    assert (run.info.status, run.data.tags["palmares.state"]) == ("FINISHED", "done")
    steps = Counter(m.step for m in client.get_metric_history(run.info.run_id, "train/total"))
    assert steps == Counter(range(40))


def test_an_interrupted_live_run_is_completed_by_sync(home, header, fabricate):
    mirror = LiveMirror(home)
    mirror.start(header())
    mirror.log(header()["cell"], points(0, 10))
    mirror.close()
    fabricate(home / "records")
    assert len(sync(home).mirrored) == 1
    client, run = only_run(home)
    assert run.data.tags["palmares.state"] == "done"
    assert len(client.get_metric_history(run.info.run_id, "train/total")) == 40


def test_a_failed_cell_is_marked_and_its_next_try_continues_the_run(home, header):
    mirror = LiveMirror(home)
    mirror.start(header())
    mirror.fail(header()["cell"], "loss is not finite")
    mirror.close()
    _, run = only_run(home)
    assert (run.info.status, run.data.tags["palmares.reason"]) == ("FAILED", "loss is not finite")
    again = LiveMirror(home)
    again.start(header())
    again.close()
    _, run = only_run(home)
    assert (run.info.status, run.data.tags["palmares.state"], run.data.tags["palmares.reason"]) == (
        "RUNNING",
        "running",
        "",
    )


def test_many_writers_of_one_cell_make_one_run(home, header):
    mirrors = [LiveMirror(home) for _ in range(4)]
    for mirror in mirrors:
        mirror.start(header())
    for mirror in mirrors:
        mirror.close()
    assert not any(mirror.gave_up for mirror in mirrors)
    only_run(home)


def test_a_server_that_is_down_neither_raises_nor_delays_and_is_named_once(
    tmp_path, header, fabricate, dead_server, caplog
):
    record = fabricate(tmp_path / "records")
    with caplog.at_level(logging.WARNING, "reports.tracking"):
        mirror = LiveMirror(tmp_path)
        before = time.monotonic()
        mirror.start(header())
        for step in range(200):
            mirror.log(header()["cell"], points(step, step + 1))
        mirror.finish(record)
        assert time.monotonic() - before < 0.5
        mirror.close()
    assert mirror.gave_up
    assert len([r for r in caplog.records if r.name == "reports.tracking"]) == 1
    assert "palmares sync" in caplog.text


def test_what_a_dead_server_missed_is_mirrored_whole_later(home, header, fabricate, dead_server):
    mirror = LiveMirror(home)
    mirror.start(header())
    mirror.log(header()["cell"], points(0, 40))
    mirror.finish(fabricate(home / "records"))
    mirror.close()
    assert set(sync(home).failed) == {header()["cell"]}
    dead_server.delenv("MLFLOW_TRACKING_URI")
    assert sync(home).mirrored == [header()["cell"]]
    client, run = only_run(home)
    assert len(client.get_metric_history(run.info.run_id, "train/total")) == 40
    assert sync(home).unchanged == [header()["cell"]]


def test_a_server_that_comes_back_is_told_what_finished_meanwhile(home, header, fabricate, dead_server):
    mirror = LiveMirror(home, retry_s=3600)
    mirror.start(header())
    mirror.finish(fabricate(home / "records"))
    wait_until(lambda: mirror.gave_up)
    dead_server.delenv("MLFLOW_TRACKING_URI")
    mirror.close()
    assert not mirror.gave_up
    assert sync(home).unchanged == [header()["cell"]]


def test_cells_that_run_side_by_side_have_runs_of_their_own(home, header, fabricate):
    mirror, both = LiveMirror(home), [header(seed=seed) for seed in (0, 1)]
    for each in both:
        mirror.start(each)
    for step in range(3):
        for each in both:
            mirror.log(each["cell"], points(step, step + 1))
    mirror.fail(both[0]["cell"], "killed")
    mirror.finish(fabricate(home / "records", seed=1))
    mirror.close()
    states = {run.data.tags["palmares.seed"]: run.data.tags["palmares.state"] for run in all_runs(home)}
    assert states == {"0": "failed", "1": "done"}


def test_a_server_that_never_answers_is_given_up(tmp_path, header, monkeypatch):
    class Silent(BaseHTTPRequestHandler):
        def handle(self):
            time.sleep(3)

    server = HTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    mirror = LiveMirror(tmp_path)
    mirror.start(header())
    mirror.close(timeout_s=20)
    assert mirror.gave_up
    server.shutdown()
    server.server_close()


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


def test_a_long_setting_is_shortened_and_still_tells_itself_apart(home, fabricate):
    fabricate(home / "records", config={"words": "w" * 9000})
    assert len(sync(home).mirrored) == 1
    _, run = only_run(home)
    assert run.data.params["config.words"] == shorten("w" * 9000)
    assert len(shorten("w" * 9000)) <= 500
    assert shorten("w" * 9000) != shorten("w" * 9001)
    assert shorten("w" * 500) == "w" * 500

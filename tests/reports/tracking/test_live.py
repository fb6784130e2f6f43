"""The mirror of what runs: never in the way of it, and whole in the end."""

import logging
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

from reports.tracking.live import LiveMirror
from reports.tracking.sync import sync
from reports.tracking.values import Point
from tests.reports.tracking.seeing import all_runs, counts, only_run, points, state_of, wait_until


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
    assert interrupted.data.tags["palmares.state"] == "stopped"
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
    wait_until(lambda: state_of(only_run(home)[1]) == ("RUNNING", "running"))
    again.close()
    _, run = only_run(home)
    assert run.data.tags["palmares.reason"] == ""


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
    with caplog.at_level(logging.WARNING, "reports.tracking.live"):
        mirror = LiveMirror(tmp_path)
        before = time.monotonic()
        mirror.start(header())
        for step in range(200):
            mirror.log(header()["cell"], points(step, step + 1))
        mirror.finish(record)
        assert time.monotonic() - before < 0.5
        mirror.close()
    assert mirror.gave_up
    assert len([r for r in caplog.records if r.name == "reports.tracking.live"]) == 1
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

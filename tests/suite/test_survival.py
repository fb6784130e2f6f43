"""What a run survives: killed workers, a killed driver, a tracking server that is down, damaged files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reports.record import read_records
from suite.train import STATE_FILE, resumable
from tasks.layouts.registry import load_synthesiser
from tests.suite.sweeps.sweeping import mlflow_runs, processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TINY = ["--set", "training.batch_size=8", "--set", "training.checkpoint_epochs=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "freihand"
    load_synthesiser("freihand")(root, size=24, seed=0, workers=1, progress=None)
    return root


def command(data, *more, method="amvur"):
    return [sys.executable, "-m", "suite", "run", method, "--data", str(data), *TINY, *more]


def environment(home, **more):
    return {**os.environ, "PALMARES_HOME": str(home), **more}


def run(home, data, *more, method="amvur", **env):
    return subprocess.run(
        command(data, *more, method=method), env=environment(home, **env), capture_output=True, text=True
    )


def wait_for(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise TimeoutError("waited in vain")


def checkpoints(home):
    """The checkpoints that a training of this home would go on from."""
    return [path for folder in home.glob("train/*") for path in resumable(folder)]


def test_a_run_survives_a_killed_worker_and_a_killed_driver(tmp_path, data):
    epochs = ("--set", "training.epochs=8")
    driver = subprocess.Popen(
        command(data, *epochs),
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    first = wait_for(lambda: checkpoints(tmp_path))
    worker = wait_for(lambda: processes(tmp_path, "RayTrainWorker"))[0]
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: checkpoints(tmp_path) != first)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    killed_ms = time.time() * 1000
    assert not list(tmp_path.glob("records/*"))
    wait_for(lambda: not processes(tmp_path, "raylet"), seconds=60)

    again = run(tmp_path, data, *epochs, "--json")
    assert again.returncode == 0, again.stderr
    cell = json.loads(again.stdout)[0]
    (record,) = read_records(tmp_path / "records")
    assert record.cell == cell["cell"]
    assert cell["state"] == "done"
    assert cell["metrics"]["mpjpe_mm"]["n"] == len(record.per_sample)
    curves = record.curves
    assert not curves.duplicated(["step", "name"]).any()
    assert curves["time_ms"].min() < killed_ms < curves["time_ms"].max(), (
        "training began anew instead of going on"
    )
    assert len(mlflow_runs(tmp_path)) == 1
    assert not list(tmp_path.glob("cells/*"))

    undisturbed = run(tmp_path / "other", data, *epochs, "--json")
    assert json.loads(undisturbed.stdout)[0] == cell


def test_two_workers_train_one_cell(tmp_path, data):
    result = run(tmp_path, data, "--set", "training.epochs=2", "--workers", "2", "--json")
    assert result.returncode == 0, result.stderr
    (record,) = read_records(tmp_path / "records")
    assert record.header["cost"]["workers"] == 2
    assert record.header["stages"][0]["workers"] == 2


def test_a_run_succeeds_without_a_tracking_server_and_is_mirrored_whole_later(tmp_path, data):
    down = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    result = run(tmp_path, data, "--workers", "0", method="mean_hand", **down)
    assert result.returncode == 0, result.stderr
    assert not mlflow_runs(tmp_path)
    outcomes = []
    for _ in range(2):
        synced = subprocess.run(
            [sys.executable, "-m", "suite", "sync", "--json"],
            env=environment(tmp_path), capture_output=True, text=True, check=True,
        )  # fmt: skip
        outcomes.append(json.loads(synced.stdout))
    assert [len(o["mirrored"]) for o in outcomes] == [1, 0]
    assert [len(o["unchanged"]) for o in outcomes] == [0, 1]
    (mirrored,) = mlflow_runs(tmp_path)
    (record,) = read_records(tmp_path / "records")
    assert mirrored.data.metrics["test/mpjpe_mm"] == pytest.approx(record.metrics["mpjpe_mm"]["value"])


def test_a_run_that_is_done_is_not_run_again(tmp_path, data):
    first = run(tmp_path, data, "--workers", "0", method="mean_hand")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("records/**/*")}
    second = run(tmp_path, data, "--workers", "0", method="mean_hand")
    assert first.stdout == second.stdout
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.glob("records/**/*")}
    assert "done before" in second.stderr


def failed(home, data, *words, **options):
    """The run fails with exit 1 and one line that holds the words; nothing stands that looks whole."""
    result = run(home, data, "--workers", "0", **options)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    line = next(line for line in result.stderr.splitlines() if "failed" in line)
    for word in words:
        assert word in line
    assert not list(home.glob("records/*"))
    return result


def copy_of(data, folder):
    import shutil

    return Path(shutil.copytree(data, folder / "copy"))


def test_a_corrupt_image_fails_the_run_with_its_name(tmp_path, data):
    root = copy_of(data, tmp_path)
    image = sorted((root / "training" / "rgb").iterdir())[0]
    image.write_bytes(image.read_bytes()[:200])
    failed(tmp_path / "home", root, image.name, method="mean_hand")


def test_a_truncated_annotation_file_is_refused_with_its_name(tmp_path, data):
    root = copy_of(data, tmp_path)
    path = root / "training_xyz.json"
    path.write_bytes(path.read_bytes()[:-40])
    result = run(tmp_path / "home", root, "--workers", "0", method="mean_hand")
    assert result.returncode in (1, 2)
    assert "training_xyz.json" in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "home").glob("records/*"))


def test_a_checkpoint_cut_in_half_is_named_and_its_removal_heals_the_run(tmp_path, data):

    home = tmp_path / "home"
    env = environment(home)
    driver = subprocess.Popen(
        command(data, "--set", "training.epochs=50", "--workers", "0"),
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (state,) = wait_for(lambda: list(home.glob(f"train/*/{STATE_FILE}")))
    driver.kill()
    driver.wait()
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    more = ["--set", "training.epochs=50"]
    result = run(home, data, *more, "--workers", "0")
    assert result.returncode == 1
    assert "is damaged" in result.stderr
    assert str(state.parent) in result.stderr
    assert "Traceback" not in result.stderr


def test_damaged_weights_in_the_stage_cache_are_named(tmp_path, data):
    assert run(tmp_path, data, "--workers", "0", method="mean_hand").returncode == 0
    (weights,) = tmp_path.glob("cache/stages/*/weights.pt")
    weights.write_bytes(weights.read_bytes()[:100])
    import shutil

    shutil.rmtree(tmp_path / "records")
    failed(tmp_path, data, "weights.pt", "is damaged", method="mean_hand")

"""A sweep from its command: run once, found whole, stopped in good order, shared with another one."""

import json
import signal
import subprocess
import time

import pytest

from suite.home import read_json, write_json
from tests.suite.sweeps.sweeping import (
    SOURCES,
    Sweeping,
    command,
    environment,
    leftovers,
    mlflow_runs,
    palmares,
    records,
    running_cells,
    sweep,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

AXES = ("weight", "scale", "--seeds", "0,1")
CELLS = 10


@pytest.fixture(scope="module")
def swept(tmp_path_factory, pairs_data):
    home = tmp_path_factory.mktemp("swept") / "home"
    return home, sweep(home, pairs_data, *AXES)


def test_every_cell_is_done_once_and_nothing_is_left_over(swept):
    home, done = swept
    assert done.returncode == 0, done.stderr
    assert len(done.cells) == len(records(home)) == CELLS
    assert {cell["state"] for cell in done.cells} == {"done"}
    assert leftovers(home) == []


def test_each_stage_is_trained_once_for_all_cells_that_need_it(swept):
    home, _ = swept
    trained = [
        stage for header in records(home).values() for stage in header["stages"] if not stage["cached"]
    ]
    keys = [stage["key"] for stage in trained]
    assert len(keys) == len(set(keys)) == 2 + CELLS, "the first stage once a seed, the second once a cell"


def test_progress_is_told_in_plain_lines_when_it_is_piped(swept):
    _, done = swept
    assert "relay: weight, scale: 0 of 10 cells done" in done.stderr
    assert "relay [weight=2.0] seed 1: done after" in done.stderr
    assert "10 of 10 cells done" in done.stderr.splitlines()[-1]


def test_given_again_it_trains_nothing_and_is_quick(swept, pairs_data):
    home, _ = swept
    before = {cell: header["finished_ms"] for cell, header in records(home).items()}
    began = time.monotonic()
    again = sweep(home, pairs_data, *AXES)
    took_s = time.monotonic() - began
    assert again.returncode == 0, again.stderr
    assert {cell: header["finished_ms"] for cell, header in records(home).items()} == before
    assert "begins" not in again.stderr
    assert took_s < 60, "ten seconds on an idle machine; no Ray is started"


def test_mlflow_has_the_sweep_as_the_parent_of_its_cells(swept):
    home, _ = swept
    runs = mlflow_runs(home)
    (parent,) = [run for run in runs if run.data.tags["palmares.kind"] == "sweep"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == CELLS == len(runs) - 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    axes = sorted({run.data.tags["palmares.axis"] for run in children})
    assert axes == ["default", "scale", "weight"]


def test_status_knows_the_axis_of_every_cell_also_of_those_to_run(swept, standins_registered):
    from suite.home import Home
    from suite.status import every_cell

    home, _ = swept
    (said,) = home.glob("sweeps/*/sweep.json")
    declared = read_json(said)
    declared["points"][-1]["cells"]["7"] = "0123456789abcdef"
    whole = said.read_text()
    write_json(said, declared)
    headers = {header["cell"]: header for header in every_cell(Home(home))}
    said.write_text(whole)
    assert len(headers) == CELLS + 1
    assert (headers["0123456789abcdef"]["state"], headers["0123456789abcdef"]["axis"]) == ("planned", "scale")
    axes = [header["axis"] for header in headers.values()]
    assert (axes.count("weight"), axes.count("scale"), axes.count(None)) == (6, 3, 2)


def test_the_report_has_the_ablations_of_the_sweep(swept):
    from suite.home import Home
    from suite.reporting import FORMATS, make_report, recompute

    home, _ = swept
    make_report(Home(home), home / "report", None, FORMATS)
    assert "Does the weight of the second stage" in (home / "report" / "index.html").read_text()
    assert recompute(Home(home), home / "report") == []


def test_ctrl_c_ends_it_in_good_order_and_the_same_command_goes_on(tmp_path, pairs_data, swept):
    home = tmp_path / "home"
    run = Sweeping(home, pairs_data, *AXES)
    run.wait_for(lambda: records(home))
    run.wait_for(lambda: running_cells(home))
    assert run.end(signal.SIGINT) == 130
    assert "stopped by Ctrl-C: the same command goes on where it ended" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list(home.glob("cells/*/lease.json"))
    assert not list(home.glob("sweeps/.tune-*"))
    whole = sweep(home, pairs_data, *AXES)
    assert whole.returncode == 0, whole.stderr
    assert metrics(home) == metrics(swept[0])
    assert leftovers(home) == []


def test_two_sweeps_at_once_share_their_cells(tmp_path, pairs_data, swept):
    home = tmp_path / "home"
    one, two = (Sweeping(home, pairs_data, *AXES) for _ in range(2))
    assert (one.end(), two.end()) == (0, 0), one.stderr + two.stderr
    assert sorted(trained(home)) == sorted(trained(swept[0])), (
        "a cell that ran twice would find its stages cached"
    )
    assert metrics(home) == metrics(swept[0])
    assert leftovers(home) == []


def test_a_cell_whose_process_is_killed_again_and_again_is_poison_and_the_sweep_goes_on(tmp_path, pairs_data):
    """Its loss kills the process that works it out."""
    home = tmp_path / "home"
    done = sweep(home, pairs_data, "weight", "--set", "deadly=2.0")
    assert done.returncode == 1
    states = {cell["variant"]: cell["state"] for cell in done.cells}
    assert states.pop("deadly=2.0, weight=2.0") == "failed"
    assert set(states.values()) == {"done"}
    (failure,) = [read_json(path) for path in home.glob("cells/*/failure.json")]
    assert (failure["kind"], failure["tries"]) == ("Killed", 3)
    again = sweep(home, pairs_data, "weight", "--set", "deadly=2.0")
    assert "begins" not in again.stderr


@pytest.mark.parametrize(
    ("wrong", "kind", "tries", "search", "right"),
    [
        ("hungry=2.0", "OutOfMemoryError", 3, "out of memory", "hungry=-1.0"),
        (
            "training.learning_rate=1e38",
            "TrainingDivergedError",
            1,
            "not finite",
            "training.learning_rate=0.01",
        ),
    ],
)
def test_failed_cells_are_put_back_by_reason_with_another_setting_and_stand_in_the_same_sweep(
    tmp_path, pairs_data, wrong, kind, tries, search, right
):
    """What would end in the same way again is tried once, what may be an accident three times."""
    done = sweep(tmp_path, pairs_data, "weight", "--set", wrong)
    assert done.returncode == 1, done.stderr
    failed = [cell for cell in done.cells if cell["state"] == "failed"]
    failures = [read_json(path) for path in tmp_path.glob("cells/*/failure.json")]
    assert failed
    assert len(failures) == len(failed)
    assert {(failure["kind"], failure["tries"]) for failure in failures} == {(kind, tries)}
    assert all(search in cell["reason"] for cell in failed)
    nothing = palmares(tmp_path, "requeue", "--reason", "the moon")
    assert nothing.stderr.strip() == "no failed cell with 'the moon' in its reason"
    assert len(
        json.loads(palmares(tmp_path, "requeue", "--reason", search, "--set", right, "--json").stdout)
    ) == len(failed)
    again = sweep(tmp_path, pairs_data, "weight", "--set", wrong)
    assert again.returncode == 0, again.stderr
    assert {cell["state"] for cell in again.cells} == {"done"}
    assert sum(right in cell["variant"] for cell in again.cells) == len(failed)


def test_a_full_disk_stops_the_sweep_and_with_room_it_goes_on(tmp_path, pairs_data):
    """On a small disk of its own, which takes the right to mount one."""
    home = tmp_path / "disk"
    home.mkdir()
    script = FULL_DISK.format(home=home, sweep=" ".join(command(pairs_data, *AXES)))
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "bash", "-c", script],
        env=environment(home), cwd=SOURCES, capture_output=True, text=True,
    )  # fmt: skip
    if "NO DISK" in done.stdout or "unshare" in done.stderr:
        pytest.skip("no small disk can be mounted here")
    first, second = done.stdout.split("FREED")
    assert "FIRST 1" in first
    assert "is full: free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert "SECOND 0" in second
    assert second.count('"state": "done"') == CELLS
    assert "LEFT 0" in second


FULL_DISK = """
mount -t tmpfs -o size=24m tmpfs {home} || {{ echo NO DISK; exit; }}
dd if=/dev/zero of={home}/filler bs=1k count=22000 2>/dev/null
{sweep}
echo FIRST $?
echo FREED
rm {home}/filler
{sweep}
echo SECOND $?
echo LEFT $(ls {home}/cells {home}/train | grep -c '[0-9a-f]\\{{16\\}}')
"""


def trained(home):
    """Keys of the stages that cells had to train."""
    stages = [stage for header in records(home).values() for stage in header["stages"]]
    return [stage["key"] for stage in stages if not stage["cached"]]


def metrics(home):
    """What a table shows of every cell."""
    return {cell: header["metrics"] for cell, header in records(home).items()}

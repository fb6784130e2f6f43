"""The command line: quick, quiet, and one clear line for every mistake."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tasks.layouts.registry import open_layout

HEAVY = ("torch", "ray", "mlflow", "pandas", "scipy", "matplotlib", "smplx")


def palmares(*arguments, home=None, **environment):
    """Run the command as a user does."""
    env = {**os.environ, **environment}
    if home is not None:
        env["PALMARES_HOME"] = str(home)
    return subprocess.run(
        [sys.executable, "-m", "suite", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=env,
        timeout=300,
    )


def refused(result, *words, code=2):
    """One line on standard error that holds every word, the given exit code, nothing on standard output."""
    lines = result.stderr.strip().splitlines()
    assert result.returncode == code, result.stderr
    assert len(lines) == 1, result.stderr
    assert result.stdout == ""
    for word in words:
        assert word in lines[0]


def imported_by(arguments):
    code = (
        "import sys\nfrom suite.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    return (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        .stderr.strip()
        .splitlines()[-1]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["list", "methods"],
        ["list", "metrics"],
        ["list", "ablations"],
        ["list", "layouts"],
    ],
)
def test_help_and_lists_import_nothing_heavy(arguments):
    assert imported_by(arguments) == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["list", "methods"]])
def test_help_and_lists_answer_in_less_than_four_tenths_of_a_second_of_computing(arguments):
    def cpu_seconds():
        before = os.times()
        subprocess.run([sys.executable, "-m", "suite", *arguments], capture_output=True, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(cpu_seconds() for _ in range(3)) < 0.4


@pytest.mark.parametrize(
    "what", ["methods", "tasks", "layouts", "protocols", "ablations", "metrics", "clusters"]
)
def test_every_list_is_json_with_names(what):
    rows = json.loads(palmares("list", what, "--json").stdout)
    assert rows
    assert all(row["name"] and row["summary"] for row in rows)


def test_the_lists_hold_what_the_suite_is_for():
    names = {row["name"] for row in json.loads(palmares("list", "methods", "--json").stdout)}
    assert {"amvur", "mean_hand", "mano_regressor"} <= names


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "amvurr"], ["unknown method 'amvurr'", "did you mean 'amvur'?"]),
        (["run", "amvur", "--task", "single_hnd"], ["unknown task", "did you mean 'single_hand'?"]),
        (["run", "amvur", "--layout", "freihnd"], ["unknown layout", "did you mean 'freihand'?"]),
        (["run", "amvur", "--preset", "tny"], ["unknown preset", "did you mean 'tiny'?"]),
        (
            ["run", "amvur", "--set", "training.epoch=3"],
            ["unknown setting", "did you mean 'training.epochs'?"],
        ),
        (["run", "amvur", "--set", "training.epochs=many"], ["training.epochs", "integer", "'many'"]),
        (["run", "amvur", "--set", "training.epochs"], ["expected key=value"]),
        (["run", "amvur", "--seeds", "0,x"], ["--seeds", "expected whole numbers"]),
        (["run", "amvur", "--data", "/nowhere/at/all"], ["no data folder at '/nowhere/at/all'"]),
        (["run", "mean_hand+amvur"], ["'amvur' is not driven by keypoints"]),
        (["run", "a+b+amvur"], ["'a+b+amvur' is no name of a method", "SOURCE+METHOD"]),
        (["check", "mean_hand+amvur"], ["check its parts, mean_hand and amvur"]),
        (["rnu"], ["unknown command 'rnu'", "did you mean 'run'?"]),
        (["run"], ["Missing argument 'METHOD'"]),
        (["run", "amvur", "--sedes", "1"], ["--sedes", "--seeds"]),
        (["list", "metods"], ["did you mean 'methods'?"]),
        (["check", "amvurr"], ["did you mean 'amvur'?"]),
        (["data", "make", "freihnd", "x"], ["did you mean 'freihand'?"]),
        (["data", "check", "freihand", "/nowhere"], ["no data folder at '/nowhere'"]),
        (["report", "--formats", "pdf"], ["unknown format 'pdf'"]),
        (["list", "protocol"], ["did you mean 'protocols'?"]),
        (["run", "amvur", "--protocol", "frehand"], ["unknown protocol", "did you mean 'freihand'?"]),
        (["run", "amvur", "--protocol", "intaghand"], ["does not score task 'single_hand'"]),
        (["evaluate", "absent.json", "--as", "lab"], ["no predictions file at 'absent.json'"]),
        (["evaluate", __file__], ["Missing option '--as'"]),
        (["evaluate", __file__, "--as", "amvur"], ["is the name of a method"]),
        (["evaluate", __file__, "--as", "lab", "--about", "resnet"], ["--about", "expected key=value"]),
        (["rescore", "0123", "--protocol", "house"], ["unknown cell '0123'"]),
        (["predict", "0123", "--out", "pred.json"], ["unknown cell '0123'"]),
        (["meshes", "0123", "--out", "meshes"], ["unknown cell '0123'"]),
        (
            ["meshes", "0123", "--out", "meshes", "--format", "objj"],
            ["unknown format", "did you mean 'obj'?"],
        ),
        (["compare", "amvur", "mean_hand"], ["unknown row 'amvur'"]),
    ],
)
def test_a_wrong_request_is_one_line_with_the_way_out(tmp_path, arguments, words):
    refused(palmares(*arguments, home=tmp_path / "home"), *words)
    assert not (tmp_path / "home").exists() or os.listdir(tmp_path / "home") == []


def test_a_home_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    refused(palmares("run", "mean_hand", home=tmp_path / "file"), "PALMARES_HOME", "cannot be written")


def test_a_report_without_records_says_how_to_make_some(tmp_path):
    refused(palmares("report", home=tmp_path), "no records", "palmares run")


def test_status_of_an_empty_home_is_an_empty_list(tmp_path):
    result = palmares("status", "--json", home=tmp_path)
    assert json.loads(result.stdout) == []


def test_doctor_finds_what_is_installed(tmp_path):
    findings = {row["name"]: row for row in json.loads(palmares("doctor", "--json", home=tmp_path).stdout)}
    assert findings["torch"]["found"]
    assert findings["Ray"]["found"]
    assert not findings["MANO"]["found"]
    assert "open procedural hand" in findings["MANO"]["follows"]


def test_doctor_says_what_is_wrong_with_a_mano_folder(tmp_path):
    findings = json.loads(palmares("doctor", "--json", home=tmp_path, PALMARES_MANO=str(tmp_path)).stdout)
    mano = next(row for row in findings if row["name"] == "MANO")
    assert not mano["found"]
    assert "MANO_RIGHT.pkl" in mano["follows"]


def test_a_mano_pickle_that_carries_code_is_refused_before_anything_of_it_runs(tmp_path):
    import pickle

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    folder = tmp_path / "mano"
    folder.mkdir()
    (folder / "MANO_RIGHT.pkl").write_bytes(pickle.dumps({"f": Payload()}, protocol=2))
    result = palmares("run", "mean_hand", "--workers", "0", home=tmp_path / "home", PALMARES_MANO=str(folder))
    assert result.returncode == 2
    assert "mkdir" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "home" / "records").exists()


def test_a_submission_is_scored_compared_and_written_again_from_the_command_line(tmp_path, data):
    test = open_layout("freihand", data).split("test")
    for name, shift_m in (("near", 0.002), ("far", 0.020)):
        shift = np.array([shift_m, 0, 0])
        moved = [(points + shift).tolist() for points in (test.joints_m, test.verts_m)]
        (tmp_path / f"{name}.json").write_text(json.dumps(moved))
    home, options = tmp_path / "home", ("--layout", "freihand", "--data", data)
    cells = [
        json.loads(
            palmares(
                "evaluate", tmp_path / f"{name}.json", *options, "--as", name, "--json", home=home
            ).stdout
        )
        for name in ("near", "far")
    ]
    assert [cell["kind"] for cell in cells] == ["external", "external"]
    assert cells[1]["metrics"]["abs_mpjpe_mm"]["value"] == pytest.approx(20, rel=1e-9)
    outcome = json.loads(
        palmares("compare", "near", "far", "--metric", "abs_mpjpe_mm", "--json", home=home).stdout
    )
    assert outcome["difference"] == pytest.approx(-18, rel=1e-6)
    assert outcome["verdict"] == "near (external) is better"
    again = tmp_path / "again.json"
    assert palmares("predict", cells[0]["cell"], "--out", again, "--data", data, home=home).returncode == 0
    assert json.loads(again.read_text()) == json.loads((tmp_path / "near.json").read_text())
    bent = tmp_path / "bent.json"
    bent.write_text(json.dumps([(1000 * p).tolist() for p in (test.joints_m, test.verts_m)]))
    result = palmares("evaluate", bent, *options, "--as", "bent", home=home)
    assert result.returncode == 2
    assert "millimetres" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert len(json.loads(palmares("status", "--json", home=home).stdout)) == 2

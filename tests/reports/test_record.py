"""Records: whole or not there, aggregated once, read without anything heavy."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from reports import record as record_module
from reports.record import cell_json, flatten, read_record, read_records, scan_records, to_json, write_record
from tasks.errors import RequestError
from tasks.ragged import Ragged
from tasks.registry import METRICS


def edit_header(folder, **changes):
    file = folder / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_record_reads_back_as_it_was_written(tmp_path, header, samples, curves):
    wanted, table = header(), samples()
    predictions = {"joints_cam_m": np.random.default_rng(0).normal(size=(48, 21, 3)).astype(np.float32)}
    folder = write_record(tmp_path, wanted, table, predictions, curves(), {"samples": b"png"})
    found = read_record(folder)
    assert folder == tmp_path / wanted["cell"]
    assert {key: found.header[key] for key in wanted} == wanted
    pd.testing.assert_frame_equal(found.per_sample, table)
    pd.testing.assert_frame_equal(found.curves, curves(), check_dtype=False)
    np.testing.assert_array_equal(found.predictions["joints_cam_m"], predictions["joints_cam_m"])
    assert found.renders["samples"].read_bytes() == b"png"


def test_a_field_of_any_number_of_rows_per_sample_reads_back_and_one_field_reads_alone(
    tmp_path, header, samples
):
    counts = np.arange(96).reshape(48, 2) % 5
    field = Ragged(np.arange(3 * counts.sum(), dtype=np.float32).reshape(-1, 3), counts)
    joints = np.zeros((48, 2, 21, 3), np.float32)
    found = read_record(
        write_record(tmp_path, header(), samples(), {"surface": field, "joints_cam_m": joints})
    )
    kept = found.predictions
    assert set(kept) == {"surface", "joints_cam_m"}
    np.testing.assert_array_equal(kept["surface"].counts, counts)
    np.testing.assert_array_equal(kept["surface"].values, field.values)
    np.testing.assert_array_equal(found.prediction("joints_cam_m"), joints)
    with pytest.raises(RequestError, match="have no field 'verts_cam_m'"):
        found.prediction("verts_cam_m")


def test_further_files_stand_in_the_folder_and_are_missed_when_one_is_cut(tmp_path, header, samples):
    files = {"meshes/a_right.ply": b"ply\n1", "meshes/a_left.ply": b"ply\n22"}
    folder = write_record(tmp_path, header(), samples(), {}, files=files)
    found = read_record(folder)
    assert {f"meshes/{file.name}": file.read_bytes() for file in found.meshes} == files
    assert found.header["files"]["meshes/a_left.ply"] == 6
    (folder / "meshes" / "a_left.ply").write_bytes(b"ply")
    with pytest.raises(RequestError, match=r"meshes/a_left\.ply is missing or cut short"):
        read_record(folder)


def test_declared_metrics_are_aggregated_with_interval_and_counts(tmp_path, fabricate, samples):
    metrics = read_record(fabricate(tmp_path)).metrics
    table = samples()
    assert metrics["mpjpe_mm"]["value"] == pytest.approx(table["mpjpe_mm"].mean(), rel=1e-12)
    assert metrics["mpjpe_mm"]["low"] < metrics["mpjpe_mm"]["value"] < metrics["mpjpe_mm"]["high"]
    assert (metrics["mpjpe_mm"]["n"], metrics["mpjpe_mm"]["nan"], metrics["mpjpe_mm"]["unit"]) == (
        48,
        0,
        "mm",
    )
    assert "calibration_error" in metrics
    assert not any(column in metrics for column in METRICS["calibration_error"].sample_columns)
    assert "lpips" not in metrics


def test_a_metric_that_is_not_applicable_has_no_number_even_if_a_column_is_there(tmp_path, header, samples):
    wanted = header(not_applicable={"psnr_db": "no texture head"})
    found = read_record(write_record(tmp_path, wanted, samples(), {}))
    assert "psnr_db" not in found.metrics
    assert found.header["not_applicable"] == {"psnr_db": "no texture head"}


def test_undefined_numbers_are_null_in_the_header(tmp_path, header, samples):
    found = read_record(write_record(tmp_path, header(), samples().assign(mpjpe_mm=np.nan), {}))
    assert found.metrics["mpjpe_mm"]["value"] is None
    assert found.metrics["mpjpe_mm"]["nan"] == 48


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path, fabricate, monkeypatch):
    monkeypatch.setattr(record_module, "to_json", lambda value: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fabricate(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_killed_before_publishing_leaves_no_record(tmp_path, header, samples):
    table = tmp_path / "table.parquet"
    samples().to_parquet(table)
    code = f"""
import pandas, time, reports.record as r
def never(beside, place):
    print("written", flush=True)
    time.sleep(60)
r._publish = never
r.write_record(r"{tmp_path / "records"}", {header()!r}, pandas.read_parquet(r"{table}"), {{}})
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert scan_records(tmp_path / "records") == ([], [])
    written = write_record(tmp_path / "records", header(), samples(), {})
    assert list((tmp_path / "records").iterdir()) == [written]


def test_writing_a_cell_again_replaces_its_record(tmp_path, fabricate):
    first = fabricate(tmp_path, level=10.0)
    before = read_record(first).metrics["mpjpe_mm"]["value"]
    assert fabricate(tmp_path, level=20.0) == first
    assert read_record(first).metrics["mpjpe_mm"]["value"] > 1.5 * before
    assert list(tmp_path.iterdir()) == [first]


def test_the_same_cell_gives_the_same_bytes(tmp_path, fabricate):
    a, b = fabricate(tmp_path / "a"), fabricate(tmp_path / "b")
    files = sorted(f.relative_to(a) for f in a.rglob("*") if f.is_file())
    assert len(files) == 6
    assert [(a / f).read_bytes() for f in files] == [(b / f).read_bytes() for f in files]


@pytest.mark.parametrize(
    "name", ["per_sample.parquet", "predictions.npz", "curves.parquet", "renders/samples.png"]
)
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_half_copied_folder_is_skipped_with_its_reason(tmp_path, fabricate, name, damage):
    file = fabricate(tmp_path) / name
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    records, skipped = scan_records(tmp_path)
    assert records == []
    assert name in skipped[0].reason


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "has no record.json"),
        ("", "cannot be read"),
        ('{"schema": 1, "cell"', "cannot be read"),
        ("[]", "not a record's header"),
        ('{"schema": 1}', "lacks cell"),
        ('{"schema": 99}', "its schema is 99, expected at most 2"),
    ],
)
def test_a_damaged_header_is_one_clear_sentence(tmp_path, fabricate, content, words):
    file = fabricate(tmp_path) / "record.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(RequestError, match=words) as error:
        read_record(file.parent)
    assert "\n" not in str(error.value)


def test_a_bad_folder_hides_no_good_record(tmp_path, fabricate, caplog):
    good = fabricate(tmp_path, seed=0)
    edit_header(fabricate(tmp_path, seed=1), schema=99)
    assert [record.path for record in read_records(tmp_path)] == [good]
    assert "schema is 99" in caplog.text


def test_merging_two_machines_is_copying_folders(tmp_path, fabricate):
    fabricate(tmp_path / "a", seed=0)
    shutil.copytree(fabricate(tmp_path / "b", seed=1), tmp_path / "a" / "copied")
    assert sorted(record.header["seed"] for record in read_records(tmp_path / "a")) == [0, 1]


def test_no_records_folder_means_no_records(tmp_path):
    assert read_records(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda table: table.rename_axis("id"),
        lambda table: table.drop(columns="cluster"),
        lambda table: pd.concat([table, table]),
    ],
)
def test_a_table_of_the_wrong_shape_is_refused(tmp_path, header, samples, spoil):
    with pytest.raises(ValueError, match="sample"):
        write_record(tmp_path, header(), spoil(samples()), {})
    assert list(tmp_path.iterdir()) == []


def test_a_cell_prints_in_the_documented_shape(tmp_path, fabricate):
    shown = cell_json(read_record(fabricate(tmp_path)).header)
    names = "cell method task layout axis variant seed state reason kind protocol synthetic metrics"
    assert set(shown) == set(names.split())
    assert (shown["protocol"], shown["state"], shown["synthetic"]) == ("freihand/1", "done", True)
    assert set(shown["metrics"]["mpjpe_mm"]) == {"value", "low", "high", "n", "nan", "unit"}
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_a_planned_cell_prints_without_metrics(header):
    shown = cell_json({**header(), "state": "planned"})
    assert (shown["state"], shown["metrics"]) == ("planned", {})


def test_json_of_numpy_and_nan_is_plain():
    assert json.loads(
        to_json({"a": np.float32(1.5), "b": [float("nan"), np.int64(2)], "c": (True, None)})
    ) == {
        "a": 1.5,
        "b": [None, 2],
        "c": [True, None],
    }


def test_flatten_gives_dotted_keys_in_order():
    assert list(flatten({"b": {"y": [1, 2], "x": None}, "a": "text"})) == [
        ("a", "text"),
        ("b.x", "null"),
        ("b.y", "[1, 2]"),
    ]


def test_reading_headers_imports_nothing_heavy(tmp_path, fabricate):
    fabricate(tmp_path)
    code = f"""
import sys
from reports.record import cell_json, read_records
import reports.tracking.live, reports.tracking.sync, reports.report
print(cell_json(read_records(r"{tmp_path}")[0].header)["method"])
print(sorted({{"torch", "mlflow", "pandas", "numpy", "matplotlib", "ray", "jinja2"}} & set(sys.modules)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "amvur\n[]\n"


def test_a_test_set_of_freihands_size_is_recorded_in_seconds(tmp_path, header):
    rng = np.random.default_rng(0)
    n = 4000
    columns = {c: rng.gamma(3, 2, n) for metric in METRICS.values() for c in metric.sample_columns}
    table = pd.DataFrame({"cluster": [f"c{i}" for i in range(n)], **columns})
    table.index = pd.Index([f"{i:08d}" for i in range(n)], name="sample")
    before = time.process_time()
    write_record(tmp_path, header(), table, {})
    assert time.process_time() - before < 20

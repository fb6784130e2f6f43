import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.layouts.freihand import FreiHand
from tasks.layouts.matching_hand import CLEARLY_LEFT, right_evidence
from tests.tasks.layouts.freihand.conftest import posed_hands


def problems(root: Path) -> list[str]:
    return [str(problem) for problem in FreiHand(root).check()]


def edit(root: Path, name: str, change: Callable[[list[Any]], Any]) -> None:
    """Change the records of a JSON file in place, or replace them by what ``change`` returns."""
    path = root / f"{name}.json"
    records = json.loads(path.read_text())
    replaced = change(records)
    path.write_text(json.dumps(records if replaced is None else replaced))


def scale_record(index: int, factor: float) -> Callable[[list[Any]], None]:
    def change(records: list[Any]) -> None:
        records[index] = (np.array(records[index]) * factor).tolist()

    return change


def set_number(value: Any, *where: int) -> Callable[[list[Any]], None]:
    def change(records: list[Any]) -> None:
        *parents, last = where
        target = records
        for index in parents:
            target = target[index]
        target[last] = value

    return change


def test_flawless_data_have_no_problem(pristine: Path) -> None:
    assert problems(pristine) == []


def test_real_data_have_no_marker_and_that_is_no_problem(dataset: Path) -> None:
    (dataset / "palmares.json").unlink()
    (dataset / "evaluation_errors.json").write_text("{}")
    (dataset / "evaluation" / "segmap").mkdir()
    assert problems(dataset) == []


def test_a_missing_image_is_named(dataset: Path) -> None:
    (dataset / "training/rgb/00065121.jpg").unlink()
    (dataset / "training/mask/00000003.jpg").unlink()
    (dataset / "evaluation/rgb/00000002.jpg").unlink()
    assert problems(dataset) == [
        "training/rgb/00065121.jpg[1]: is missing",
        "training/mask/00000003.jpg[3]: is missing",
        "evaluation/rgb/00000002.jpg[2]: is missing",
    ]


def test_a_missing_version_is_told_once(dataset: Path) -> None:
    for sample in range(5):
        (dataset / f"training/rgb/{97680 + sample:08d}.jpg").unlink()
    assert problems(dataset) == ["training/rgb: lacks all 5 images of version 3 ('auto')"]


def test_an_image_cut_short_is_named(dataset: Path) -> None:
    rng = np.random.default_rng(0)
    path = dataset / "training/rgb/00032560.jpg"
    Image.fromarray(rng.integers(0, 255, (224, 224, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    (dataset / "training/rgb/00000001.jpg").write_bytes(b"")
    first, second = problems(dataset)
    assert first.startswith("training/rgb/00000001.jpg[1]: cannot be decoded: ")
    assert second.startswith("training/rgb/00032560.jpg[0]: cannot be decoded: ")


def test_an_image_of_another_size_or_kind_is_named(dataset: Path) -> None:
    Image.new("RGB", (224, 225)).save(dataset / "evaluation/rgb/00000000.jpg")
    Image.new("RGB", (224, 224)).save(dataset / "evaluation/rgb/00000001.jpg", format="PNG")
    assert problems(dataset) == [
        "evaluation/rgb/00000000.jpg[0]: is 224 x 225 pixels: 224 x 224 expected",
        "evaluation/rgb/00000001.jpg[1]: is a PNG file: JPEG expected",
    ]


def test_an_empty_mask_is_named(dataset: Path) -> None:
    Image.new("L", (224, 224)).save(dataset / "training/mask/00000004.jpg")
    assert problems(dataset) == ["training/mask/00000004.jpg[4]: shows no hand: almost no pixel is white"]


def test_surplus_files_are_named(dataset: Path) -> None:
    shutil.copy(dataset / "evaluation/rgb/00000000.jpg", dataset / "evaluation/rgb/00000003.jpg")
    shutil.copy(dataset / "evaluation/rgb/00000000.jpg", dataset / "evaluation/rgb/0.jpeg")
    (dataset / "training_vert.json").write_text("[]")
    assert problems(dataset) == [
        "training_vert.json: is no file of FreiHAND",
        "evaluation/rgb/0.jpeg: is no image of FreiHAND",
        "evaluation/rgb/00000003.jpg: belongs to no annotation",
    ]


@pytest.mark.parametrize("key", ["K", "xyz", "verts", "scale", "mano"])
def test_a_count_that_differs_is_named(dataset: Path, key: str) -> None:
    edit(dataset, f"training_{key}", lambda records: records[:-1])
    assert problems(dataset) == [f"training_{key}.json: holds 4 records where the other files hold 5"]


@pytest.mark.parametrize("key", ["K", "xyz", "verts", "scale", "mano"])
def test_a_missing_annotation_file_is_named(dataset: Path, key: str) -> None:
    (dataset / f"evaluation_{key}.json").unlink()
    assert problems(dataset) == [f"evaluation_{key}.json: is missing"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("training_K", set_number(float("nan"), 2, 0, 0)),
        ("training_xyz", set_number(float("inf"), 2, 20, 1)),
        ("training_verts", set_number(float("-inf"), 2, 700, 2)),
        ("training_scale", set_number(float("nan"), 2)),
        ("training_mano", set_number(float("nan"), 2, 0, 60)),
    ],
)
def test_nan_and_infinity_are_named(dataset: Path, name: str, change: Callable[[list[Any]], None]) -> None:
    edit(dataset, name, change)
    assert problems(dataset) == [f"{name}.json[2]: holds NaN or infinite numbers"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("training_xyz", "wrist to middle base is "),
        ("training_verts", "the mesh has a radius of "),
        ("training_scale", "the bone length is "),
    ],
)
def test_millimetres_are_named(dataset: Path, name: str, message: str) -> None:
    edit(dataset, name, scale_record(1, 1000))
    (problem,) = problems(dataset)
    assert problem.startswith(f"{name}.json[1]: {message}")
    assert problem.endswith("as in millimetres: metres expected")


def test_a_file_in_centimetres_is_named_record_by_record(dataset: Path) -> None:
    edit(dataset, "evaluation_verts", lambda records: (np.array(records) * 100).tolist())
    found = problems(dataset)
    assert len(found) == 3
    assert all(problem.endswith("as in centimetres: metres expected") for problem in found)


@pytest.mark.parametrize(
    ("name", "record", "message"),
    [
        ("training_K", [[1, 0], [0, 1]], "has shape (2, 2): (3, 3) expected"),
        ("training_xyz", [[0, 0, 0]] * 20 + [[0, 0]], "is ragged: shape (21, 3) expected"),
        ("training_verts", [[0.0, 0, 0]] * 779, "has shape (779, 3): (778, 3) expected"),
        ("training_scale", [0.03], "has shape (1,): () expected"),
        ("training_mano", [0.1] * 61, "has shape (61,): (1, 61) expected"),
        ("training_scale", "0.03", "holds something that is no number"),
        ("training_scale", None, "holds something that is no number"),
        ("training_K", {"fx": 480}, "has shape (): (3, 3) expected"),
        ("training_mano", [[True] * 61], "holds something that is no number"),
    ],
)
def test_a_wrong_shape_or_type_is_named(dataset: Path, name: str, record: Any, message: str) -> None:
    edit(dataset, name, set_number(record, 4))
    assert problems(dataset) == [f"{name}.json[4]: {message}"]


def mirror(record: list[Any]) -> list[Any]:
    return (np.array(record) * [-1, 1, 1]).tolist()


def test_a_left_hand_is_named(dataset: Path) -> None:
    def change(records: list[Any]) -> None:
        records[1] = mirror(records[1])

    edit(dataset, "training_xyz", change)
    edit(dataset, "training_verts", change)
    found = problems(dataset)
    assert "training_verts.json[1]: is a left hand: only right hands are allowed" in found
    assert {problem.split(":")[0] for problem in found} <= {
        "training_verts.json[1]",
        "training_xyz.json[1]",
        "training_mano.json[1]",
    }


def test_left_parameters_are_named(dataset: Path) -> None:
    def change(records: list[Any]) -> None:
        numbers = np.array(records[2])
        numbers[0, :48] *= np.tile([1, -1, -1], 16)
        records[2] = numbers.tolist()

    edit(dataset, "training_mano", change)
    assert problems(dataset) == ["training_mano.json[2]: the parameters do not give the mesh"]


def test_left_is_told_from_right_in_every_pose() -> None:
    hands = posed_hands(400, seed=11)
    evidence = right_evidence(hands.joints_m)
    assert (evidence > CLEARLY_LEFT).all()
    assert (right_evidence(hands.joints_m * [-1, 1, 1]) < CLEARLY_LEFT).mean() > 0.95


def test_joints_without_the_matching_model_still_tell_a_left_hand(dataset: Path) -> None:
    order = np.random.default_rng(0).permutation(778)
    edit(dataset, "training_verts", lambda records: np.array(records)[:, order].tolist())
    assert problems(dataset) == []
    edit(dataset, "training_verts", lambda records: (np.array(records) * [-1, 1, 1]).tolist())
    edit(dataset, "training_xyz", lambda records: (np.array(records) * [-1, 1, 1]).tolist())
    found = [problem for problem in problems(dataset) if problem.startswith("training_xyz")]
    assert len(found) >= 4
    assert all(problem.endswith("is a left hand: only right hands are allowed") for problem in found)


def test_a_hand_beside_the_image_or_behind_the_camera_is_named(dataset: Path) -> None:
    edit(dataset, "training_K", set_number(2000.0, 0, 0, 0))
    edit(dataset, "training_K", set_number(2000.0, 0, 1, 1))
    edit(dataset, "evaluation_xyz", lambda records: (np.array(records) * [1, 1, -1]).tolist())
    found = problems(dataset)
    assert found[0].startswith("training_xyz.json[0]: ")
    assert found[0].endswith(" of 21 joints do not project into the image")
    assert found[1] == "evaluation_xyz.json[0]: lies behind the camera: z must be positive"


def test_a_scale_that_is_not_the_bone_length_is_named(dataset: Path) -> None:
    edit(dataset, "training_scale", scale_record(3, 1.01))
    (problem,) = problems(dataset)
    assert problem.startswith("training_scale.json[3]: differs from the distance of joints 9 and 10")


def test_a_misplaced_mano_root_is_named(dataset: Path) -> None:
    edit(dataset, "training_mano", set_number(10.0, 0, 0, 58))
    (problem,) = problems(dataset)
    assert problem.startswith("training_mano.json[0]: its last three numbers place joint 9 ")


def test_joints_of_another_hand_are_named(dataset: Path) -> None:
    def swap(records: list[Any]) -> None:
        records[0], records[1] = records[1], records[0]

    edit(dataset, "training_xyz", swap)
    assert {problem.split(":")[0] for problem in problems(dataset)} >= {"training_scale.json[0]"}


def test_a_camera_that_is_none_is_named(dataset: Path) -> None:
    edit(dataset, "training_K", set_number(0.5, 0, 2, 0))
    edit(dataset, "training_K", set_number(-480.0, 1, 0, 0))
    edit(dataset, "training_K", set_number(900.0, 2, 0, 2))
    assert [problem.split(":")[0] for problem in problems(dataset)] == [
        f"training_K.json[{i}]" for i in range(3)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ".json[0]: is no JSON list of records"),
        ("{}", ".json[0]: is no JSON list of records"),
        ("[]", ".json: holds no record"),
        ("[1, 2, x]", ".json[2]: is invalid JSON after 2 whole records"),
        ("[1 2]", ".json[1]: is invalid JSON after 1 whole records"),
        ("[1, 2, 3", ".json[3]: is truncated JSON after 3 whole records"),
        ("[" * 100000, ".json[0]: is truncated JSON after 0 whole records"),
        ("[0.03] [0.03]", ".json[1]: goes on after the end of its list"),
    ],
)
def test_broken_json_is_named(dataset: Path, text: str, message: str) -> None:
    (dataset / "training_scale.json").write_text(text)
    assert f"training_scale{message}" in problems(dataset)


def test_a_truncated_file_is_named_and_its_whole_records_are_still_checked(dataset: Path) -> None:
    edit(dataset, "training_verts", scale_record(0, 1000))
    path = dataset / "training_verts.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    truncated, millimetres = problems(dataset)
    assert truncated == "training_verts.json[2]: is truncated JSON after 2 whole records"
    assert millimetres.startswith("training_verts.json[0]: the mesh has a radius of ")


def test_the_markers_keys_are_checked(dataset: Path) -> None:
    marker = json.loads((dataset / "palmares.json").read_text())
    del marker["seed"]
    (dataset / "palmares.json").write_text(json.dumps(marker | {"sead": 1}))
    assert problems(dataset) == [
        "palmares.json[seed]: is a missing key",
        "palmares.json[sead]: is an unknown key",
    ]


@pytest.mark.parametrize("text", ["", "[]", '["a", 1, {}]', "5", "null", "[" * 100000])
def test_a_marker_that_is_no_object_is_named(dataset: Path, text: str) -> None:
    (dataset / "palmares.json").write_text(text)
    assert problems(dataset) == ["palmares.json: is no JSON object"]


def test_no_folder_and_an_empty_folder_are_problems(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: is no folder"]
    assert len(problems(tmp_path)) == 10


def test_folders_in_the_place_of_files_are_problems(dataset: Path) -> None:
    (dataset / "training_K.json").unlink()
    (dataset / "training_K.json").mkdir()
    (dataset / "evaluation/rgb/00000000.jpg").unlink()
    (dataset / "evaluation/rgb/00000000.jpg").mkdir()
    shutil.rmtree(dataset / "training/mask")
    found = problems(dataset)
    assert len(found) == 3
    assert found[0].startswith("training_K.json: cannot be read")


JSON_GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    garbage=st.binary(max_size=200) | JSON_GARBAGE.map(lambda value: json.dumps(value).encode()),
    data=st.data(),
)
def test_no_garbage_raises(pristine: Path, tmp_path: Path, garbage: bytes, data: st.DataObject) -> None:
    root = tmp_path / "garbage"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(pristine, root, copy_function=os.link)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    path.unlink()
    path.write_bytes(garbage)
    assert problems(root)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["K", "xyz", "verts", "scale", "mano"]), record=JSON_GARBAGE)
def test_no_garbage_record_raises(pristine: Path, tmp_path: Path, name: str, record: Any) -> None:
    root = tmp_path / "garbage"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(pristine, root, copy_function=os.link)
    path = root / f"training_{name}.json"
    records = json.loads(path.read_text())
    records[2] = record
    path.unlink()
    path.write_text(json.dumps(records))
    assert any(problem.startswith(f"training_{name}.json[2]: ") for problem in problems(root))

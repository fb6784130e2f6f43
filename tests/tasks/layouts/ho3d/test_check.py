import contextlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from tasks.errors import RequestError
from tasks.layouts.ho3d import Ho3dV2, Ho3dV3
from tasks.layouts.ho3d.meta import load_meta

META = "train/SS2/meta/0002.pkl"
OTHER = "evaluation/AP10/meta/0003.pkl"


def problems(root: Path) -> list[str]:
    return [str(problem) for problem in Ho3dV3(root).check()]


def edit_meta(root: Path, change: Callable[[dict[str, Any]], None], name: str = META) -> None:
    meta = pickle.loads((root / name).read_bytes())
    change(meta)
    (root / name).unlink()
    (root / name).write_bytes(pickle.dumps(meta, protocol=2))


def edit_truth(root: Path, key: str, change: Callable[[list[Any]], Any]) -> None:
    path = root / f"evaluation_{key}.json"
    records = json.loads(path.read_text())
    replaced = change(records)
    path.write_text(json.dumps(records if replaced is None else replaced))


def mapped(record: int, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[list[Any]], None]:
    def change(records: list[Any]) -> None:
        records[record] = function(np.array(records[record])).tolist()

    return change


def test_flawless_data_have_no_problem(pristine: Path, pristine_v2: Path) -> None:
    assert problems(pristine) == []
    assert list(Ho3dV2(pristine_v2).check()) == []


def test_real_data_have_no_marker_and_frames_without_annotation(dataset: Path) -> None:
    (dataset / "palmares.json").unlink()
    (dataset / "calibration").mkdir()
    (dataset / "train/MC1/meta/0009.pkl").write_bytes(pickle.dumps({"handJoints3D": None}, protocol=2))
    shutil.rmtree(dataset / "train/MC1/depth")
    assert problems(dataset) == []


def test_a_version_read_as_the_other_has_no_images(pristine: Path) -> None:
    found = [str(problem) for problem in Ho3dV2(pristine).check()]
    assert found[0] == "train/ABF10/rgb/0000.png: is missing"
    assert len(found) == 8


def test_missing_files_are_named(dataset: Path) -> None:
    for name in ("train/MC1/rgb/0007.jpg", "train/MC1/seg/0007.png", META, "train/ABF11/depth/0000.png"):
        (dataset / name).unlink()
    assert sorted(problems(dataset)) == [
        "train/ABF11/depth/0000.png: is missing",
        "train/MC1/rgb/0007.jpg: is missing",
        "train/MC1/seg/0007.png: is missing",
        f"{META}: is missing, but the list names its frame",
    ]


def test_damaged_images_are_named(dataset: Path) -> None:
    path = dataset / "train/MC1/rgb/0007.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-5000])
    Image.new("RGB", (640, 480)).save(dataset / "train/SS2/rgb/0002.jpg", format="PNG")
    Image.new("RGB", (480, 640)).save(dataset / "evaluation/SM1/rgb/0000.jpg")
    first, *rest = problems(dataset)
    assert first.startswith("train/MC1/rgb/0007.jpg: cannot be decoded: ")
    assert rest == [
        "train/SS2/rgb/0002.jpg: is a PNG file: JPEG expected",
        "evaluation/SM1/rgb/0000.jpg: is 480 x 640 pixels: 640 x 480 expected",
    ]


@pytest.mark.parametrize("key", ["handPose", "handTrans", "handBeta", "handJoints3D", "camMat"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is None: the frame has no annotation, but the list names it"),
        (np.zeros((7, 2)), "has shape (7, 2): "),
        ("open", "has shape (): "),
        ([1, 2, "x"], "has shape (3,): "),
        (float("nan"), "has shape (): "),
        (10**400, "has shape (): "),
    ],
)
def test_a_listed_frame_with_an_unusable_value_is_named(
    dataset: Path, key: str, value: Any, message: str
) -> None:
    edit_meta(dataset, lambda meta: meta.update({key: value}))
    (problem,) = problems(dataset)
    assert problem.startswith(f"{META}[{key}]: ")
    assert message in problem or "no number" in problem


@pytest.mark.parametrize("key", ["handPose", "handTrans", "handBeta", "handJoints3D", "camMat"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nan_and_infinity_are_named(dataset: Path, key: str, number: float) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta[key].flat[2] = number

    edit_meta(dataset, change)
    assert problems(dataset) == [f"{META}[{key}]: holds NaN or infinite numbers"]


def test_a_missing_key_is_named(dataset: Path) -> None:
    edit_meta(dataset, lambda meta: meta.pop("handBoundingBox"), OTHER)
    assert problems(dataset) == [f"{OTHER}[handBoundingBox]: is missing"]


@pytest.mark.parametrize(
    ("name", "text"),
    [(META, "wrist to middle base is "), ("evaluation_xyz.json[1]", "wrist to middle base is ")],
)
def test_millimetres_are_named(dataset: Path, name: str, text: str) -> None:
    if name == META:
        edit_meta(dataset, lambda meta: meta.update(handJoints3D=meta["handJoints3D"] * 1000))
    else:
        edit_truth(dataset, "xyz", mapped(1, lambda joints: joints * 1000))
    found = [problem for problem in problems(dataset) if problem.startswith(name)]
    assert len(found) == 1
    assert text in found[0]
    assert found[0].endswith("as in millimetres: metres expected")


def test_millimetres_of_the_mesh_are_named(dataset: Path) -> None:
    edit_truth(dataset, "verts", lambda records: (np.array(records) * 1000).tolist())
    found = problems(dataset)
    assert len(found) == 3
    assert all(problem.endswith("as in millimetres: metres expected") for problem in found)


NO_FLIP = "lies at positive z: OpenGL axes expected, in which z is negative in front of the camera"


def test_a_missing_opengl_flip_is_named(dataset: Path) -> None:
    edit_meta(dataset, lambda meta: meta.update(handJoints3D=meta["handJoints3D"] * [1, -1, -1]))
    edit_meta(dataset, lambda meta: meta.update(handJoints3D=meta["handJoints3D"] * [1, -1, -1]), OTHER)
    edit_truth(dataset, "xyz", mapped(0, lambda joints: joints * [1, -1, -1]))
    edit_truth(dataset, "verts", mapped(1, lambda verts: verts * [1, -1, -1]))
    assert set(problems(dataset)) == {
        f"{META}[handJoints3D]: {NO_FLIP}",
        f"{OTHER}[handJoints3D]: {NO_FLIP}",
        f"evaluation_xyz.json[0]: {NO_FLIP}",
        f"evaluation_verts.json[1]: {NO_FLIP}",
    }


A_TO_B = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
A_TO_C = [16, 15, 14, 13, 17, 3, 2, 1, 18, 6, 5, 4, 19, 12, 11, 10, 20, 9, 8, 7, 0]


@pytest.mark.parametrize(("order", "name"), [(A_TO_B, "B"), (A_TO_C, "C")])
def test_another_joint_order_is_named(dataset: Path, order: list[int], name: str) -> None:
    edit_meta(dataset, lambda meta: meta.update(handJoints3D=meta["handJoints3D"][order]))
    edit_truth(dataset, "xyz", mapped(2, lambda joints: joints[order]))
    text = f"joints seem to be in order {name}: order A expected"
    assert set(problems(dataset)) == {f"{META}[handJoints3D]: {text}", f"evaluation_xyz.json[2]: {text}"}


def mirrored(points: np.ndarray) -> np.ndarray:
    return points * [-1, 1, 1]


def test_a_left_hand_is_named(dataset: Path) -> None:
    edit_truth(dataset, "verts", lambda records: mirrored(np.array(records)).tolist())
    found = problems(dataset)
    assert len(found) == 3
    assert all(problem.endswith("is a left hand: only right hands are allowed") for problem in found)


def test_left_parameters_are_named(dataset: Path) -> None:
    def change(meta: dict[str, Any]) -> None:
        meta["handPose"] *= np.tile([1, -1, -1], 16)

    edit_meta(dataset, change)
    assert problems(dataset) == [f"{META}[handPose]: the parameters do not give the joints"]


def test_parameters_turned_without_their_pivot_are_named(dataset: Path) -> None:
    """Turning the translation as if the hand pivoted about the origin costs centimetres."""

    def change(meta: dict[str, Any]) -> None:
        half_turn = Rotation.from_euler("x", 180, degrees=True)
        rotation = half_turn * Rotation.from_rotvec(meta["handPose"][:3])
        meta["handPose"][:3] = rotation.as_rotvec()
        meta["handTrans"] = half_turn.apply(meta["handTrans"])
        meta["handPose"][:3] = (half_turn * rotation).as_rotvec()
        meta["handTrans"] = half_turn.apply(meta["handTrans"]) + 0.02

    edit_meta(dataset, change)
    assert problems(dataset) == [f"{META}[handPose]: the parameters do not give the joints"]


def test_another_hand_model_than_the_one_in_use_is_no_problem(dataset: Path) -> None:
    """Real data were made with licensed MANO; with another model in use, no parameters give the joints."""
    (dataset / "palmares.json").unlink()
    for path in (dataset / "train").glob("*/meta/*.pkl"):
        edit_meta(dataset, lambda meta: meta.update(handBeta=meta["handBeta"] + 40), str(path))
    assert problems(dataset) == []


def test_truth_of_another_frame_is_named(dataset: Path) -> None:
    def swap(records: list[Any]) -> None:
        records[0], records[1] = records[1], records[0]

    edit_truth(dataset, "xyz", swap)
    edit_truth(dataset, "verts", swap)
    text = "its wrist is not the one that the frame's meta gives"
    assert problems(dataset) == [f"evaluation_xyz.json[0]: {text}", f"evaluation_xyz.json[1]: {text}"]


def test_a_mesh_of_another_frame_is_named(dataset: Path) -> None:
    edit_truth(dataset, "verts", mapped(1, lambda verts: verts + np.array([0.03, 0, 0])))
    assert problems(dataset) == ["evaluation_verts.json[1]: the mesh is not where the joints are"]


def test_a_box_that_is_none_or_elsewhere_is_named(dataset: Path) -> None:
    edit_meta(dataset, lambda meta: meta.update(handBoundingBox=[300, 200, 200, 300]), OTHER)
    edit_meta(
        dataset, lambda meta: meta.update(handBoundingBox=[5, 5, 40, 40]), "evaluation/SM1/meta/0000.pkl"
    )
    assert problems(dataset) == [
        f"{OTHER}[handBoundingBox]: is no box: x1 y1 x2 y2 expected, in pixels",
        "evaluation_xyz.json[0]: does not project into the frame's hand box",
    ]


def test_a_hand_beside_the_image_and_a_bad_camera_are_named(dataset: Path) -> None:
    def far(meta: dict[str, Any]) -> None:
        meta["handJoints3D"] = meta["handJoints3D"] + [0.9, 0, 0]
        meta["handTrans"] = meta["handTrans"] + [0.9, 0, 0]

    edit_meta(dataset, far)
    edit_meta(dataset, lambda meta: meta["camMat"].__setitem__((2, 0), 1.0), "train/MC1/meta/0007.pkl")
    edit_meta(dataset, lambda meta: meta["camMat"].__setitem__((0, 0), -600.0), "train/ABF10/meta/0000.pkl")
    assert problems(dataset) == [
        "train/MC1/meta/0007.pkl[camMat]: is no camera matrix: its last row is not 0 0 1",
        "train/ABF10/meta/0000.pkl[camMat]: has focal lengths that are not positive",
        f"{META}[handJoints3D]: 21 of 21 joints do not project into the image",
    ]


def test_hands_of_another_colour_are_named(dataset: Path, pristine_v2: Path, tmp_path: Path) -> None:
    for path in (dataset / "train").glob("*/seg/*.png"):
        Image.fromarray(np.asarray(Image.open(path))[..., ::-1]).save(path)
    assert problems(dataset) == ["train: segmentations show hands in red: blue expected"]
    root = Path(shutil.copytree(pristine_v2, tmp_path / "v2"))
    for path in (dataset / "train").glob("*/seg/*.png"):
        folder = root / "HO3D_v2_segmentations_rendered/train" / path.parts[-3] / "seg"
        folder.mkdir(parents=True)
        Image.open(path).save(folder / f"{path.stem}.jpg", quality=95)
    assert list(Ho3dV2(root).check()) == []


@pytest.mark.parametrize("key", ["xyz", "verts"])
def test_counts_that_differ_from_the_list_are_named(dataset: Path, key: str) -> None:
    edit_truth(dataset, key, lambda records: records[:-1])
    text = "holds 2 records, but evaluation.txt lists 3 frames"
    assert problems(dataset) == [f"evaluation_{key}.json: {text}"]


def test_broken_truth_is_named(dataset: Path) -> None:
    path = dataset / "evaluation_verts.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    edit_truth(dataset, "xyz", lambda records: [records[0], [[0, 0]], "x"])
    assert problems(dataset) == [
        "evaluation_xyz.json[1]: has shape (1, 2): (21, 3) expected",
        "evaluation_xyz.json[2]: has shape (): (21, 3) expected",
        "evaluation_verts.json[1]: is truncated JSON after 1 whole records",
    ]


def test_lists_are_checked(dataset: Path) -> None:
    path = dataset / "train.txt"
    path.write_text(path.read_text() + "MC1/0007\n../x/0001\n")
    (dataset / "evaluation.txt").unlink()
    found = problems(dataset)
    assert found[:2] == [
        "train.txt[6]: lists MC1/0007 once more",
        "train.txt[7]: '../x/0001' is no frame, as in 'MC1/0003'",
    ]
    assert found[2] == "evaluation.txt: is missing"


def test_no_folder_and_an_empty_folder_are_problems(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: is no folder"]
    assert len(problems(tmp_path)) == 4


class Trap:
    """Unpickles by making a folder, which nobody may ever see."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_named_and_nothing_of_it_runs(
    dataset: Path, tmp_path: Path, protocol: int
) -> None:
    meta = pickle.loads((dataset / META).read_bytes())
    ran = tmp_path / "ran"
    (dataset / META).write_bytes(pickle.dumps(meta | {"camIDList": Trap(ran)}, protocol=protocol))
    (problem,) = problems(dataset)
    assert problem.startswith(f"{META}: names the global ")
    assert "mkdir" in problem
    with pytest.raises(RequestError, match="mkdir"):
        Ho3dV3(dataset).split("train")
    assert not ran.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_metas_of_every_protocol_are_read(dataset: Path, protocol: int) -> None:
    meta = pickle.loads((dataset / META).read_bytes())
    meta |= {"handBoundingBox": [np.float64(1.5), 2, 3.0, np.int32(4)], "objName": "006_mustard_bottle"}
    (dataset / META).write_bytes(pickle.dumps(meta, protocol=protocol))
    read = load_meta(dataset / META)
    assert read["handBoundingBox"] == [1.5, 2, 3, 4]
    assert read["camIDList"] == ["0"]
    np.testing.assert_array_equal(read["handVertContact"], meta["handVertContact"])
    assert problems(dataset) == []


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.data())
def test_damaged_bytes_of_a_meta_are_refused_or_read_and_never_raise_anything_else(
    pristine: Path, tmp_path: Path, data: st.DataObject
) -> None:
    whole = (pristine / META).read_bytes()
    if data.draw(st.booleans()):
        payload = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 6))):
            payload[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    else:
        payload = bytearray(data.draw(st.binary(max_size=120)))
    path = tmp_path / "0002.pkl"
    path.write_bytes(payload)
    with contextlib.suppress(RequestError):
        assert isinstance(load_meta(path), dict)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    garbage=st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["handPose", "handJoints3D", "camMat", "handBoundingBox"]),
        st.none() | st.integers() | st.floats() | st.lists(st.floats(), max_size=5) | st.text(max_size=4),
    ).map(pickle.dumps),
    data=st.data(),
)
def test_no_garbage_raises(pristine: Path, tmp_path: Path, garbage: bytes, data: st.DataObject) -> None:
    root = tmp_path / "garbage"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(pristine, root, copy_function=os.link)
    path = data.draw(st.sampled_from(sorted(path for path in root.rglob("*") if path.is_file())))
    path.unlink()
    path.write_bytes(garbage)
    assert problems(root)

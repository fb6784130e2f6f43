import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.errors import RequestError
from tasks.hands.skeleton import mirror_pose
from tasks.layouts.dexycb import DexYcb
from tasks.layouts.dexycb.files import SUBJECTS
from tasks.layouts.dexycb.labels import LABEL_SHAPES, read_label
from tests.tasks.layouts.dexycb.conftest import CAMERAS as ALL_CAMERAS
from tests.tasks.layouts.dexycb.conftest import name_of

CAMERAS = ALL_CAMERAS[:2]
SEQUENCE = name_of(7, 2)
FOLDER = f"{SEQUENCE}/{CAMERAS[1]}"
LABEL = f"{FOLDER}/labels_000001.npz"
META = f"{SEQUENCE}/meta.yml"
INTRINSICS = f"calibration/intrinsics/{CAMERAS[1]}_640x480.yml"
EXTRINSICS = "calibration/extrinsics_20200702_151821/extrinsics.yml"
HAND = f"calibration/mano_{SUBJECTS[7]}_right_2/mano.yml"


_NOT_HERE = (
    rf"calibration/intrinsics/(?!{CAMERAS[0]}|{CAMERAS[1]})\d+_640x480.yml: cannot be read \(No such file.*"
)


def problems(root: Path) -> list[str]:
    """Without the cameras that this small dataset does not have."""
    found = [str(problem) for problem in DexYcb(root).check()]
    return [
        text
        for text in found
        if not text.endswith("_640x480.yml: cannot be read (No such file or directory)")
    ]


def edit_label(root: Path, change: Callable[[dict[str, Any]], None], name: str = LABEL) -> None:
    with np.load(root / name) as archive:
        label = dict(archive)
    change(label)
    (root / name).unlink()
    np.savez(root / name, **label)


def edit_yaml(root: Path, name: str, **changes: Any) -> None:
    content = yaml.safe_load((root / name).read_text()) | changes
    (root / name).unlink()
    (root / name).write_text(yaml.safe_dump(content))


def test_flawless_data_have_no_problem(small_pristine: Path) -> None:
    assert problems(small_pristine) == []


def test_missing_files_are_named(small: Path) -> None:
    for name in (f"{FOLDER}/color_000000.jpg", LABEL, f"{FOLDER}/aligned_depth_to_color_000000.png"):
        (small / name).unlink()
    assert problems(small) == [f"{LABEL}: does not exist", f"{FOLDER}/color_000000.jpg: is missing"]


def test_a_missing_camera_folder_is_named(small: Path) -> None:
    shutil.rmtree(small / FOLDER)
    assert problems(small) == [f"{FOLDER}: is missing"]


def test_missing_calibration_is_named(small: Path) -> None:
    (small / INTRINSICS).unlink()
    (small / HAND).unlink()
    (small / EXTRINSICS).unlink()
    found = [str(problem) for problem in DexYcb(small).check()]
    assert f"{INTRINSICS}: cannot be read (No such file or directory)" in found
    assert f"{HAND}: cannot be read (No such file or directory)" in found
    assert f"{EXTRINSICS}: cannot be read (No such file or directory)" in found


def test_cameras_without_a_place_are_named(small: Path) -> None:
    places = yaml.safe_load((small / EXTRINSICS).read_text())["extrinsics"]
    edit_yaml(small, EXTRINSICS, extrinsics={CAMERAS[0]: places[CAMERAS[0]]})
    assert problems(small) == [f"{EXTRINSICS}[{CAMERAS[1]}]: has no place"]
    edit_yaml(small, EXTRINSICS, extrinsics={CAMERAS[0]: [1, 2]})
    assert problems(small) == [f"{EXTRINSICS}: '{CAMERAS[0]}' has shape (2,): (12,) expected"]


def test_unknown_cameras_and_subjects_are_named(small: Path) -> None:
    (small / SEQUENCE / "932122062011").mkdir()
    (small / "calibration/intrinsics/932122062011_640x480.yml").write_text("color: {}")
    (small / "20201022-subject-11").mkdir()
    edit_yaml(small, f"{name_of(7, 3)}/meta.yml", serials=[*CAMERAS, "123"])
    assert problems(small) == [
        "calibration/intrinsics/932122062011_640x480.yml: is of an unknown camera",
        "20201022-subject-11: is an unknown subject",
        f"{SEQUENCE}/932122062011: is of a camera that meta.yml does not name",
        f"{name_of(7, 3)}/meta.yml[serials]: names the unknown camera 123",
    ]


def test_incomplete_real_data_are_named(small: Path) -> None:
    (small / "palmares.json").unlink()
    found = problems(small)
    assert f"{SUBJECTS[0]}: holds 0 sequences: 100 expected" in found
    assert f"{SUBJECTS[7]}: holds 2 sequences: 100 expected" in found
    assert f"{META}[serials]: lacks cameras or frames: all eight cameras expected" in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": "3"}, "'num_frames' is missing, or no int"),
        ({"num_frames": -1}, "'num_frames' is -1"),
        ({"mano_sides": ["both"]}, "'mano_sides' is 'both': left or right expected"),
        ({"mano_sides": []}, "'mano_sides' is missing, or no str"),
        ({"ycb_ids": [1, 22]}, "'ycb_ids' holds something that is no object number from 1 to 21"),
        ({"mano_calib": ["../../etc"]}, "'../../etc' is no name of a calibration"),
        ({"serials": None}, "'serials' is missing, or no list"),
    ],
)
def test_a_bad_meta_is_named(small: Path, changes: dict[str, Any], message: str) -> None:
    edit_yaml(small, META, **changes)
    assert problems(small) == [f"{META}: {message}"]


def test_counts_that_differ_from_the_meta_are_named(small: Path) -> None:
    edit_yaml(small, META, num_frames=2, ycb_grasp_ind=5)
    assert problems(small) == [
        f"{META}[ycb_grasp_ind]: is 5 of 2 objects",
        *(
            f"{SEQUENCE}/{serial}: holds 3 files {prefix}*: meta.yml has 2 frames"
            for serial in CAMERAS
            for prefix in ("color_", "labels_")
        ),
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "color", "color: {fx: 1}", "color: {fx: a, fy: 1, ppx: 1, ppy: 1}", "{", "\x00", "a: &b [1]",
             "color: {fx: .nan, fy: 1, ppx: 1, ppy: 1}", "color: {fx: -1, fy: 1, ppx: 1, ppy: 1}", "? [a]\n: b",
             "[" * 900],
)  # fmt: skip
def test_bad_yaml_is_named(small: Path, text: str) -> None:
    (small / INTRINSICS).unlink()
    (small / INTRINSICS).write_text(text)
    (problem,) = problems(small)
    assert problem.startswith(f"{INTRINSICS}: ")


def test_betas_that_are_none_are_named(small: Path) -> None:
    edit_yaml(small, HAND, betas=[0.5] * 9)
    assert problems(small) == [f"{HAND}: 'betas' has shape (9,): (10,) expected"]


@pytest.mark.parametrize("key", [*LABEL_SHAPES, "seg"])
def test_a_missing_array_and_a_wrong_shape_are_named(small: Path, key: str) -> None:
    edit_label(small, lambda label: label.pop(key))
    other = f"{FOLDER}/labels_000000.npz"
    edit_label(small, lambda label: label.update({key: label[key][0]}), other)
    found = problems(small)
    assert found[0].startswith(f"{other}[{key}]: ")
    assert "expected" in found[0]
    assert found[1] == f"{LABEL}[{key}]: is missing"


@pytest.mark.parametrize("key", LABEL_SHAPES)
def test_nan_is_named(small: Path, key: str) -> None:
    edit_label(small, lambda label: label[key].__setitem__((0, 4), np.nan))
    assert problems(small) == [f"{LABEL}[{key}]: holds NaN or infinite numbers"]


def test_unknown_segments_are_named(small: Path) -> None:
    edit_label(small, lambda label: label["seg"].__setitem__((3, 4), 22))
    assert problems(small) == [f"{LABEL}[seg]: holds unknown labels"]


def joints(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Any]], None]:
    def apply(label: dict[str, Any]) -> None:
        label["joint_3d"] = change(label["joint_3d"]).astype(np.float32)

    return apply


B_TO_A = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * 1000, "wrist to middle base is "),
        (lambda x: x * [1, -1, -1], "lies behind the camera: z must be positive"),
        (lambda x: x[:, B_TO_A], "joints seem to be in order A: order B expected"),
    ],
)
def test_millimetres_axes_and_order_are_named(
    small: Path, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    edit_label(small, joints(change))
    (problem,) = problems(small)
    assert problem.startswith(f"{LABEL}[joint_3d]: {message}")


def test_a_hand_of_the_other_side_than_promised_is_named(small: Path) -> None:
    edit_yaml(small, META, mano_sides=["left"])
    found = problems(small)
    assert len(found) == 2 * len(CAMERAS)
    assert all("left hand, which meta.yml promises" in text or "parameters" in text for text in found)


def test_parameters_of_the_other_side_are_named(small: Path) -> None:
    def change(label: dict[str, Any]) -> None:
        label["pose_m"][0, :48] = mirror_pose(label["pose_m"][0, :48])

    edit_label(small, change)
    assert problems(small) == [f"{LABEL}[pose_m]: the parameters do not give the joints"]


def test_joints_of_another_camera_are_named(small: Path) -> None:
    edit_label(small, joints(lambda x: x + np.array([0.02, 0, 0])))
    found = problems(small)
    assert f"{LABEL}[joint_2d]: is not where joint_3d projects with the camera's intrinsics" in found


def test_contradictions_about_the_hand_are_named(small: Path) -> None:
    edit_label(small, lambda label: label.update(pose_m=np.zeros((1, 51), np.float32)))
    other = f"{FOLDER}/labels_000002.npz"
    edit_label(small, lambda label: label.update(joint_2d=np.ones((1, 21, 2), np.float32)), other)
    assert problems(small) == [
        f"{other}[joint_2d]: says that there is one, joint_3d that there is no hand",
        f"{LABEL}[pose_m]: says that there is no hand, joint_3d that there is one",
    ]


def test_damaged_images_are_named(small: Path) -> None:
    for name in ("color_000000.jpg", "color_000001.jpg"):
        (small / FOLDER / name).unlink()
    (small / FOLDER / "color_000000.jpg").write_bytes(b"\xff\xd8")
    Image.new("RGB", (480, 640)).save(small / FOLDER / "color_000001.jpg")
    first, second = problems(small)
    assert first.startswith(f"{FOLDER}/color_000000.jpg: cannot be decoded: ")
    assert second == f"{FOLDER}/color_000001.jpg: is 480 x 640 pixels: 640 x 480 expected"


def test_no_folder_and_an_empty_folder_are_problems(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: is no folder"]
    assert f"{tmp_path}: holds no sequence, as in 20200709-subject-01/20200709_141754" in problems(tmp_path)


class Trap:
    """Unpickles by making a folder, which nobody may ever see."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_an_array_of_objects_is_named_and_nothing_of_it_runs(small: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    edit_label(small, lambda label: label.update(pose_m=np.array([[Trap(ran)]], dtype=object)))
    (problem,) = problems(small)
    assert problem.startswith(f"{LABEL}: damaged or no label of DexYCB")
    assert not ran.exists()


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.data())
def test_damaged_bytes_of_a_label_are_refused_or_read_and_never_raise_anything_else(
    small_pristine: Path, tmp_path: Path, data: st.DataObject
) -> None:
    payload = bytearray((small_pristine / LABEL).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "labels.npz"
    path.write_bytes(payload[: data.draw(st.integers(0, len(payload)))])
    with contextlib.suppress(RequestError):
        assert set(read_label(path)) == set(LABEL_SHAPES)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(max_size=200) | st.text(max_size=60).map(str.encode), data=st.data())
def test_no_garbage_raises(small_pristine: Path, tmp_path: Path, garbage: bytes, data: st.DataObject) -> None:
    root = tmp_path / "garbage"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(small_pristine, root, copy_function=os.link)
    path = data.draw(st.sampled_from(sorted(path for path in root.rglob("*") if path.is_file())))
    path.unlink()
    path.write_bytes(garbage)
    assert problems(root)

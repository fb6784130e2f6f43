import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.errors import RequestError
from tasks.hands.skeleton import Order, reorder
from tasks.layouts.interhand26m import InterHand26M, check_hands
from tasks.layouts.interhand26m.check_hands import misproportion, misread
from tests.tasks.layouts.interhand26m.conftest import edit, posed

DATA, CAMERA, JOINTS, FITS = (
    f"InterHand2.6M_test_{key}.json" for key in ("data", "camera", "joint_3d", "MANO_NeuralAnnot")
)


def problems(root: Path) -> list[str]:
    return [str(problem) for problem in InterHand26M(root).check()]


def change_joints(root: Path, capture: str, frame: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the joints (42, 3) of a frame of the test split."""

    def apply(content: dict) -> None:
        record = content[capture][frame]
        record["world_coord"] = change(np.array(record["world_coord"])).tolist()

    edit(root, "joint_3d", apply)


def test_flawless_data_have_no_problem(pristine: Path) -> None:
    assert problems(pristine) == []


def test_real_data_have_no_marker_and_may_lack_a_validation_split(dataset: Path) -> None:
    (dataset / "palmares.json").unlink()
    assert problems(dataset) == []
    assert not InterHand26M(dataset).synthetic


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: is no folder"]
    assert len(problems(tmp_path)) == 8


@pytest.mark.parametrize("key", ["data", "camera", "joint_3d", "MANO_NeuralAnnot"])
def test_a_missing_or_broken_file_is_told_once(dataset: Path, key: str) -> None:
    path = dataset / f"annotations/test/InterHand2.6M_test_{key}.json"
    whole = path.read_text()
    path.unlink()
    assert problems(dataset) == [f"{path.name}: is missing"]
    path.write_text(whole[: len(whole) // 2])
    (found,) = problems(dataset)
    assert found.startswith(f"{path.name}: is truncated or invalid JSON")
    path.write_bytes(b"\xff\xfe{}")
    assert problems(dataset) == [f"{path.name}: is no JSON: it holds bytes that are no text"]
    path.write_text("[1, 2]")
    assert problems(dataset) == [f"{path.name}: is no JSON object"]


def test_a_misspelt_file_is_named(dataset: Path) -> None:
    (dataset / "annotations/test/InterHand2.6M_test_cameras.json").write_text("{}")
    assert problems(dataset) == [
        "annotations/test/InterHand2.6M_test_cameras.json: is no file of InterHand2.6M"
    ]


def test_missing_and_damaged_images_are_named(dataset: Path) -> None:
    folder = dataset / "images/test/Capture0/ROM0_b"
    (folder / "cam400/image100.jpg").unlink()
    path = folder / "cam401/image100.jpg"
    path.write_bytes(path.read_bytes()[:700])
    Image.new("RGB", (512, 334)).save(folder / "cam400/image101.jpg")
    Image.new("RGB", (334, 512)).save(folder / "cam401/image101.jpg", format="PNG")
    found = problems(dataset)
    name = "images/test/Capture0/ROM0_b"
    assert found[0] == f"{name}/cam400/image100.jpg: is missing"
    assert found[1].startswith(f"{name}/cam401/image100.jpg: cannot be decoded")
    assert found[2] == f"{name}/cam400/image101.jpg: is 512 x 334 pixels: 334 x 512 expected"
    assert found[3] == f"{name}/cam401/image101.jpg: is a PNG file: JPEG expected"
    assert len(found) == 4


def test_a_missing_image_folder_is_told_once(dataset: Path) -> None:
    shutil.rmtree(dataset / "images/test")
    assert problems(dataset) == ["images/test: is missing, with all 8 images"]


def test_a_camera_that_is_missing_for_a_capture_is_told_with_what_needs_it(dataset: Path) -> None:
    edit(dataset, "camera", lambda content: content.pop("3") and None)
    assert problems(dataset) == [
        f"{CAMERA}[3/{camera}]: is missing, or damaged, but 2 images need it" for camera in ("400", "401")
    ]


def test_missing_joints_are_told_with_what_needs_them(dataset: Path) -> None:
    edit(dataset, "joint_3d", lambda content: content["3"].pop("102") and None)
    assert problems(dataset) == [f"{JOINTS}[3/102]: is missing, or damaged, but 2 images need it"]


def test_counts_that_differ_are_told_by_record(dataset: Path) -> None:
    edit(dataset, "data", lambda content: content["images"].pop(2) and None)
    assert problems(dataset) == [f"{DATA}[annotation 2]: names image 2, which is not there"]


def test_images_without_annotation_and_repeated_ids_are_named(dataset: Path) -> None:
    def change(content: dict) -> None:
        content["annotations"].pop(5)
        content["annotations"][1]["id"] = 0

    edit(dataset, "data", change)
    assert problems(dataset) == [
        f"{DATA}[annotation 0]: has an id that occurs twice",
        f"{DATA}[image 5]: has no annotation",
    ]


@pytest.mark.parametrize(
    ("key", "change", "record", "said"),
    [
        ("data", lambda c: c["annotations"][3].pop("bbox") and None, "annotations 3", "lacks 'bbox'"),
        (
            "data",
            lambda c: c["annotations"][3]["bbox"].__setitem__(0, float("nan")),
            "annotations 3",
            "has a 'bbox' that is not four finite numbers",
        ),
        (
            "data",
            lambda c: c["annotations"][3]["joint_valid"].pop() and None,
            "annotations 3",
            "has a 'joint_valid' that is not 42 times 0 or 1",
        ),
        (
            "data",
            lambda c: c["annotations"][3].__setitem__("hand_type", "both"),
            "annotations 3",
            "has the hand type 'both': one of right, left, interacting expected",
        ),
        ("data", lambda c: c["images"][3].__delitem__("capture"), "images 3", "lacks 'capture'"),
        (
            "data",
            lambda c: c["images"].append({"nothing": 1}),
            "images 8",
            "is neither an image (no 'file_name') nor an annotation (no 'image_id')",
        ),
        ("camera", lambda c: c["0"]["camrot"].pop("400") and None, "0/400", "lacks 'camrot'"),
        (
            "camera",
            lambda c: c["0"]["camrot"].__setitem__("400", np.diag([1, 1, -1]).tolist()),
            "0/400",
            "'camrot' is no rotation",
        ),
        (
            "camera",
            lambda c: c["0"]["campos"].__setitem__("400", [1, 2]),
            "0/400",
            "'campos' has shape (2,): (3,) expected",
        ),
        (
            "joint_3d",
            lambda c: c["0"]["101"]["world_coord"].__setitem__(5, [0, float("nan"), 1]),
            "0/101",
            "'world_coord' holds NaN or infinite numbers",
        ),
        (
            "joint_3d",
            lambda c: c["0"]["101"]["world_coord"].pop() and None,
            "0/101",
            "'world_coord' has shape (41, 3): (42, 3) expected",
        ),
        ("joint_3d", lambda c: c["0"]["101"].pop("hand_type") and None, "0/101", "has the hand type None"),
        (
            "MANO_NeuralAnnot",
            lambda c: c["0"]["100"]["left"].__setitem__("shape", [0.0] * 9),
            "0/100/left",
            "'shape' has shape (9,): (10,) expected",
        ),
        (
            "MANO_NeuralAnnot",
            lambda c: c["0"]["100"]["left"]["pose"].__setitem__(3, float("inf")),
            "0/100/left",
            "'pose' holds NaN or infinite numbers",
        ),
        (
            "MANO_NeuralAnnot",
            lambda c: c["0"]["100"]["left"].__setitem__("trans", [float("nan")] * 3),
            "0/100/left",
            "'trans' holds NaN or infinite numbers",
        ),
        (
            "MANO_NeuralAnnot",
            lambda c: c["0"]["100"].__setitem__("left", {}),
            "0/100/left",
            "lacks 'pose'",
        ),
        (
            "MANO_NeuralAnnot",
            lambda c: c["0"]["100"]["left"].__setitem__("pose", []),
            "0/100/left",
            "'pose' has shape (0,): (48,) expected",
        ),
    ],
)
def test_a_record_that_cannot_be_read_is_named_with_the_reason(
    dataset: Path, key: str, change: Callable[[dict], Any], record: str, said: str
) -> None:
    edit(dataset, key, change)
    found = problems(dataset)
    assert any(problem.startswith(f"InterHand2.6M_test_{key}.json[{record}]: {said}") for problem in found)


def test_joints_in_metres_are_told_by_their_length(dataset: Path) -> None:
    change_joints(dataset, "0", "101", lambda joints: joints / 1000)
    assert any(
        problem.startswith(f"{JOINTS}[0/101]: the right hand measures 0.")
        and problem.endswith("as in metres: millimetres expected")
        for problem in problems(dataset)
    )


def test_cameras_in_metres_are_told_once_a_capture(dataset: Path) -> None:
    def to_metres(content: dict) -> None:
        for name, place in content["0"]["campos"].items():
            content["0"]["campos"][name] = [value / 1000 for value in place]

    edit(dataset, "camera", to_metres)
    found = [problem for problem in problems(dataset) if problem.startswith(CAMERA)]
    assert found == [
        f"{CAMERA}[0]: has its cameras within millimetres of each other, as in metres: millimetres expected"
    ]


def test_fits_in_millimetres_are_told(dataset: Path) -> None:
    def to_millimetres(content: dict) -> None:
        fit = content["3"]["102"]["left"]
        fit["trans"] = [1000 * value for value in fit["trans"]]

    edit(dataset, "MANO_NeuralAnnot", to_millimetres)
    (found,) = problems(dataset)
    assert found.startswith(f"{FITS}[3/102/left]: lies ")
    assert found.endswith("from the origin, as in millimetres: metres expected")


def test_a_fit_far_from_its_joints_is_told(dataset: Path) -> None:
    def push(content: dict) -> None:
        content["0"]["100"]["right"]["trans"][1] += 0.02

    edit(dataset, "MANO_NeuralAnnot", push)
    assert problems(dataset) == [f"{FITS}[0/100/right]: lies 20 mm from the joints of joint_3d"]


def test_a_fit_as_near_as_the_official_ones_is_no_problem(dataset: Path) -> None:
    def push(content: dict) -> None:
        content["0"]["100"]["right"]["trans"][1] += 0.008

    edit(dataset, "MANO_NeuralAnnot", push)
    assert problems(dataset) == []


def test_swapped_hands_are_told_for_joints_and_for_fits(dataset: Path) -> None:
    change_joints(dataset, "0", "100", lambda joints: np.concatenate([joints[21:], joints[:21]]))
    assert problems(dataset) == [
        f"{JOINTS}[0/100]: the {side} hand's joints are those of a {other} hand"
        for side, other in (("right", "left"), ("left", "right"))
    ]


def test_swapped_fits_are_told(dataset: Path) -> None:
    def swap(content: dict) -> None:
        record = content["0"]["100"]
        record["right"], record["left"] = record["left"], record["right"]

    edit(dataset, "MANO_NeuralAnnot", swap)
    found = problems(dataset)
    assert [problem.split(": ")[0] for problem in found] == [f"{FITS}[0/100/right]", f"{FITS}[0/100/left]"]


@pytest.mark.parametrize("order", ["A", "B", "D"])
def test_joints_in_another_order_are_told_by_their_bones(dataset: Path, order: Order) -> None:
    def shuffle(joints: np.ndarray) -> np.ndarray:
        return joints.reshape(2, 21, 3)[:, reorder("C", order)].reshape(42, 3)

    change_joints(dataset, "0", "101", shuffle)
    assert f"{JOINTS}[0/101]: the right hand's bones fit joint order {order}: order C expected" in problems(
        dataset
    )


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), noise=st.floats(0, 2), order=st.sampled_from(["A", "B", "D"]))
def test_the_order_is_told_in_every_pose(seed: int, noise: float, order: Order) -> None:
    rng = np.random.default_rng(seed)
    joints = posed("right", rng)[1][:21][reorder("C", "B")] * 1000 + rng.normal(0, noise, (21, 3))
    own = misproportion(joints)
    assert own < 0.25
    taken_for_c = joints[reorder("B", order)][reorder("C", "B")]
    assert misproportion(taken_for_c) > 0.25
    np.testing.assert_allclose(misproportion(taken_for_c[misread(order)]), own, atol=1e-12)


def test_hand_types_that_disagree_are_told(dataset: Path) -> None:
    def change(content: dict) -> None:
        content["annotations"][2]["hand_type"] = "left"

    edit(dataset, "data", change)
    assert problems(dataset) == [f"{DATA}[annotation 2]: is 'left', but joint_3d says 'right'"]


def test_a_single_hand_with_joints_of_the_other_is_told(dataset: Path) -> None:
    def change(content: dict) -> None:
        content["0"]["100"]["hand_type"] = "right"

    edit(dataset, "joint_3d", change)
    edit(
        dataset,
        "data",
        lambda content: [a.update(hand_type="right") for a in content["annotations"][:2]] and None,
    )
    assert problems(dataset) == [
        f"{DATA}[annotation {i}]: is of type 'right', but has valid joints of the left hand" for i in (0, 1)
    ]


def test_an_interacting_frame_with_one_hand_is_told_unless_its_type_is_in_doubt(dataset: Path) -> None:
    def empty(content: dict) -> None:
        content["0"]["100"]["joint_valid"][21:] = [[0]] * 21

    def agree(content: dict) -> None:
        for annotation in content["annotations"][:2]:
            annotation["joint_valid"][21:] = [[0]] * 21
        content["annotations"][1]["hand_type_valid"] = 0

    edit(dataset, "joint_3d", empty)
    edit(dataset, "data", agree)
    text = f"{DATA}[annotation 0]: is interacting, but joint_3d has the joints of one hand only"
    assert problems(dataset) == [text]


def test_valid_joints_outside_the_image_or_behind_the_camera_are_told(dataset: Path) -> None:
    def turn(content: dict) -> None:
        content["0"]["princpt"]["400"] = [900, 250]
        rotation = np.diag([1.0, -1.0, -1.0]) @ np.array(content["3"]["camrot"]["401"])
        content["3"]["camrot"]["401"] = rotation.tolist()

    edit(dataset, "camera", turn)
    found = problems(dataset)
    behind = [problem for problem in found if problem.endswith("behind its camera")]
    assert behind == [f"{DATA}[annotation {i}]: has valid joints behind its camera" for i in (5, 7)]
    assert any(
        p.startswith(f"{DATA}[annotation 2]: has ")
        and p.endswith("that are valid but do not project into the image")
        for p in found
    )


def test_an_image_that_shows_nothing_of_its_hands_is_told(dataset: Path) -> None:
    def aim_away(content: dict) -> None:
        content["0"]["princpt"]["400"] = [5000, 250]

    def agree(content: dict) -> None:
        for annotation in content["annotations"][:4:2]:
            annotation["joint_valid"] = [[0]] * 42

    edit(dataset, "camera", aim_away)
    edit(dataset, "data", agree)
    text = "shows no hand: every annotated joint projects outside the image"
    assert problems(dataset) == [f"{DATA}[annotation {i}]: {text}" for i in (0, 2)]


def test_one_hand_outside_the_image_is_no_problem(dataset: Path) -> None:
    def lose_left(content: dict) -> None:
        content["0"]["100"]["world_coord"][21:] = [[9e4, 0, 0]] * 21
        content["0"]["100"]["joint_valid"][21:] = [[1]] + [[0]] * 20

    def agree(content: dict) -> None:
        for annotation in content["annotations"][:2]:
            annotation["joint_valid"][21:] = [[0]] * 21

    edit(dataset, "joint_3d", lose_left)
    edit(dataset, "data", agree)
    edit(dataset, "MANO_NeuralAnnot", lambda content: content["0"]["100"].update(left=None))
    assert problems(dataset) == []


def test_an_interacting_frame_may_lack_a_fit_but_not_all_of_them(dataset: Path) -> None:
    def lose(frame: tuple[str, str]) -> None:
        edit(
            dataset,
            "MANO_NeuralAnnot",
            lambda content: content[frame[0]][frame[1]].update(left=None),
        )

    lose(("0", "100"))
    assert problems(dataset) == []
    test = InterHand26M(dataset).split("test")
    assert test.fits(np.arange(len(test)))["verts_m"].shape[:2] == (8, 2)
    assert len(test.mesh_frames()) == 2
    lose(("3", "103"))
    text = "has both fits for none of 4 interacting images, as protocols on meshes need"
    assert problems(dataset) == [f"{FITS}: {text}"]


def test_a_valid_joint_without_annotation_is_told(dataset: Path) -> None:
    edit(dataset, "joint_3d", lambda content: content["0"]["101"]["joint_valid"].__setitem__(7, [0]))
    assert problems(dataset) == [
        f"{DATA}[annotation {i}]: has joints that are valid here and not in joint_3d" for i in (2, 3)
    ]


def test_an_empty_list_of_records_is_told(dataset: Path) -> None:
    edit(dataset, "data", lambda content: {"images": [], "annotations": []})
    assert problems(dataset) == [f"{DATA}[{kind}]: holds no record" for kind in ("images", "annotations")]


def test_fits_of_another_hand_model_are_told_once(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def push(content: dict) -> None:
        fits = [fit for frames in content.values() for record in frames.values() for fit in record.values()]
        for fit in filter(None, fits):
            fit["trans"][2] += 0.03

    edit(dataset, "MANO_NeuralAnnot", push)
    assert len(problems(dataset)) == 6
    monkeypatch.setattr(check_hands, "FEW_FITS", 6)
    (found,) = problems(dataset)
    assert found.startswith(f"{FITS}: 6 of 6 fits lie more than 15 mm from the joints")


def test_empty_boxes_and_boxes_beside_the_image_are_told(dataset: Path) -> None:
    def change(content: dict) -> None:
        content["annotations"][1]["bbox"] = [10, 10, 0, 5]
        content["annotations"][4]["bbox"] = [400, 10, 20, 5]

    edit(dataset, "data", change)
    assert problems(dataset) == [
        f"{DATA}[annotation 1]: has an empty 'bbox'",
        f"{DATA}[annotation 4]: has a 'bbox' outside the image",
    ]


_JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=3),
    st.just([]),
    st.just({}),
    st.just([[1], [2, 3]]),
    st.just(1e300),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), junk=_JUNK, key=st.sampled_from(["data", "camera", "joint_3d", "MANO_NeuralAnnot"]))
def test_no_content_makes_the_check_raise_or_the_reader_crash(
    dataset: Path, data: st.DataObject, junk: Any, key: str
) -> None:
    path = dataset / f"annotations/test/InterHand2.6M_test_{key}.json"
    whole = path.read_text()
    try:
        content = json.loads(whole)
        at: Any = content
        while True:
            names = list(at) if isinstance(at, dict) else list(range(len(at)))
            name = data.draw(st.sampled_from(names))
            if not isinstance(at[name], (dict, list)) or not at[name] or data.draw(st.booleans()):
                break
            at = at[name]
        at[name] = junk
        path.write_text(json.dumps(content))
        found = problems(dataset)
        try:
            samples = InterHand26M(dataset).split("test")
            samples.fits(np.arange(len(samples)))
        except RequestError:
            assert found
    finally:
        path.write_text(whole)

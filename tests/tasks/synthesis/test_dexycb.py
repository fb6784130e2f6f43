import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tasks.errors import RequestError
from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import load_hand
from tasks.layouts.dexycb import DexYcb, DexYcbS1, DexYcbS2, DexYcbS3
from tasks.layouts.dexycb.files import SERIALS, SETUPS, SUBJECTS
from tasks.layouts.dexycb.writer import write_sequence
from tasks.synthesis import dexycb
from tasks.synthesis.dexycb import SEQUENCES, Take, film_take, make_dexycb, plan
from tasks.synthesis.making import signature
from tests.tasks.synthesis.conftest import stops_after

SIZE, SEED = 12, 3
NOWHERE = Path("/nowhere")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthesis") / "dexycb"
    make_dexycb(root, size=SIZE, seed=SEED, workers=1)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def labels(root: Path) -> dict[str, dict[str, np.ndarray]]:
    return {str(path.relative_to(root)): dict(np.load(path)) for path in root.glob("*/*/*/labels_*.npz")}


def test_what_is_made_has_no_problem(made: Path) -> None:
    assert list(DexYcb(made).check()) == []
    assert DexYcb(made).synthetic


@pytest.mark.parametrize("layout", [DexYcb, DexYcbS1, DexYcbS2, DexYcbS3])
def test_every_setup_has_all_of_its_splits(made: Path, layout: type[DexYcb]) -> None:
    sizes = [len(layout(made).split(split)) for split in ("train", "val", "test")]
    assert min(sizes) > 0
    if layout is DexYcb:
        assert sizes == [SIZE, 8, 16]


@pytest.mark.parametrize("size", [5, 16, 67, 1000, 2003, 40_000])
def test_the_plan_fills_every_split_of_every_setup(size: int) -> None:
    takes = plan(NOWHERE, 0, size)
    assert len({(take.subject, take.index) for take in takes}) == len(takes) == sum(SEQUENCES)
    assert len({take.name for take in takes}) == len(takes)
    for parts in SETUPS.values():
        counts = [
            sum(
                take.n_instants * len(set(take.cameras) & set(part.cameras))
                for take in takes
                if take.subject in part.subjects and part.takes(take.index)
            )
            for part in parts.values()
        ]
        assert min(counts) > 0
        if parts is SETUPS["s0"]:
            n_test = max(16, size // 4)
            assert counts == [size, n_test // 2, n_test]


def test_names_sort_by_position() -> None:
    names = [Take(NOWHERE, 0, 0, index).name for index in range(SEQUENCES[0])]
    assert names == sorted(names)
    assert names[0].startswith(f"{SUBJECTS[0]}/20200709_")


def test_held_out_grasps_are_of_objects_that_training_never_shows() -> None:
    takes = plan(NOWHERE, 0, 2000)
    parts = SETUPS["s3"]
    things = {
        name: {t.thing.name for t in takes if t.n_images and part.takes(t.index)}
        for name, part in parts.items()
    }
    assert not things["train"] & things["val"]
    assert not things["train"] & things["test"]
    assert len(things["train"]) > 5


def test_left_and_right_hands_are_told_by_the_sequence(made: Path) -> None:
    train = DexYcb(made).split("train")
    assert 0 < train.mirrored.sum() < SIZE
    for name, left in zip(train.clusters, train.mirrored, strict=True):
        content = yaml.safe_load((made / name / "meta.yml").read_text())
        assert content["mano_sides"] == ["left" if left else "right"]
        assert content["mano_calib"][0].endswith("left" if left else "right")


def test_masks_are_the_visible_part_of_the_decoded_hand(made: Path) -> None:
    train, hand = DexYcb(made).split("train"), load_hand("right")
    verts = torch.from_numpy(train.verts(np.arange(SIZE)))
    cameras = torch.from_numpy(train.intrinsics_px).float()
    silhouettes = rasterise(verts, hand.faces, cameras, 224).mask.numpy()
    masks = np.stack([train.mask(i) for i in range(SIZE)])
    assert ((masks & silhouettes).sum(axis=(1, 2)) / masks.sum(axis=(1, 2)) > 0.97).all()
    assert np.mean((masks & silhouettes).sum(axis=(1, 2)) / silhouettes.sum(axis=(1, 2))) > 0.5


def test_some_images_show_no_hand(made: Path) -> None:
    absent = [label for label in labels(made).values() if (label["joint_3d"] == -1).all()]
    assert absent
    for label in absent:
        assert (label["joint_2d"] == -1).all()
        assert not label["pose_m"].any()
        assert set(np.unique(label["seg"])) - {0} < set(range(1, 22))


def test_the_segmentation_names_the_grasped_object(made: Path) -> None:
    for path, label in labels(made).items():
        content = yaml.safe_load((made / Path(path).parents[1] / "meta.yml").read_text())
        grasped = content["ycb_ids"][content["ycb_grasp_ind"]]
        assert set(np.unique(label["seg"])) <= {0, grasped, 255}
        assert label["pose_y"].shape == (1, 3, 4)
        assert np.linalg.det(label["pose_y"][0, :, :3]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("index", [0, 1])
def test_all_cameras_see_one_hand(made: Path, tmp_path: Path, index: int) -> None:
    take = Take(tmp_path, SEED, 2, index, cameras=(0, 3, 7), n_instants=1)
    write_sequence(tmp_path, take.sequence)
    film_take(take)
    calibration = yaml.safe_load(
        (made / f"calibration/extrinsics_{dexycb.EXTRINSICS}/extrinsics.yml").read_text()
    )
    common = []
    for camera in take.cameras:
        label = np.load(tmp_path / take.name / SERIALS[camera] / "labels_000000.npz")
        to_master = np.reshape(calibration["extrinsics"][SERIALS[camera]], (3, 4))
        common.append(label["joint_3d"][0] @ to_master[:, :3].T + to_master[:, 3])
    np.testing.assert_allclose(common[0], common[1], atol=1e-6)
    np.testing.assert_allclose(common[0], common[2], atol=1e-6)


def test_a_subject_has_one_shape(made: Path) -> None:
    shapes = {}
    for path in made.glob("calibration/mano_*/mano.yml"):
        shapes.setdefault(path.parent.name.rsplit("_", 1)[0], set()).add(path.read_text())
    assert len(shapes) == 10
    assert all(len(each) == 1 for each in shapes.values())
    assert len(set.union(*shapes.values())) == 10


def test_the_marker_tells_how_the_set_was_made(made: Path) -> None:
    marker = json.loads((made / "palmares.json").read_text())
    assert marker == {"synthetic": True, **signature("dexycb", dexycb.GENERATOR_VERSION, SEED, SIZE)}


def test_the_order_in_which_sequences_are_filmed_does_not_change_a_byte(made: Path, tmp_path: Path) -> None:
    filmed = [take for take in plan(tmp_path, SEED, SIZE) if take.n_images]
    for take in reversed(filmed[:6]):
        write_sequence(tmp_path, take.sequence)
        film_take(take)
    again, before = contents(tmp_path), contents(made)
    assert len(again) > 6 * 3
    assert all(before[name] == content for name, content in again.items())


@pytest.mark.parametrize("size", [0, -1, 465_505])
def test_impossible_sizes_are_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(RequestError, match=rf"size is {size}: DexYCB has 1 to 465504"):
        make_dexycb(tmp_path / "out", size=size, seed=0)
    with pytest.raises(RequestError, match="seed is -1"):
        make_dexycb(tmp_path / "out", size=1, seed=-1)
    assert not (tmp_path / "out").exists()


def test_the_first_image_of_a_seed_is_what_it_was(made: Path) -> None:
    name = f"{SUBJECTS[0]}/20200709_090000/{SERIALS[0]}/labels_000001.npz"
    label = labels(made)[name]
    np.testing.assert_allclose(label["pose_m"][0, :4], [-2.26265, -2.132954, -0.397223, -0.918155], atol=1e-4)
    np.testing.assert_allclose(label["pose_m"][0, 48:], [-0.027989, 0.081074, 0.67972], atol=1e-5)
    np.testing.assert_allclose(label["joint_2d"][0, 8], [370.8722, 180.1042], atol=0.01)


@pytest.mark.slow
def test_an_interrupted_set_is_taken_up_and_the_same(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in this process, taken up by two: neither that nor their number changes a byte."""
    monkeypatch.setattr(dexycb, "film_take", stops_after(4, film_take))
    with pytest.raises(KeyboardInterrupt):
        make_dexycb(tmp_path / "again", size=SIZE, seed=SEED, workers=1)
    monkeypatch.undo()
    told: list[tuple[int, int]] = []
    make_dexycb(tmp_path / "again", size=SIZE, seed=SEED, workers=2, progress=lambda *step: told.append(step))
    assert told[0][0] > 0
    assert contents(tmp_path / "again") == contents(made)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]

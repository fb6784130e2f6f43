import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from tasks.errors import RequestError
from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import load_hand
from tasks.layouts.interhand26m import InterHand26M, InterHandSamples
from tasks.layouts.interhand26m.writer import annotation_fragments
from tasks.synthesis import interhand26m
from tasks.synthesis.interhand26m import CAPTURES, Shard, make_interhand26m, make_shard
from tasks.synthesis.making import signature
from tasks.synthesis.two_hands_studio import backdrop
from tests.tasks.synthesis.conftest import stops_after

SIZE, SEED = 20, 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic set, made in this process; never write into it."""
    root = tmp_path_factory.mktemp("synthesis") / "interhand26m"
    make_interhand26m(root, size=SIZE, seed=SEED, workers=1)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def silhouettes(samples: InterHandSamples, index: int) -> np.ndarray:
    """(2, 512, 334) bool: where each hand would be seen alone."""
    verts = samples.fits(np.array([index]))["verts_m"][0]
    camera = torch.from_numpy(samples.intrinsics_px[[index]]).float()
    return np.stack(
        [
            rasterise(
                torch.from_numpy(np.nan_to_num(v[None])).float(), load_hand(s).faces, camera, (512, 334)
            )
            .mask[0]
            .numpy()
            for s, v in zip(("right", "left"), verts, strict=True)
        ]
    )


def test_what_is_made_has_no_problem(made: Path) -> None:
    assert [str(problem) for problem in InterHand26M(made).check()] == []
    assert InterHand26M(made).synthetic


def test_the_tree_is_the_official_one(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == ["annotations", "images", "palmares.json"]
    names = ["data", "camera", "joint_3d", "MANO_NeuralAnnot"]
    for split in ("train", "val", "test"):
        expected = sorted(f"InterHand2.6M_{split}_{name}.json" for name in names)
        assert sorted(path.name for path in (made / "annotations" / split).iterdir()) == expected
    skeleton = (made / "annotations/skeleton.txt").read_text().splitlines()
    assert len([line for line in skeleton if not line.startswith("#")]) == 42
    assert [path.name for path in (made / "images").iterdir() if not path.is_dir()] == []


def test_every_split_has_its_share_and_every_kind_of_frame(made: Path) -> None:
    layout = InterHand26M(made)
    assert {split: len(layout.split(split)) for split in CAPTURES} == {"train": SIZE, "val": 8, "test": 16}
    for split in ("train", "test"):
        samples = layout.split(split)
        assert set(samples.hand_type) == {"right", "left", "interacting"}
        assert samples.joint_valid.any(axis=0).all()


def test_the_marker_tells_how_the_set_was_made(made: Path) -> None:
    marker = json.loads((made / "palmares.json").read_text())
    assert marker == {
        "synthetic": True,
        **signature("interhand26m", interhand26m.GENERATOR_VERSION, SEED, SIZE),
    }


@pytest.mark.slow
def test_an_interrupted_set_is_taken_up_and_the_same(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in this process, taken up by two: neither that nor their number changes a byte."""
    monkeypatch.setattr(interhand26m, "make_shard", stops_after(1, make_shard))
    with pytest.raises(KeyboardInterrupt):
        make_interhand26m(tmp_path / "again", size=SIZE, seed=SEED, workers=1)
    monkeypatch.undo()
    told: list[tuple[int, int]] = []
    make_interhand26m(
        tmp_path / "again", size=SIZE, seed=SEED, workers=2, progress=lambda *step: told.append(step)
    )
    assert told[0][0] > 0
    assert contents(tmp_path / "again") == contents(made)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_small_set_is_the_beginning_of_a_larger_one(made: Path, tmp_path: Path) -> None:
    make_interhand26m(tmp_path / "small", size=5, seed=SEED, workers=1)
    small, large = contents(tmp_path / "small"), contents(made)
    images = [name for name in small if name.endswith(".jpg")]
    assert len(images) == 5 + 8 + 16
    assert all(small[name] == large[name] for name in images)


def test_several_cameras_see_every_frame(made: Path) -> None:
    train = InterHand26M(made).split("train")
    frames: dict[str, set[str]] = {}
    for name in train.ids:
        *_, camera, frame = name.split("/")
        frames.setdefault(f"{name.split('/')[1]}/{frame}", set()).add(camera)
    assert [len(cameras) for cameras in frames.values()] == [4] * (SIZE // 4)


def test_subjects_differ_between_captures_and_between_splits(made: Path) -> None:
    layout = InterHand26M(made)
    betas = {}
    for split in CAPTURES:
        samples = layout.split(split)
        fits = samples.fits(np.arange(len(samples)))["betas"]
        for cluster, both in zip(samples.clusters, fits, strict=True):
            own = tuple(np.nan_to_num(both[0], nan=both[1]).astype(np.float32))
            betas.setdefault("/".join(cluster.split("/")[:2]), set()).add(own)
    assert all(len(shapes) == 1 for shapes in betas.values())
    assert len(set.union(*betas.values())) == len(betas) >= 8


def test_joints_and_fits_agree_in_world_and_camera(made: Path) -> None:
    test = InterHand26M(made).split("test")
    fits = test.fits(np.arange(len(test)))
    joints = test.joints_of(fits["verts_m"])
    assert np.abs(joints - test.joints_m)[test.has_fit].max() < 1e-6
    for hand, side in enumerate(("right", "left")):
        there = np.flatnonzero(test.has_fit[:, hand])
        pose, betas = (torch.from_numpy(fits[name][there, hand]).float() for name in ("pose_aa", "betas"))
        verts = load_hand(side)(pose, betas)[0].double().numpy() + fits["trans_m"][there, hand][:, None]
        assert np.abs(verts - fits["verts_m"][there, hand]).max() < 1e-6


def test_labels_lie_on_the_rendered_hands(made: Path) -> None:
    """What differs from the empty backdrop is hands and forearms: the labels' silhouettes, filled to their rim."""
    train = InterHand26M(made).split("train")
    filled, around = [], []
    for i in range(0, len(train), 2):
        outline = silhouettes(train, i)
        assert (outline.any(axis=(1, 2)) == train.has_fit[i]).all()
        mask = outline.any(axis=0)
        rim = binary_dilation(mask, iterations=9) & ~binary_dilation(mask, iterations=3)
        something = np.abs(train.image(i) - empty(train, i)).max(axis=2) > 20
        filled.append(something[mask].mean())
        around.append(something[rim].mean())
    assert np.median(filled) > 0.93
    assert np.min(filled) > 0.7
    assert np.max(around) < 0.3  # the forearm leaves there


def empty(samples: InterHandSamples, index: int) -> np.ndarray:
    """(512, 334, 3) what the camera of an image sees without hands."""
    _, _, sequence, camera, _ = samples.ids[index].split("/")
    return backdrop(SEED, "interhand26m train", int(sequence.split("_")[0]), int(camera[3:]) - 400000)


def test_boxes_hold_the_joints_that_are_valid(made: Path) -> None:
    train = InterHand26M(made).split("train")
    pixels = train.joints_m @ np.swapaxes(train.intrinsics_px, 1, 2)[:, None]
    pixels = (pixels[..., :2] / pixels[..., 2:])[train.joint_valid]
    boxes = np.broadcast_to(train.box_px[:, None, None], (*train.joint_valid.shape, 4))[train.joint_valid]
    assert (pixels >= boxes[:, :2] - 1).all()
    assert (pixels <= boxes[:, :2] + boxes[:, 2:] + 1).all()
    shown = np.isfinite(train.joints_m).all(axis=-1)
    assert train.joint_valid[shown].mean() > 0.9


def test_interacting_hands_are_near_and_most_touch(made: Path) -> None:
    layout = InterHand26M(made)
    gaps = []
    for split in ("train", "test"):
        samples = layout.split(split)
        pairs = samples.fits(samples.mesh_frames())["verts_m"]
        gaps += [cKDTree(right).query(left)[0].min() for right, left in pairs]
    assert max(gaps) < 0.07
    assert np.median(gaps) < 0.004  # between vertices; the skin between them is nearer


def test_a_wrist_is_as_far_from_the_middle_base_as_in_people(made: Path) -> None:
    train = InterHand26M(made).split("train")
    palms = np.linalg.norm(train.joints_m[:, :, 9] - train.joints_m[:, :, 0], axis=-1)[train.has_fit]
    assert palms.min() > 0.07
    assert palms.max() < 0.12


def test_progress_counts_the_images_of_all_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interhand26m, "make_shard", lambda shard: annotation_fragments([], []))
    told: list[tuple[int, int]] = []
    make_interhand26m(tmp_path / "out", 20, 0, workers=1, progress=lambda *step: told.append(step))
    assert told == [(0, 44), (20, 44), (28, 44), (44, 44)]


@pytest.mark.parametrize(("size", "seed", "said"), [(0, 0, "size is 0"), (1, -1, "seed is -1")])
def test_impossible_requests_are_refused(tmp_path: Path, size: int, seed: int, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        make_interhand26m(tmp_path / "out", size=size, seed=seed)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(shard: Shard) -> None:
        (shard.root / "images").mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(interhand26m, "make_shard", fail)
    with pytest.raises(KeyboardInterrupt):
        make_interhand26m(tmp_path / "out", size=4, seed=0, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("licensed_hands")
def test_licensed_hands_take_the_place_of_the_open_ones(tmp_path: Path) -> None:
    make_interhand26m(tmp_path / "out", size=1, seed=SEED, workers=1)
    assert list(InterHand26M(tmp_path / "out").check()) == []
    assert json.loads((tmp_path / "out/palmares.json").read_text())["hand"] == "MANO"

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.errors import RequestError
from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import load_hand
from tasks.layouts.freihand import FreiHand
from tasks.synthesis import freihand
from tasks.synthesis.bank import Bank
from tasks.synthesis.freihand import Shard, make_freihand, make_shard
from tasks.synthesis.making import signature
from tasks.synthesis.subjects import COUNTS
from tests.tasks.synthesis.conftest import SEED, SIZE


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_is_made_has_no_problem(made: Path) -> None:
    assert list(FreiHand(made).check()) == []
    assert FreiHand(made).synthetic


def test_every_sample_has_four_images_and_the_evaluation_set_a_quarter(made: Path) -> None:
    assert len(FreiHand(made).split("train")) == 4 * SIZE
    assert len(FreiHand(made).split("test")) == 16
    assert (made / "training/rgb" / f"{SIZE - 1 + 3 * 32560:08d}.jpg").is_file()
    assert sorted(path.name for path in made.iterdir()) == sorted(
        ["training", "evaluation", "palmares.json"]
        + [
            f"{split}_{key}.json"
            for split in ("training", "evaluation")
            for key in ("K", "xyz", "verts", "scale", "mano")
        ]
    )


def test_the_marker_tells_how_the_set_was_made(made: Path) -> None:
    marker = json.loads((made / "palmares.json").read_text())
    assert marker == {"synthetic": True, **signature("freihand", freihand.GENERATOR_VERSION, SEED, SIZE)}


def test_a_small_set_is_the_beginning_of_a_larger_one(made: Path, tmp_path: Path) -> None:
    make_freihand(tmp_path / "small", size=3, seed=SEED, workers=1)
    small, large = contents(tmp_path / "small"), contents(made)
    images = [name for name in small if name.endswith(".jpg")]
    assert len(images) == 4 * 3 + 3 + 16
    assert all(small[name] == large[name] for name in images)
    assert json.loads(small["training_xyz.json"]) == json.loads(large["training_xyz.json"])[:3]


def test_another_seed_gives_other_hands(made: Path, tmp_path: Path) -> None:
    fragments = make_shard(Shard(tmp_path, Bank(SEED + 1, tmp_path), "training", 0, 1))
    other = json.loads(f"[{fragments['xyz']}]")[0]
    assert np.abs(np.array(other) - FreiHand(made).split("train").joints_m[0]).max() > 1e-3


def test_masks_show_the_visible_hand_and_nothing_else(made: Path) -> None:
    train, hand = FreiHand(made).split("train"), load_hand("right")
    cameras = torch.from_numpy(train.intrinsics_px).float()
    silhouettes = rasterise(torch.from_numpy(train.verts_m), hand.faces, cameras, 224).mask.numpy()
    masks = np.stack([train.mask(i) for i in range(SIZE)])
    inside = (masks & silhouettes).sum(axis=(1, 2))
    assert (inside / masks.sum(axis=(1, 2)) > 0.97).all()
    visible = inside / silhouettes.sum(axis=(1, 2))
    assert (visible > 0.45).all()
    assert (visible > 0.93).sum() >= SIZE // 3
    assert (visible < 0.9).any()


def test_hands_fill_most_of_the_image_and_stay_within(made: Path) -> None:
    for split in ("train", "test"):
        samples = FreiHand(made).split(split)
        pixels = samples.verts_m @ samples.intrinsics_px.transpose(0, 2, 1)
        pixels = pixels[..., :2] / pixels[..., 2:]
        assert pixels.min() > 0
        assert pixels.max() < 224
        box = np.ptp(pixels, axis=1).max(axis=1) / 224
        assert 0.55 < np.median(box) < 0.85


def test_the_first_version_is_a_green_screen_and_the_others_are_not(made: Path) -> None:
    train = FreiHand(made).split("train")
    corners = np.stack([train.image(i)[:8, 100:110].mean(axis=(0, 1)) for i in range(4 * SIZE)])
    is_green = (corners[:, 1] > 1.3 * corners[:, 0]) & (corners[:, 1] > 1.3 * corners[:, 2])
    assert is_green[:SIZE].mean() > 0.6
    assert is_green[SIZE:].mean() < 0.3


def test_the_hand_is_at_the_same_place_in_all_versions(made: Path) -> None:
    train = FreiHand(made).split("train")
    for sample in range(SIZE):
        mask = train.mask(sample)
        grey = [train.image(sample + SIZE * version).mean(axis=2)[mask] for version in range(4)]
        assert all(np.corrcoef(grey[0], other)[0, 1] > 0.6 for other in grey[1:])


def test_training_and_evaluation_have_subjects_of_their_own(made: Path) -> None:
    betas = {split: {tuple(row) for row in FreiHand(made).split(split).betas} for split in ("train", "test")}
    assert not betas["train"] & betas["test"]
    assert len(betas["train"]) <= COUNTS["training"]
    assert len(betas["test"]) <= COUNTS["evaluation"]


def test_progress_counts_training_and_evaluation_samples(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    make_freihand(tmp_path / "out", size=1, seed=SEED, workers=1, progress=lambda *step: told.append(step))
    assert told == [(0, 17), (1, 17), (17, 17)]


@pytest.mark.parametrize("size", [0, -1, 32561])
def test_impossible_sizes_are_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(RequestError, match=rf"size is {size}: .* 1 to 32560"):
        make_freihand(tmp_path / "out", size=size, seed=0)
    assert not (tmp_path / "out").exists()


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="seed is -1"):
        make_freihand(tmp_path / "out", size=1, seed=-1)


def test_data_are_never_overwritten(made: Path) -> None:
    before = contents(made)
    with pytest.raises(RequestError, match="is not empty"):
        make_freihand(made, size=1, seed=0, workers=1)
    assert contents(made) == before


@pytest.mark.slow
def test_a_killed_set_is_taken_up_and_the_same(made: Path, tmp_path: Path) -> None:
    """``kill -9`` in the middle of the work of two processes, taken up by one: neither changes a byte."""
    out = tmp_path / "again"
    code = (
        "import sys; from pathlib import Path; from tasks.synthesis.freihand import make_freihand\n"
        f"if __name__ == '__main__': make_freihand(Path(sys.argv[1]), size={SIZE}, seed={SEED}, workers=2)\n"
    )
    script = tmp_path / "make.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, script, out], env=environment) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob(".again.*/parts/*.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    assert not out.exists()
    make_freihand(out, size=SIZE, seed=SEED, workers=1)
    assert contents(out) == contents(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "make.py"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_run_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(shard: Shard) -> dict[str, str]:
        Image.new("L", (8, 8)).save(shard.root / "00000000.jpg")
        raise error

    monkeypatch.setattr(freihand, "make_shard", fail)
    with pytest.raises(error):
        make_freihand(tmp_path / "out", size=4, seed=0, workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("licensed_hands")
def test_a_licensed_hand_takes_the_place_of_the_open_one(tmp_path: Path) -> None:
    make_freihand(tmp_path / "out", size=2, seed=SEED, workers=1)
    assert list(FreiHand(tmp_path / "out").check()) == []
    assert json.loads((tmp_path / "out/palmares.json").read_text())["hand"] == "MANO"
    train = FreiHand(tmp_path / "out").split("train")
    skin = train.image(0)[train.mask(0)].mean(axis=0)
    assert skin[0] > skin[2]
    assert 20 < skin.mean() < 240


def test_importing_the_registry_is_light() -> None:
    code = "import sys, tasks.layouts.registry; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

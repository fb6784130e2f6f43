"""Fabricated records: random numbers in the shape of a finished cell."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reports.boards import Board, make_boards
from reports.record import read_records, write_record
from tasks.registry import METRICS, PROTOCOLS, TASKS

N_SAMPLES, N_CLUSTERS = 48, 16
TEXTURE = ("psnr_db", "ssim", "texture_l1")


def make_header(**changes: Any) -> dict[str, Any]:
    """The header of a cell; its id follows from its identity, as in the suite."""
    protocol = PROTOCOLS["freihand"]
    chosen = {
        "method": "amvur",
        "seed": 0,
        "preset": "tiny",
        "data_fingerprint": "3fa9c1d2e4b5a697",
        **changes,
    }
    identity = {
        "method": chosen["method"],
        "method_version": 1,
        "config": chosen.pop("config", {"training": {"epochs": 3}, "blocks": [1, 2]}),
        "task": "single_hand",
        "task_version": 1,
        "protocol": protocol.label,
        "layout": "freihand",
        "split": "test",
        "data_fingerprint": chosen.pop("data_fingerprint"),
        "seed": chosen["seed"],
    }
    header = {
        "cell": hashlib.sha256(repr((identity, chosen.get("variant"))).encode()).hexdigest()[:16],
        "kind": "run",
        "identity": identity,
        "method_title": chosen["method"].upper(),
        "task": "single_hand",
        "layout": "freihand",
        "split": "test",
        "axis": None,
        "variant": "default",
        "reason": None,
        "protocol": {"name": protocol.name, "version": protocol.version, "text": protocol.text},
        "synthetic": True,
        "flags": ["known intrinsics"],
        "not_applicable": {},
        "stages": [{"name": "regressor", "key": "0" * 16, "cached": False, "steps": 40, "seconds": 1.5}],
        "cost": {"train_s": 1.5},
        "environment": {"python": "3.11"},
        "git_commit": "0" * 40,
        "finished_ms": 1_700_000_009_000,
    }
    return {**header, **chosen}


def make_samples(level: float = 10.0, seed: int = 0, without: tuple[str, ...] = ()) -> pd.DataFrame:
    """Per-sample columns of every metric but ``without``; samples are hard or easy whatever the seed."""
    rng = np.random.default_rng([int(level * 1000), seed])
    hardness = np.random.default_rng(7).gamma(8, 1 / 8, N_SAMPLES)
    columns: dict[str, Any] = {"cluster": [f"c{i % N_CLUSTERS:02d}" for i in range(N_SAMPLES)]}
    for metric in (METRICS[name] for name in PROTOCOLS["freihand"].metrics):
        if metric.name in without or metric.name.startswith("lpips"):
            continue
        for column in metric.sample_columns:
            noise = rng.gamma(40, 1 / 40, N_SAMPLES)
            columns[column] = level * hardness * noise if metric.unit == "mm" else np.clip(noise / 2, 0, 1)
    index = pd.Index([f"{i:08d}" for i in range(N_SAMPLES)], name="sample")
    return pd.DataFrame(columns, index=index)


def make_curves(steps: int = 40) -> pd.DataFrame:
    step = np.arange(steps)
    tables = [
        pd.DataFrame(
            {"step": step, "name": name, "value": scale / (1 + step), "time_ms": 1_700_000_000_000 + step}
        )
        for name, scale in (("total", 2.0), ("kl", 0.5))
    ]
    return pd.concat(tables, ignore_index=True)


def make_record(root: Path, level: float = 10.0, without: tuple[str, ...] = (), **changes: Any) -> Path:
    header = make_header(**changes)
    header["not_applicable"] = dict.fromkeys(without, "no texture head")
    samples = make_samples(level, header["seed"], without)
    picture = Image.new("RGB", (32, 16), (200, 160, 130))
    predictions = {"joints_cam_m": np.zeros((N_SAMPLES, 21, 3), np.float32)}
    return write_record(root, header, samples, predictions, make_curves(), {"samples": picture})


@pytest.fixture(scope="session")
def fabricate() -> Callable[..., Path]:
    return make_record


@pytest.fixture(scope="session")
def header() -> Callable[..., dict[str, Any]]:
    return make_header


@pytest.fixture(scope="session")
def samples() -> Callable[..., pd.DataFrame]:
    return make_samples


@pytest.fixture(scope="session")
def curves() -> Callable[..., pd.DataFrame]:
    return make_curves


@pytest.fixture(scope="session")
def _sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sweep") / "records"
    for seed in (0, 1, 2):
        make_record(root, 10.0, method="amvur", method_title="AMVUR", seed=seed)
    make_record(root, 14.0, method="amvur", method_title="AMVUR", variant="supervision=weak")
    make_record(root, 11.0, TEXTURE, method="mano_regressor", method_title="MANO regressor")
    make_record(root, 25.0, TEXTURE, method="mean_hand", method_title="Mean hand")
    return root


@pytest.fixture
def records_root(_sweep: Path, tmp_path: Path) -> Path:
    """Six records: AMVUR with three seeds and a weak variant, and two baselines. A copy that a test may damage."""
    return Path(shutil.copytree(_sweep, tmp_path / "records"))


@pytest.fixture(scope="session")
def board(_sweep: Path) -> Board:
    """The board of ``records_root``; what it has computed once it keeps."""
    return make_boards(read_records(_sweep), TASKS)[0]

"""What is installed and found on this machine, and what follows from it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Finding = dict[str, Any]


def examine() -> list[Finding]:
    """A finding for each thing that changes what Palmares can do here."""
    return [
        _finding("Python", True, platform.python_version(), ""),
        _finding("CPU cores", True, str(os.cpu_count()), "shared out among the workers"),
        _torch(),
        _cuda(),
        _package("Ray", "ray", "trains and evaluates every method"),
        _package("MLflow", "mlflow", _tracking()),
        _package("smplx", "smplx", "forward pass of every hand"),
        _package("PyTorch3D", "pytorch3d", "used where it is chosen", "the built-in rasteriser is used"),
        _mano(),
        _home(),
    ]


def _finding(name: str, found: bool, value: str, follows: str) -> Finding:
    return {"name": name, "found": found, "value": value, "follows": follows}


def _package(name: str, package: str, follows: str, otherwise: str = "run make install") -> Finding:
    try:
        return _finding(name, True, version(package), follows)
    except PackageNotFoundError:
        return _finding(name, False, "-", otherwise)


def _torch() -> Finding:
    return _package("torch", "torch", "")


def _cuda() -> Finding:
    try:
        import torch
    except ImportError:
        return _finding("CUDA", False, "-", "run make install")
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        value = f"{torch.cuda.device_count()} x {', '.join(sorted(names))}"
        return _finding("CUDA", True, value, "give it to workers with --gpus-per-worker 1")
    built = torch.version.cuda is not None
    why = (
        "no GPU is visible"
        if built
        else "this is torch's CPU build: PALMARES_TORCH=gpu make install for the other"
    )
    return _finding("CUDA", False, "-", f"training runs on the CPU; {why}")


def _tracking() -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return f"mirrors to {uri}" if uri else "mirrors to mlflow.db in the home folder"


def _mano() -> Finding:
    from tasks.errors import RequestError
    from tasks.hands.hand import load_hand

    folder = os.environ.get("PALMARES_MANO")
    if not folder:
        return _finding(
            "MANO", False, "-", "the open procedural hand is used; set PALMARES_MANO to your licensed copy"
        )
    try:
        return _finding("MANO", True, folder, f"read as '{load_hand().name}'")
    except RequestError as error:
        return _finding("MANO", False, folder, str(error))


def _home() -> Finding:
    from suite.home import Home
    from tasks.errors import RequestError

    try:
        home = Home.from_environment()
    except RequestError as error:
        return _finding("home", False, os.environ.get("PALMARES_HOME", ""), str(error))
    nearest = next(p for p in (home.root, *home.root.parents) if p.exists())
    writable = os.access(nearest, os.W_OK)
    records = len(list(home.records.glob("*/record.json")))
    follows = f"{records} records" if writable else "cannot be written: set PALMARES_HOME"
    return _finding("home", writable, _short(home.root), follows)


def _short(path: Path) -> str:
    try:
        return f"./{path.relative_to(Path.cwd())}"
    except ValueError:
        return str(path)

"""The stage cache: trained stages by key, published whole by one rename, never changed afterwards."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.home import Home, read_json, write_json
from tasks.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "weights.pt"
CURVE = "curve.jsonl"
NOTE = "stage.json"


class StageCache:
    """``cache/stages/<key>/``: weights, curve and a note on how they came about."""

    def __init__(self, home: Home) -> None:
        self.root = home.stages

    def folder(self, key: str) -> Path:
        return self.root / key

    def note(self, key: str) -> dict[str, Any] | None:
        """What is known of a published stage, or None where there is none."""
        return read_json(self.folder(key) / NOTE)

    def curve(self, key: str) -> Path:
        return self.folder(key) / CURVE

    def publish(self, key: str, module: "nn.Module", curve: Path | None, note: dict[str, Any]) -> None:
        """Put a trained stage into the cache; the first of several writers wins. Whoever writes holds its lease."""
        import torch

        beside = self.root / f".{key}.{os.getpid()}"
        for abandoned in self.root.glob(f".{key}.*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        beside.mkdir(parents=True)
        torch.save(module.state_dict(), beside / WEIGHTS)
        if curve is not None and curve.exists():
            shutil.copyfile(curve, beside / CURVE)
        write_json(beside / NOTE, {"key": key, **note})
        try:
            beside.rename(self.folder(key))
        except OSError:
            shutil.rmtree(beside)
            if self.note(key) is None:
                raise

    def load(self, key: str, module: "nn.Module") -> "nn.Module":
        """Load a published stage's weights into its module. Raises RequestError for a damaged file."""
        import torch

        path = self.folder(key) / WEIGHTS
        require_whole(path)
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return module.eval()


def require_whole(path: Path) -> None:
    """Raise RequestError unless a torch file is there and not cut short (its directory stands at its end)."""
    if not zipfile.is_zipfile(path):
        state = "is damaged (cut short?)" if path.exists() else "is missing"
        raise RequestError(
            f"checkpoint '{path}' {state}: delete the folder '{path.parent}' to train it again."
        )

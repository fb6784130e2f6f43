"""Image files: decoded whole, or refused by name."""

from pathlib import Path

import numpy as np
from PIL import Image

from tasks.errors import RequestError


def decode(
    path: Path, mode: str, kind: str, layout: str, size_px: tuple[int, int] | None = None
) -> np.ndarray:
    """The pixels of an image, uint8: (H, W, 3) for mode ``RGB``, (H, W) for ``L``.

    ``kind`` is the format as Pillow names it, ``size_px`` the only width and height that will do. Raises RequestError
    that names the file when it is missing, undecodable or of another size.
    """
    try:
        with Image.open(path) as image:
            if size_px and image.size != size_px:
                reason = f"is {image.size[0]} x {image.size[1]} pixels, expected {size_px[0]} x {size_px[1]}"
                raise RequestError(f"{path} {reason}; 'palmares data check {layout}' lists every problem.")
            return np.array(image.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"is no readable {kind}"
        raise RequestError(f"{path} {reason}; 'palmares data check {layout}' lists every problem.") from None


def defect(path: Path, mode: str, kind: str, size_px: tuple[int, int]) -> tuple[str, np.ndarray | None]:
    """What is wrong with an image file, or nothing and its pixels. No content makes it raise."""
    try:
        with Image.open(path) as image:
            if image.format != kind:
                return f"is a {image.format} file: {kind} expected", None
            if image.size != size_px:
                found, want = (f"{width} x {height}" for width, height in (image.size, size_px))
                return f"is {found} pixels: {want} expected", None
            return "", np.asarray(image.convert(mode))
    except FileNotFoundError:
        return "is missing", None
    except Exception as error:  # PIL raises a dozen types for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"cannot be decoded: {reason}", None


def coarse_mean(path: Path) -> float:
    """The mean of a JPEG's pixels, 0 to 255, from an eighth of its resolution; NaN for one that cannot be decoded."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (image.width // 8, image.height // 8))
            return float(np.asarray(image.convert("RGB")).mean())
    except Exception:  # PIL raises a dozen types for a damaged file
        return float("nan")

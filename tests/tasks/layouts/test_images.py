import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import RequestError
from tasks.layouts.images import coarse_mean, decode, defect


def test_pixels_come_back_in_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png", "RGB", "PNG", "ho3d_v2"), pixels)
    assert decode(tmp_path / "a.png", "L", "PNG", "ho3d_v2", (8, 6)).shape == (6, 8)
    text, found = defect(tmp_path / "a.png", "RGB", "PNG", (8, 6))
    assert text == ""
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, b"GIF89a", b"BM" + b"\x01" * 60]
)
def test_damaged_files_are_named_in_one_line(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(payload)
    with pytest.raises(
        RequestError, match=r"a\.png is no readable PNG; 'palmares data check ho3d_v2'"
    ) as caught:
        decode(path, "RGB", "PNG", "ho3d_v2")
    assert "\n" not in str(caught.value)
    assert defect(path, "RGB", "PNG", (8, 6))[0]


def test_a_header_that_claims_a_huge_image_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    """IHDR of 30,000 x 30,000 pixels and nothing behind it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    )
    with pytest.raises(RequestError, match=r"expected 640 x 480|is no readable"):
        decode(path, "RGB", "PNG", "ho3d_v2", (640, 480))
    assert defect(path, "RGB", "PNG", (640, 480))[0]


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none\.jpg does not exist"):
        decode(tmp_path / "none.jpg", "RGB", "JPEG", "dexycb")
    assert defect(tmp_path / "none.jpg", "RGB", "JPEG", (1, 1))[0] == "is missing"
    with pytest.raises(RequestError, match="is no readable JPEG"):
        decode(tmp_path, "RGB", "JPEG", "dexycb")


def test_the_coarse_mean_of_a_jpeg_is_its_mean_and_damage_is_nan(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 60, (512, 334, 3), dtype=np.uint8)
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    Image.fromarray(noise).save(whole, quality=90)
    cut.write_bytes(whole.read_bytes()[:5000])
    assert abs(coarse_mean(whole) - decode(whole, "RGB", "JPEG", "interhand26m").mean()) < 0.5
    assert np.isnan(coarse_mean(cut))
    assert np.isnan(coarse_mean(tmp_path / "absent.jpg"))

"""HO-3D's depth images: 16 bits over two channels of a PNG. Source: shreyashampali/ho3d, vis_HO3D.py."""

import numpy as np

DEPTH_SCALE_M = 0.00012498664727900177
"""Metres per step."""


def encode_depth(depth_m: np.ndarray) -> np.ndarray:
    """(H, W) metres, 0 where unknown -> (H, W, 3) uint8 RGB: low byte red, high byte green."""
    steps = np.clip(np.round(np.asarray(depth_m, np.float64) / DEPTH_SCALE_M), 0, 2**16 - 1).astype(np.uint16)
    return np.stack([steps & 0xFF, steps >> 8, np.zeros_like(steps)], axis=-1).astype(np.uint8)


def decode_depth(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) float64 metres. Widened first: 256 does not fit into the file's own type."""
    channels = rgb.astype(np.int64)
    return (channels[..., 0] + 256 * channels[..., 1]) * DEPTH_SCALE_M

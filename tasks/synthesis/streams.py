"""Random streams: every draw of the generator comes from a stream of its own, so that any part can be made anywhere.

A stream is named by generator version, seed, split, index and purpose. Samples can be made in any order and by any
process, and changing how one part draws changes nothing else.
"""

import zlib

import numpy as np

GENERATOR_VERSION = 1
"""Raise it when the same seed would give other bytes: synthetic data are cached by it."""


def stream(seed: int, split: str, index: int, purpose: str) -> np.random.Generator:
    """The random generator of one sample (or subject, or background) for one purpose."""
    names = [zlib.crc32(name.encode()) for name in (split, purpose)]
    return np.random.default_rng([GENERATOR_VERSION, seed, index, *names])

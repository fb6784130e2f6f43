"""Decoded images in memory, as bytes, while they fit; the rest is decoded again at each use, by several threads.

Processes that are forked later share the memory: what one has decoded the others need not.
"""

import mmap
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Result = TypeVar("Result")
CACHE_BYTES = 2**31


class ImageCache:
    """Pictures (C, S, S) uint8 by key; ``decode`` makes one."""

    def __init__(
        self,
        count: int,
        shape: tuple[int, int, int],
        decode: Callable[[int], Tensor],
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """``count`` keys, from 0."""
        self._decode = decode
        capacity = min(count, cache_bytes // int(np.prod(shape)))
        self._pixels = torch.from_numpy(shared((capacity, *shape), np.uint8))
        self._slot = shared((count,), np.int64)
        self._slot[:] = -1
        self._used = shared((1,), np.int64)
        self._filling = multiprocessing.Lock()

    def take(self, keys: np.ndarray) -> Tensor:
        """(B, C, S, S) uint8 of these keys (B,)."""
        missing = np.unique(keys[self._slot[keys] < 0]).tolist()
        decoded = dict(zip(missing, map_threads(self._decode, missing), strict=True))
        with self._filling:
            for key, picture in decoded.items():
                self._keep(key, picture)
        slots = self._slot[keys]
        if (slots >= 0).all():
            return self._pixels[torch.from_numpy(slots)]
        pictures = (decoded[k] if k in decoded else self._pixels[self._slot[k]] for k in keys.tolist())
        return torch.stack(list(pictures))

    def _keep(self, key: int, picture: Tensor) -> None:
        """Another process may have decoded the same picture meanwhile."""
        slot = int(self._used[0])
        if self._slot[key] < 0 and slot < len(self._pixels):
            self._pixels[slot] = picture
            self._slot[key] = slot
            self._used[0] = slot + 1


def shared(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Zeros in memory that forked processes share; pages are taken when they are written to."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, max(1, size)), dtype, int(np.prod(shape))).reshape(shape)


def map_threads(function: Callable[[int], Result], items: Sequence[int]) -> list[Result]:
    """The function of each item, in order, by threads where there are several items (PIL decodes without the GIL)."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(len(items), os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))

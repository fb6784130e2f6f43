import multiprocessing

import numpy as np
import pytest
import torch

from tasks.image_cache import ImageCache


def test_pictures_are_decoded_once_while_they_fit_and_again_when_they_do_not():
    decoded = []

    def decode(key: int) -> torch.Tensor:
        decoded.append(key)
        return torch.full((3, 4, 4), key, dtype=torch.uint8)

    cache = ImageCache(9, (3, 4, 4), decode, cache_bytes=2 * 3 * 4 * 4)
    order = np.array([7, 2, 7, 5])
    for _ in range(2):
        taken = cache.take(order)
        assert taken[:, 0, 0, 0].tolist() == order.tolist()
    assert sorted(decoded) == [2, 5, 7, 7]


def test_what_a_forked_process_decodes_others_need_not():
    context = multiprocessing.get_context("fork")
    owner = context.current_process().pid

    def decode(key: int) -> torch.Tensor:
        if context.current_process().pid == owner:
            raise AssertionError(f"{key} was there")
        return torch.full((3, 4, 4), key, dtype=torch.uint8)

    cache = ImageCache(20, (3, 4, 4), decode, cache_bytes=12 * 3 * 4 * 4)
    keys = np.arange(3, 9)
    others = [context.Process(target=cache.take, args=(keys[i:],)) for i in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert cache.take(keys)[:, 0, 0, 0].tolist() == keys.tolist()
    with pytest.raises(AssertionError, match="12 was there"):
        cache.take(np.array([12]))

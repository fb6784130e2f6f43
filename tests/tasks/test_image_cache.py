import numpy as np
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

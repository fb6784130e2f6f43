import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from tasks.metrics import texture


def pair(seed=0, batch=3, size=48):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand((batch, 3, size, size), generator=generator)
    noisy = (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    mask = torch.zeros(batch, size, size, dtype=torch.bool)
    for i in range(batch):
        mask[i, 8 : 30 + 2 * i, 10:34] = True
    return noisy, image, mask


def test_constant_error_of_a_tenth_is_twenty_decibel():
    image = torch.full((1, 3, 32, 32), 0.5)
    mask = torch.ones(1, 32, 32, dtype=torch.bool)
    assert texture.psnr_db(image + 0.1, image, mask).item() == pytest.approx(20, abs=1e-5)
    assert texture.l1(image + 0.1, image, mask).item() == pytest.approx(0.1, abs=1e-6)


def test_psnr_and_l1_are_those_of_the_masked_pixels():
    rendered, image, mask = pair()
    for i, (psnr, l1) in enumerate(
        zip(texture.psnr_db(rendered, image, mask), texture.l1(rendered, image, mask), strict=True)
    ):
        inside = mask[i].numpy()
        difference = (rendered[i] - image[i]).double().numpy()[:, inside]
        assert psnr.item() == pytest.approx(-10 * math.log10(np.mean(difference**2)), rel=1e-6)
        assert l1.item() == pytest.approx(np.abs(difference).mean(), rel=1e-6)


def test_pixels_outside_the_mask_do_not_matter():
    rendered, image, mask = pair()
    elsewhere = torch.where(mask[:, None], rendered, torch.rand(rendered.shape))
    for measure in (texture.psnr_db, texture.l1, texture.ssim):
        torch.testing.assert_close(measure(rendered, image, mask), measure(elsewhere, image, mask))


def test_ssim_is_scikit_images_map_averaged_over_the_mask():
    rendered, image, mask = pair()
    for i, value in enumerate(texture.ssim(rendered, image, mask)):
        black = [(x[i] * mask[i]).double().permute(1, 2, 0).numpy() for x in (rendered, image)]
        _, full = structural_similarity(
            *black, channel_axis=2, data_range=1, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True,
        )  # fmt: skip
        assert value.item() == pytest.approx(full[mask[i].numpy()].mean(), rel=1e-6)


def test_equal_images_have_ssim_one_and_infinite_psnr():
    _, image, mask = pair()
    np.testing.assert_allclose(texture.ssim(image, image, mask).numpy(), 1, atol=1e-9)
    assert texture.psnr_db(image, image, mask).isinf().all()


@pytest.mark.parametrize(("pixels", "defined"), [(0, False), (199, False), (200, True)])
def test_a_mask_below_two_hundred_pixels_is_undefined(pixels, defined):
    rendered, image, _ = pair(batch=1)
    mask = torch.zeros(1, 48, 48, dtype=torch.bool)
    mask.view(-1)[:pixels] = True
    for measure in (texture.psnr_db, texture.l1, texture.ssim):
        assert bool(measure(rendered, image, mask).isfinite()) is defined

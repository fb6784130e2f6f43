import torch

from methods.layers.skin import MeanSkin


def test_the_mean_is_over_all_hand_pixels_seen() -> None:
    skin = MeanSkin()
    image = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(4, 8, 8, dtype=torch.bool)
    mask[0, :4], mask[1, 2], mask[3, 5:, 5:] = True, True, True
    skin.update(image[:2], mask[:2])
    skin.update(image[2:], mask[2:])
    expected = image.movedim(1, -1)[mask].mean(0)
    torch.testing.assert_close(skin(2)["flat_rgb"], expected.expand(2, 3))


def test_without_a_mask_there_is_no_colour() -> None:
    skin = MeanSkin()
    skin.update(torch.rand(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.bool))
    assert skin(2) == {}


def test_the_mean_survives_a_checkpoint() -> None:
    skin, other = MeanSkin(), MeanSkin()
    skin.update(torch.full((1, 3, 2, 2), 0.25), torch.ones(1, 2, 2, dtype=torch.bool))
    other.load_state_dict(skin.state_dict())
    assert other(1)["flat_rgb"].tolist() == [[0.25] * 3]

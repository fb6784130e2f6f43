import numpy as np
import pytest
import torch

from tasks.metrics import lpips
from tasks.metrics.lpips import Lpips, bounding_square


@pytest.fixture
def weights(tmp_path):
    """Random weights under the names that torchvision's AlexNet and the published linear layers have."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        0: (64, 3, 11, 11),
        3: (192, 64, 5, 5),
        6: (384, 192, 3, 3),
        8: (256, 384, 3, 3),
        10: (256, 256, 3, 3),
    }
    backbone, linear = {}, {}
    for layer, (key, shape) in enumerate(shapes.items()):
        fan_in = float(np.prod(shape[1:]))
        backbone[f"features.{key}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        backbone[f"features.{key}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
        linear[f"lin{layer}.model.1.weight"] = torch.rand((1, shape[0], 1, 1), generator=generator)
    torch.save(backbone, tmp_path / "backbone.pth")
    torch.save(linear, tmp_path / "linear.pth")
    return tmp_path / "backbone.pth", tmp_path / "linear.pth"


def reference(weights, first, second):
    """The paper's formula with AlexNet as one sequential network."""
    backbone, linear = (torch.load(path) for path in weights)
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(),
    )  # fmt: skip
    network.load_state_dict({name.removeprefix("features."): value for name, value in backbone.items()})
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])

    def features(image):
        x = ((2 * image - 1) - torch.tensor(shift).view(3, 1, 1)) / torch.tensor(scale).view(3, 1, 1)
        x, kept = x.float(), []
        for index, layer in enumerate(network):
            x = layer(x)
            if index in (1, 4, 7, 9, 11):
                kept.append(x / x.square().sum(1, keepdim=True).sqrt().clamp(min=1e-10))
        return kept

    total = 0
    for layer, (x, y) in enumerate(zip(features(first), features(second), strict=True)):
        weight = linear[f"lin{layer}.model.1.weight"]
        total = total + ((x - y).square() * weight).sum(1).mean((1, 2))
    return total.detach()


def test_distance_is_the_papers_formula(weights):
    first, second = torch.rand((2, 3, 3, 128, 128), generator=torch.Generator().manual_seed(1))
    ours = Lpips().read(*weights)(first, second)
    torch.testing.assert_close(ours.float(), reference(weights, first, second), rtol=1e-4, atol=1e-6)


def test_equal_images_have_no_distance_and_noise_adds_to_it(weights):
    network = Lpips().read(*weights)
    image = torch.rand((1, 3, 96, 96), generator=torch.Generator().manual_seed(2))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(3))
    distances = [network((image + amount * noise).clamp(0, 1), image).item() for amount in (0.0, 0.05, 0.2)]
    assert distances[0] == 0
    assert distances[0] < distances[1] < distances[2]


def test_only_the_masks_square_is_compared_and_small_masks_are_undefined(weights):
    network = Lpips().read(*weights)
    rendered, image = torch.rand((2, 2, 3, 64, 64), generator=torch.Generator().manual_seed(4))
    mask = torch.zeros(2, 64, 64, dtype=torch.bool)
    mask[0, 10:30, 20:50] = True
    mask[1, :10, :19] = True
    values = network.masked(rendered, image, mask)
    elsewhere = torch.where(mask[:, None], rendered, torch.zeros(()))
    torch.testing.assert_close(values, network.masked(elsewhere, image, mask), equal_nan=True)
    assert values.isnan().tolist() == [False, True]


def test_the_bounding_square_keeps_the_aspect_and_centres_the_mask():
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[5:15, 10:50] = True
    square = bounding_square(mask[None, None].float(), mask, 80)[0, 0]
    assert square.shape == (80, 80)
    assert square.sum() == pytest.approx(80 * 20)
    assert (square[31:49] == 1).all()
    assert (square[:29] == 0).all()


def test_without_the_weights_there_is_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert lpips.weight_files() is None
    lpips.load_lpips.cache_clear()
    assert lpips.load_lpips() is None
    lpips.load_lpips.cache_clear()

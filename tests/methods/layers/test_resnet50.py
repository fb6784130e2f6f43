from pathlib import Path

import torch

from methods.layers.backbone import Backbone, load_weights
from methods.layers.backbone_config import BackboneConfig
from methods.layers.resnet50 import ResNet50

CLASSIFIER = 2048 * 1000 + 1000


def test_resnet50_has_the_published_parameter_count() -> None:
    parameters = sum(p.numel() for p in ResNet50().parameters())
    assert parameters + CLASSIFIER == 25_557_032


def test_resnet50_keeps_torchvisions_names() -> None:
    names = ResNet50().state_dict()
    assert len(names) == 318  # torchvision's 320 without fc.weight and fc.bias
    for name, shape in {
        "conv1.weight": (64, 3, 7, 7),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer3.5.bn3.running_var": (1024,),
        "layer4.0.downsample.1.num_batches_tracked": (),
        "layer4.2.conv3.weight": (2048, 512, 1, 1),
    }.items():
        assert tuple(names[name].shape) == shape
    assert not any(name.startswith(("layer1.1.downsample", "layer2.1.downsample")) for name in names)


def test_resnet50_returns_a_vector_and_a_pyramid() -> None:
    backbone = Backbone(BackboneConfig(kind="resnet50"), 64)
    features, maps = backbone(torch.rand(2, 3, 64, 64))
    assert features.shape == (2, backbone.features)
    assert [tuple(m.shape[1:]) for m in maps] == [(256, 16, 16), (512, 8, 8), (1024, 4, 4), (2048, 2, 2)]
    assert backbone.map_channels == (256, 512, 1024, 2048)


def test_the_stride_is_in_the_3x3_convolutions() -> None:
    block = ResNet50().layer3[0]
    assert (block.conv1.stride, block.conv2.stride, block.downsample[0].stride) == ((1, 1), (2, 2), (2, 2))


def test_imagenet_weights_from_before_batch_counters_load(tmp_path: Path) -> None:
    source, target = ResNet50(), ResNet50()
    state = {k: v for k, v in source.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(
        state | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, tmp_path / "r.pth"
    )
    load_weights(target, tmp_path / "r.pth")
    for mine, theirs in zip(target.parameters(), source.parameters(), strict=True):
        assert torch.equal(mine, theirs)

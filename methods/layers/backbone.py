"""Builds the image network that a config names, and reads its starting weights."""

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from methods.layers.backbone_config import BackboneConfig
from methods.layers.hrnet import HRNet
from methods.layers.resnet import ResidualNetwork
from methods.layers.resnet50 import ResNet50
from tasks.errors import RequestError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """An image network behind ImageNet's normalisation.

    ``forward(image (B, 3, S, S) in [0, 1]) -> (global (B, features), maps)``, finest map first. Without pooling
    ``features`` is 0, and an HRNet gives its finest map alone.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig, image_size_px: int) -> None:
        super().__init__()
        self.network = _network(config, image_size_px)
        self.features, self.map_channels = self.network.features, self.network.map_channels
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.weights is not None:
            load_weights(self.network, Path(config.weights))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.network((image - self.mean) / self.std)


def _network(config: BackboneConfig, image_size_px: int) -> HRNet | ResNet50 | ResidualNetwork:
    if config.kind == "resnet50":
        return ResNet50()
    if config.kind != "residual":
        return HRNet(int(config.kind.removeprefix("hrnet_w")), pooled=config.pooling != "none")
    if len(config.widths) != len(config.blocks):
        raise RequestError(
            "backbone.widths and backbone.blocks differ in length; give one number of each per map."
        )
    return ResidualNetwork(
        image_size_px, config.stem_stride, config.widths, config.blocks, config.pooling, config.features
    )


def load_weights(network: nn.Module, path: Path) -> None:
    """Start from a state dict. Keys the file has beyond the network (a classifier) are ignored, missing ones are not,
    but for the batch counters of batch norms, which files from before torch 0.4.1 lack.

    Raises RequestError for a missing or damaged file and for weights of another network.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        missing = [
            key
            for key in network.state_dict()
            if key not in state and not key.endswith("num_batches_tracked")
        ]
        if not missing:
            network.load_state_dict(state, strict=False)
    except FileNotFoundError:
        raise RequestError(
            f"no backbone weights at '{path}': give a state dict or leave backbone.weights out."
        ) from None
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, AttributeError, ValueError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise RequestError(
            f"cannot use backbone weights '{path}': {reason}; expected a torch state dict."
        ) from None
    if missing:
        raise RequestError(
            f"backbone weights '{path}' lack {len(missing)} entries such as '{missing[0]}': they are another network's."
        )

"""How weights start where a method's published code departs from torch's defaults."""

from torch import nn


def xavier(network: nn.Module) -> None:
    """Xavier-uniform weights of every linear and convolutional layer below; biases of linear layers 0."""
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

"""Small regression heads on a global feature vector."""

from torch import nn


def head(
    features: int,
    hidden: int,
    outputs: int,
    activation: bool = True,
    std: float | None = None,
    bias: float = 0.0,
) -> nn.Sequential:
    """Linear, ReLU unless told otherwise, Linear. With ``std`` the last layer starts near the constant ``bias``."""
    last = nn.Linear(hidden, outputs)
    if std is not None:
        nn.init.normal_(last.weight, std=std)
        nn.init.constant_(last.bias, bias)
    middle = [nn.ReLU()] if activation else []
    return nn.Sequential(nn.Linear(features, hidden), *middle, last)

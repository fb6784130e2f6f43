"""Small regression heads on a global feature vector."""

from collections.abc import Sequence

import torch
from torch import nn


def head(
    features: int,
    hidden: int,
    outputs: int,
    activation: bool = True,
    std: float | None = None,
    start: Sequence[float] | None = None,
) -> nn.Sequential:
    """Linear, ReLU unless told otherwise, Linear. With ``std`` the last layer starts near ``start`` (default: zero)."""
    last = nn.Linear(hidden, outputs)
    if std is not None:
        nn.init.normal_(last.weight, std=std)
        last.bias.data.copy_(torch.zeros(outputs) if start is None else torch.tensor(start).expand(outputs))
    middle = [nn.ReLU()] if activation else []
    return nn.Sequential(nn.Linear(features, hidden), *middle, last)

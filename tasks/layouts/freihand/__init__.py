"""FreiHAND v2: reader, writer and checker of its official layout."""

from tasks.layouts.freihand.reader import FreiHand

__all__ = ["FreiHand"]

"""InterHand2.6M with its MANO fits: reader, writer and checker of its official layout."""

from tasks.layouts.interhand26m.reader import InterHand26M, InterHandSamples

__all__ = ["InterHand26M", "InterHandSamples"]

"""DexYCB: reader, writer and checker of its official layout."""

from tasks.layouts.dexycb.reader import DexYcb, DexYcbS1, DexYcbS2, DexYcbS3, DexYcbSamples

__all__ = ["DexYcb", "DexYcbS1", "DexYcbS2", "DexYcbS3", "DexYcbSamples"]

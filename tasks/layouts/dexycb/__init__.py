"""DexYCB: reader, writer and checker of its official layout."""

"""The generator: posed, shaped, textured, lit hands, written through a layout."""

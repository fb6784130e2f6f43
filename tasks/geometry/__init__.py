"""Cameras, rasteriser, alignment: geometry that tasks and methods share."""

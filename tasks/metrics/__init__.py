"""Metrics: pure functions from tensors to one value per sample."""

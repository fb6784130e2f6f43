"""Metrics: what each number means (``declarations``) and pure functions from tensors to one value per sample."""

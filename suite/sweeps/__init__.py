"""Sweeps: a method's declared ablations, every cell run once under Ray Tune; nothing lost, nothing done twice."""

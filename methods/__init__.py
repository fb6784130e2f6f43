"""The contestants: one folder per paper method or baseline."""

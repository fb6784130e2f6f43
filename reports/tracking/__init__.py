"""The MLflow mirror of the records.

Records are the truth; MLflow shows them. One experiment per task, one run per cell, per sweep, per tuning and per
trial of a tuning, found again by their tags, so that mirroring twice, or after an interruption, continues the same run
and adds nothing that is there.
"""

"""Every test runs with the settings that the command line gives Ray and MLflow, and with one thread of torch.

Property tests try the same examples every time, so that a commit passes or fails for good;
``HYPOTHESIS_PROFILE=explore`` draws new ones, and more of them.
"""

import os

from hypothesis import settings

from suite import environment

environment.apply()
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's 15 starves its workers beside the other process of tests
os.environ.setdefault("RAY_worker_niceness", "0")

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

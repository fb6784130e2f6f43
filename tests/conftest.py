"""Every test runs with the settings that the command line gives Ray and MLflow, and with one thread of torch."""

import os

from suite import environment

environment.apply()
os.environ.setdefault("OMP_NUM_THREADS", "1")

"""Hypothesis profiles. ``dev`` is for the desk, ``ci`` tells the same story every time, ``night``
looks far. Choose with ``HYPOTHESIS_PROFILE``."""

import os

from hypothesis import HealthCheck, settings

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "dev", max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=SLOW
)
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=1_000, derandomize=True, database=None
)
settings.register_profile("night", settings.get_profile("dev"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

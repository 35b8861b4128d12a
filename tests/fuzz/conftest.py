"""Profiles of the fuzz tests: some seconds in the suite, `make fuzz` for 100,000 cases."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fuzz-large", max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)

"""Property tests have no deadline: they must not fail because the machine is busy."""

from hypothesis import HealthCheck, settings

settings.register_profile("stepflow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stepflow")

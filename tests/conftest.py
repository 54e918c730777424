"""What holds for all tests."""

from hypothesis import settings

# A busy machine is no reason for an example to fail.
settings.register_profile("metrifier", deadline=None)
settings.load_profile("metrifier")

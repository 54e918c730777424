"""The config of a run, and what its stages get on a cluster."""

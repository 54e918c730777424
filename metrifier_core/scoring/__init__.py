"""A metrifier and what it answers."""

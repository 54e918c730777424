"""The base of every section of a config, YAML, environment variables and credentials in URLs."""

"""What every section of a config is made of."""

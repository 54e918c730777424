"""What feeds what: the pipelines over the components."""

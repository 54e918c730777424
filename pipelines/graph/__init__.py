"""The graph of the pipeline: which component feeds which."""

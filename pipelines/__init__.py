"""The pipeline, and the commands that run, compile and submit it."""

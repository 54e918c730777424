"""`Metrifier` and what it returns: scores, tables of them, and explanations."""

"""How work is done: in parallel, with progress, checksums and the same bytes each time."""

"""How work is done: in parallel, with progress, checksums and reproducible training."""

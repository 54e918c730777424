"""Judging by labels and held-out workers: metrifiers on the same images, and a metrifier beside a worker."""

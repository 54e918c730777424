"""How two metrifiers, or a metrifier and workers, do on the same images."""

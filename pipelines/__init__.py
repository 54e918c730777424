"""The pipeline over the components: its graph, its compiler, its local runner."""

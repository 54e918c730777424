"""Clients of a Kubeflow Pipelines server."""

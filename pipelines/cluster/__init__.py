"""What talks to a Kubeflow server."""

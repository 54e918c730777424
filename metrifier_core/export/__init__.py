"""A trained network as files: Keras to train further, ONNX and TFLite to score with."""

from metrifier_core.export.network import export_network
from metrifier_core.export.onnx_file import export_onnx
from metrifier_core.export.representative import representative_views

__all__ = ["export_network", "export_onnx", "representative_views"]

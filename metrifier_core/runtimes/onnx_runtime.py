"""A network in ONNX, on onnxruntime."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class OnnxRuntime:
    """An ONNX file, on one thread a call. See `Runtime`."""

    def __init__(self, data: bytes) -> None:
        """Loads a file.

        Args:
            data: Its content.
        """
        options = onnxruntime.SessionOptions()
        # An image a thread beats all threads on one small image.
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def run(self, views: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Scores views; see `Runtime`."""
        # View by view: a batch's activations do not fit into the cache, and take up to twice as long.
        scores = [self._session.run(None, {self._input: view[None]})[0] for view in views]
        return np.concatenate(scores).astype(np.float64).reshape(len(views))

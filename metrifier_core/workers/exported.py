"""Classifiers in ONNX, on onnxruntime."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metrifier_core.images import RgbImage
from metrifier_core.workers.catalogue import ModelInterface
from metrifier_core.workers.preprocessing import centre_crop, normalise

__all__ = ["OnnxWorker"]

_SMALLEST_PROBABILITY = 1e-12


class OnnxWorker:
    """A classifier that is shown one image at a time, on one thread each: no image's logits depend on another."""

    def __init__(self, path: Path, interface: ModelInterface) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            # From memory, where no second file can add weights that no checksum covers.
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ValueError(f"{path} is not a whole model that onnxruntime can run: {error}") from error
        self._input = self._session.get_inputs()[0].name
        self._interface = interface
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)

    def logits(self, images: Sequence[RgbImage]) -> NDArray[np.float64]:
        """Classifies images; see `Worker`."""
        if len(images) == 1:  # not worth the way to another thread
            return self._logits(images[0])[None]
        return np.stack(list(self._pool.map(self._logits, images)))

    def _logits(self, image: RgbImage) -> NDArray[np.float64]:
        interface = self._interface
        pixels = normalise(
            centre_crop(image, interface.input_size, interface.crop_fraction),
            interface.scale,
            interface.mean,
            interface.std,
        )
        if interface.channels == "BGR":
            pixels = pixels[:, :, ::-1]
        if interface.layout == "NCHW":
            pixels = pixels.transpose(2, 0, 1)
        batch = np.ascontiguousarray(pixels[None], dtype=interface.dtype)
        (output,) = self._session.run(None, {self._input: batch})
        classes = np.asarray(output, dtype=np.float64).reshape(-1)[interface.class_offset :]
        if interface.outputs == "probabilities":
            return np.log(np.maximum(classes, _SMALLEST_PROBABILITY))
        return classes

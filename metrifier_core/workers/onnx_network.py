"""Classifiers in ONNX, on onnxruntime."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metrifier_core.workers.network import smallest_step

_GPU_BATCH = 32
_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}


class OnnxNetwork:
    """An ONNX file; on a GPU where onnxruntime finds one, else on one thread a call. See `Network`."""

    def __init__(self, path: Path, batch_size: int | None = None, reduced_precision: bool = False) -> None:
        """Loads a file.

        Args:
            path: The file.
            batch_size: Images a call, where the graph leaves it open; 1 on a CPU and 32 on a GPU where None.
            reduced_precision: Let a GPU multiply in TF32.

        Raises:
            ValueError: onnxruntime cannot run it.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        cuda = [("CUDAExecutionProvider", {"use_tf32": str(int(reduced_precision))})] if gpu else []
        try:
            # From memory, where no second file can add weights that no checksum covers.
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=[*cuda, "CPUExecutionProvider"]
            )
        except Exception as error:
            raise ValueError(f"{path} is not a whole model that onnxruntime can run: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: expected one of each")
        output_type = _TYPES.get(outputs[0].type, "")
        if not output_type.startswith("float"):
            raise ValueError(f"{path} gives a {outputs[0].type}: expected float or float16")
        self._input = inputs[0].name
        self.input_shape = tuple(size if isinstance(size, int) else None for size in inputs[0].shape)
        self.input_type = _TYPES.get(inputs[0].type, inputs[0].type)
        if not self.input_shape:
            raise ValueError(f"{path} does not say what shape it takes")
        self.batch_size = self.input_shape[0] or batch_size or (_GPU_BATCH if gpu else 1)
        self.step = smallest_step(output_type)

    def run(self, batch: NDArray[np.generic]) -> NDArray[np.float64]:
        """Runs it; see `Network`."""
        (output,) = self._session.run(None, {self._input: batch})
        return np.asarray(output, dtype=np.float64).reshape(len(batch), -1)

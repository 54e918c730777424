"""ONNX files on onnxruntime."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from metrifier_core.runtimes.interface import Network, check_ends, smallest_step

_GPU_BATCH = 32
_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}


class OnnxNetwork(Network):
    """An ONNX file on onnxruntime."""

    def __init__(
        self, path: Path, batch_size: int | None = None, reduced_precision: bool = False, use_gpu: bool = True
    ) -> None:
        """Load a file.

        Args:
            path: ONNX file.
            batch_size: Images per call where the graph leaves it open; None: 1 on a CPU, 32 on a GPU.
            reduced_precision: Let a GPU multiply in TF32.
            use_gpu: Run on a GPU where onnxruntime finds one.

        Raises:
            ValueError: onnxruntime cannot run the file, or it has several inputs or outputs, an input of unknown shape,
                or outputs other than float32 and float16.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        use_gpu = use_gpu and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        cuda = [("CUDAExecutionProvider", {"use_tf32": str(int(reduced_precision))})] if use_gpu else []
        try:
            # From memory, where no second file can add weights that no checksum covers.
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=[*cuda, "CPUExecutionProvider"]
            )
        except Exception as error:
            raise ValueError(f"{path} is not a whole model that onnxruntime can run: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_ends(path, inputs, outputs)
        output_type = _TYPES.get(outputs[0].type, "")
        if not output_type.startswith("float"):
            raise ValueError(f"{path} has outputs of type {outputs[0].type}, expected float or float16")
        self._input = inputs[0].name
        self.input_shape = tuple(size if isinstance(size, int) else None for size in inputs[0].shape)
        self.input_type = _TYPES.get(inputs[0].type, inputs[0].type)
        if not self.input_shape:
            raise ValueError(f"{path} has an input of unknown shape")
        self.batch_size = self.input_shape[0] or batch_size or (_GPU_BATCH if use_gpu else 1)
        self.step = smallest_step(output_type)

    def _run_batch(self, batch: NDArray[np.generic]) -> NDArray[np.float64]:
        (output,) = self._session.run(None, {self._input: batch})
        return np.asarray(output, dtype=np.float64).reshape(len(batch), -1)

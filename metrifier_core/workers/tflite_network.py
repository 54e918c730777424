"""Classifiers in TFLite, on LiteRT."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrifier_core.workers.network import smallest_step


class TfliteNetwork:
    """A TFLite file, on one thread a call; integer outputs become what they stand for. See `Network`."""

    def __init__(self, path: Path) -> None:
        """Loads a file.

        Args:
            path: The file.

        Raises:
            ValueError: LiteRT is not installed, or cannot run it.
        """
        self._data = path.read_bytes()
        self._of_thread = threading.local()
        try:
            interpreter = self._interpreter()
        except ImportError as error:
            raise ValueError("LiteRT is not installed: pip install 'metrifier[tflite]'") from error
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path} is not a whole model that LiteRT can run: {error}") from error
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: expected one of each")
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self.input_shape = tuple(int(size) if size > 0 else None for size in inputs[0]["shape_signature"])
        self.input_type = np.dtype(inputs[0]["dtype"]).name
        self.batch_size = int(inputs[0]["shape"][0])
        output_type = np.dtype(outputs[0]["dtype"])
        self._scale, self._zero = 1.0, 0.0
        if output_type.kind == "f":
            self.step = smallest_step(output_type.name)
        else:
            self._scale, self._zero = map(float, outputs[0]["quantization"])
            self.step = self._scale
            if not self._scale:
                raise ValueError(f"{path} gives {output_type.name} without a scale, not a value a class")

    def _interpreter(self) -> Any:
        """Gives every thread an interpreter of its own, since one serves a single call at a time."""
        if not hasattr(self._of_thread, "interpreter"):
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(model_content=self._data, num_threads=1)
            interpreter.allocate_tensors()
            self._of_thread.interpreter = interpreter
        return self._of_thread.interpreter

    def run(self, batch: NDArray[np.generic]) -> NDArray[np.float64]:
        """Runs it; see `Network`."""
        interpreter = self._interpreter()
        interpreter.set_tensor(self._input, batch)
        interpreter.invoke()
        output = interpreter.get_tensor(self._output).astype(np.float64).reshape(len(batch), -1)
        return np.asarray((output - self._zero) * self._scale)

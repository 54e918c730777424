"""TFLite files on LiteRT."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from metrifier_core.runtimes.interface import Network, check_ends, smallest_step


class TfliteNetwork(Network):
    """A TFLite file on LiteRT; integer outputs are dequantised."""

    def __init__(self, path: Path) -> None:
        """Load a file; its batch size is part of it.

        Args:
            path: TFLite file.

        Raises:
            ValueError: LiteRT cannot run the file, or it has several inputs or outputs, or integer outputs without a
                scale.
        """
        self._data = path.read_bytes()
        self._idle: deque[Any] = deque()
        try:
            with self._interpreter() as interpreter:
                inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{path} is not a whole model that LiteRT can run: {error}") from error
        check_ends(path, inputs, outputs)
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
                raise ValueError(f"{path} has outputs of type {output_type.name} without a scale")

    @contextmanager
    def _interpreter(self) -> Iterator[Any]:
        """Lend an idle interpreter to one call, as each serves a single call at a time; make one if all are busy."""
        try:
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = Interpreter(model_content=self._data, num_threads=1)
            interpreter.allocate_tensors()
        yield interpreter
        self._idle.append(interpreter)

    def _run_batch(self, batch: NDArray[np.generic]) -> NDArray[np.float64]:
        with self._interpreter() as interpreter:
            interpreter.set_tensor(self._input, batch)
            interpreter.invoke()
            output = interpreter.get_tensor(self._output).astype(np.float64).reshape(len(batch), -1)
        return np.asarray((output - self._zero) * self._scale)

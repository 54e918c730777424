"""A network in TFLite, on LiteRT."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray


class TfliteRuntime:
    """A TFLite file, on one thread a call. See `Runtime`."""

    def __init__(self, data: bytes) -> None:
        """Loads a file.

        Args:
            data: Its content.
        """
        self._data = data
        self._idle: deque[Any] = deque()
        with self._interpreter() as interpreter:
            self._input = interpreter.get_input_details()[0]["index"]
            self._output = interpreter.get_output_details()[0]["index"]

    @contextmanager
    def _interpreter(self) -> Iterator[Any]:
        """Lends an interpreter to one call, which it serves alone; there are as many as were needed."""
        try:
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = Interpreter(model_content=self._data, num_threads=1)
            interpreter.allocate_tensors()
        yield interpreter
        self._idle.append(interpreter)

    def run(self, views: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Scores views, of the size that the file was made for; see `Runtime`."""
        scores = np.empty(len(views))
        with self._interpreter() as interpreter:
            for index, view in enumerate(views):
                interpreter.set_tensor(self._input, view[None])
                interpreter.invoke()
                scores[index] = interpreter.get_tensor(self._output)[0, 0]
        return scores

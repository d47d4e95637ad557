"""What every runtime gives for a model: an object that turns batches into larger ones."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

BatchFunction = Callable[[np.ndarray], np.ndarray]
"""(N, C, H, W) -> (N, C, scale H, scale W), such as `Session.run`."""


class RunStopped(Exception):
    """A run that was ended by `Session.stop`."""


class Session(ABC):
    """A model opened in a runtime, on one device. It is not for several threads at once, but for `stop`.

    Attributes:
        engine: `torch`, `onnxruntime`, `openvino` or `ncnn`.
        device: where it computes: `cpu`, `cuda`, `cuda:1`.
        clipped: whether its output ends at 0, below which others go on.
        between: is called between two layers of a run (in PyTorch; others cannot), and may run something else meanwhile.
    """

    engine: str
    device: str
    clipped: bool = False
    between: Callable[[], None] | None = None
    _is_stopped: bool = False

    @abstractmethod
    def run(self, batch: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32 in [0, 1], RGB or grey -> (N, C, scale H, scale W) float32, not clipped.

        Files of bytes round their input to whole levels, and return such.

        Raises:
            EngineError: the runtime broke off; `EngineOutOfMemory` where it says that it is for lack of memory.
            RunStopped: `stop` was called.
        """

    def stop(self) -> None:
        """From another thread: ends the run that goes on, after the layer that it is at (in ncnn: at its end), and all that
        come before `resume`."""
        self._is_stopped = True

    def resume(self) -> None:
        """Allows runs again."""
        self._is_stopped = False

    def check_stopped(self) -> None:
        """Raises `RunStopped` where `stop` was called."""
        if self._is_stopped:
            raise RunStopped

    def integer_convolutions(self) -> tuple[int, int] | None:
        """How many convolutions are computed in integers, of how many; None where the runtime does not tell."""
        return None


def with_batch(run: BatchFunction, count: int) -> BatchFunction:
    """A function that takes `count` pictures and no other number as one that takes any: the last ones are repeated."""

    def run_any(batch: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(batch), count):
            part = batch[start : start + count]
            missing = count - len(part)
            full = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            parts.append(run(full)[: len(part)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return run_any


def with_bytes(run: BatchFunction, channels_last: bool) -> BatchFunction:
    """A function of uint8 batches, (N, C, H, W) or (N, H, W, C), as one of float32 (N, C, H, W) in [0, 1]."""

    def run_floats(batch: np.ndarray) -> np.ndarray:
        levels = np.rint(batch * 255.0).clip(0, 255).astype(np.uint8)
        out = run(np.ascontiguousarray(levels.transpose(0, 2, 3, 1)) if channels_last else levels)
        return (out.transpose(0, 3, 1, 2) if channels_last else out).astype(np.float32) / 255.0

    return run_floats

"""Networks in PyTorch."""

import contextlib
import threading
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from aethernet.errors import EngineError, EngineOutOfMemory, MissingDeviceError, UsageError, one_line
from aethernet.network.picture_means import PictureMeans
from aethernet.runtimes.session import Session

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchSession(Session):
    """A network, moved to `device` and set to eval; with fp16 or bf16 its weights are converted, so give a copy.

    Raises:
        UsageError: an unknown precision, or float16 on a CPU.
        MissingDeviceError: a CUDA device that is not there.
    """

    engine = "torch"

    def __init__(self, network: nn.Module, device: str = "cpu", precision: str = "fp32") -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision must be one of {', '.join(PRECISIONS)} in PyTorch, not {precision!r}")
        kind = device_kind(device)
        if kind == "cpu" and precision == "fp16":
            raise UsageError("fp16 in PyTorch is for GPUs, on a CPU it is slower than fp32: leave the precision out")
        self.device, self.precision, self.dtype = device, precision, PRECISIONS[precision]
        self.network = network.to(device).eval()
        if precision != "fp32":
            self.network = self.network.to(self.dtype)

    @torch.inference_mode()
    def run(self, batch: np.ndarray) -> np.ndarray:
        with self._translated():
            return self.network(self._tensor(batch)).float().cpu().numpy()

    def gather(self, means: PictureMeans, batch: np.ndarray, rows: slice, columns: slice) -> None:
        """`means.gather` of a batch as `run` takes it; raises as it does."""
        with self._translated():
            means.gather(self._tensor(batch), rows, columns)

    def _tensor(self, batch: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(batch)).to(self.device, self.dtype)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """PyTorch's errors as ours; and `stop` is looked for before every layer."""

        here = threading.get_ident()

        def look(*_: object) -> None:
            if threading.get_ident() != here:  # a hook is called for the layers of every thread
                return
            self.check_stopped()
            if self.between is not None:
                self.between()

        self.check_stopped()
        looking = register_module_forward_pre_hook(look)
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise EngineOutOfMemory(f"PyTorch ran out of memory on {self.device}: {one_line(error)}") from error
        except RuntimeError as error:
            # what the CPU's allocator says on Windows, and elsewhere
            lacks = any(text in str(error) for text in ("not enough memory", "can't allocate memory"))
            kind = EngineOutOfMemory if lacks else EngineError
            raise kind(f"PyTorch broke off on {self.device}: {one_line(error)}") from error
        finally:
            looking.remove()


def device_kind(device: str) -> str:
    """`cpu`, `cuda`, ... of a device that is there.

    Raises:
        UsageError: no device is called so.
        MissingDeviceError: it is not there.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise UsageError(f"there is no device {device!r}: give cpu, cuda, or one of several as in cuda:1") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise MissingDeviceError(f"device {device!r} needs an NVIDIA GPU and a PyTorch built for CUDA: leave it out")
    if kind != "cpu":
        try:
            torch.zeros(1, device=device).cpu()
        except (RuntimeError, AssertionError, ImportError) as error:  # whatever is raised for what was not built in
            raise MissingDeviceError(
                f"PyTorch cannot use device {device!r} here ({one_line(error)}): leave it out, or give another one; "
                "`aethernet doctor` lists the GPUs"
            ) from error
    return kind

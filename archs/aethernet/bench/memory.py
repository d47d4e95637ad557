"""The memory that one model takes in one engine, measured in a process of its own."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from aethernet.bench.engines import ENGINES, Workload
from aethernet.errors import ProcessError
from aethernet.runtimes.models import Model, resolve_model

STATUS = Path("/proc/self/status")


def peak_memory(model: Model, engine: str, height: int, width: int, threads: int, folder: Path) -> int | None:
    """Bytes by which a process grows at most while it prepares a model for an engine and runs it once.

    Weights, the engine's plan and the working memory are all in it; for `compile` the compiler is, too. On CUDA it is
    the peak of PyTorch's allocations on the device. A process of its own is needed because allocators keep what
    earlier models returned. None where the system does not tell (other than Linux).

    Args:
        folder: where an engine has written the model's file; without one, the export is measured with it.

    Raises:
        ProcessError: the process was ended, as a system does that runs out of memory.
    """
    arguments = (model.spec, model.in_channels, engine, height, width, threads, folder)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_growth, *arguments).result()
        except BrokenProcessPool as error:
            raise ProcessError(
                f"{model.label} with engine {engine} at {height}x{width} was ended by the system, most likely for "
                "lack of memory: give a smaller --size, or --no-memory"
            ) from error


def _growth(
    spec: str, in_channels: int, engine: str, height: int, width: int, threads: int, folder: Path
) -> int | None:
    torch.set_num_threads(threads)
    if Path(spec).suffix == ".onnx":  # not looked into here, for that would run it
        model = Model(spec, spec, 0, in_channels, onnx=Path(spec))
    elif Path(spec).suffix == ".param":
        model = Model(spec, spec, 0, in_channels, ncnn=Path(spec))
    else:
        model = resolve_model(spec)
    ENGINES[engine].check()  # imports what the engine needs
    work = Workload(model, torch.rand(1, in_channels, height, width), threads, folder)
    if ENGINES[engine].device == "cuda":
        ENGINES[engine].prepare(work)()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    before = _status("VmRSS")
    ENGINES[engine].prepare(work)()
    peak = _status("VmHWM")
    return None if before is None or peak is None else peak - before


def _status(field: str) -> int | None:
    """A field of the kernel's account of this process, in bytes."""
    if not STATUS.is_file():
        return None
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None

"""ncnn files on the CPU: a `.param` and the `.bin` beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from aethernet.errors import CheckpointError, EngineError, EngineOutOfMemory
from aethernet.export.ncnn import INPUT_BLOB, OUTPUT_BLOB, weights_of
from aethernet.export.ncnn_graph import NcnnGraph, check_weights, read_graph
from aethernet.optional import optional_package
from aethernet.runtimes.session import Session

PROBED_SIDE = 16
NO_MEMORY = -100
"""ncnn's status where it could not allocate."""


class NcnnSession(Session):
    """A file of `export_ncnn`, or another from `data` to `output`, computed in float32.

    `threads` None leaves their number to ncnn.

    Raises:
        CheckpointError: no such pair of files, other blobs, or ncnn refuses it.
        MissingDependencyError: ncnn is not installed.
    """

    engine, device = "ncnn", "cpu"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path = Path(path)
        self.graph: NcnnGraph = read_graph(self.path)
        check_weights(self.graph)
        self.clipped = self.graph.layers[-1].kind == "ReLU"
        self._ncnn = optional_package("ncnn", "running an ncnn file")
        self.net = self._ncnn.Net()
        for option in (
            "use_fp16_packed",
            "use_fp16_storage",
            "use_fp16_arithmetic",
            "use_bf16_storage",
            "use_vulkan_compute",
        ):
            setattr(self.net.opt, option, False)
        if threads is not None:
            self.net.opt.num_threads = threads
        if self.net.load_param(str(self.path)) or self.net.load_model(str(weights_of(self.path))):
            raise CheckpointError(f"ncnn cannot load {self.path} with its .bin: they are damaged or of another version")

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.check_stopped()
        return np.stack([self._one(picture) for picture in batch])

    def _one(self, picture: np.ndarray) -> np.ndarray:
        """(C, H, W) -> (C, scale H, scale W); ncnn knows no batches."""
        extractor = self.net.create_extractor()
        given = np.ascontiguousarray(picture, dtype=np.float32)
        extractor.input(INPUT_BLOB, self._ncnn.Mat(given).clone())
        status, output = extractor.extract(OUTPUT_BLOB)
        if status:
            kind = EngineOutOfMemory if status == NO_MEMORY else EngineError
            raise kind(f"ncnn broke off on {self.path.name} (status {status})")
        return np.array(output, dtype=np.float32)


def inspect_ncnn(path: Path) -> NcnnGraph:
    """What a file says of itself, its scale found by running it once on a small picture.

    Raises:
        CheckpointError: a file that is no upscaler.
    """
    session = NcnnSession(path, threads=1)
    shape = (1, session.graph.in_channels, PROBED_SIDE, PROBED_SIDE)
    try:
        out = session.run(np.zeros(shape, np.float32))
    except EngineError as error:
        raise CheckpointError(f"ncnn cannot run {path} on {shape}: {error}") from error
    scale, remainder = divmod(out.shape[-1], PROBED_SIDE)
    if remainder or scale < 1 or out.shape != (1, shape[1], PROBED_SIDE * scale, PROBED_SIDE * scale):
        raise CheckpointError(f"{path} makes {out.shape} of {shape}: it is no upscaler")
    return replace(session.graph, scale=scale)

"""ncnn files on the CPU: a `.param` and the `.bin` beside it."""

from pathlib import Path

import numpy as np

from aethernet.errors import CheckpointError, EngineError
from aethernet.export.ncnn import INPUT_BLOB, OUTPUT_BLOB
from aethernet.optional import optional_package
from aethernet.runtimes.session import Session


class NcnnSession(Session):
    """A file of `export_ncnn`, computed in float32; `threads` None leaves their number to ncnn.

    Raises:
        CheckpointError: no such pair of files, or ncnn refuses it.
        MissingDependencyError: ncnn is not installed.
    """

    engine, device = "ncnn", "cpu"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self._ncnn = optional_package("ncnn", "running an ncnn file")
        self.path = Path(path)
        weights = self.path.with_suffix(".bin")
        for file in (self.path, weights):
            if not file.is_file():
                raise CheckpointError(f"{file} is not a file: an ncnn model is a .param with its .bin beside it")
        self.net = self._ncnn.Net()
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self.net.opt, option, False)
        if threads is not None:
            self.net.opt.num_threads = threads
        if self.net.load_param(str(self.path)) or self.net.load_model(str(weights)):
            raise CheckpointError(f"ncnn cannot load {self.path} with its .bin: they are damaged or of another version")

    def run(self, batch: np.ndarray) -> np.ndarray:
        return np.stack([self._one(picture) for picture in batch])

    def _one(self, picture: np.ndarray) -> np.ndarray:
        """(C, H, W) -> (C, scale H, scale W); ncnn knows no batches."""
        extractor = self.net.create_extractor()
        given = np.ascontiguousarray(picture, dtype=np.float32)
        extractor.input(INPUT_BLOB, self._ncnn.Mat(given).clone())
        status, output = extractor.extract(OUTPUT_BLOB)
        if status:
            raise EngineError(f"ncnn broke off on {self.path.name} (status {status})")
        return np.array(output, dtype=np.float32)

"""ncnn files, which Upscayl and Real-ESRGAN-ncnn-vulkan run: the fused graph, converted by pnnx."""

import copy
import subprocess
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from aethernet.errors import ExportError, StageError
from aethernet.files import write_bytes, write_text
from aethernet.network.network import AetherNet
from aethernet.optional import optional_package

INPUT_BLOB, OUTPUT_BLOB = "data", "output"
"""What those programs ask for, where pnnx says in0 and out0."""
RENAMED = {"in0": INPUT_BLOB, "out0": OUTPUT_BLOB}


class NotBelowZero(nn.Module):
    """A network whose output ends at 0: the programs convert it to unsigned bytes, which of negative numbers is undefined."""

    def __init__(self, network: AetherNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).relu()


SHAPES = ((48, 40), (64, 56))
"""Two sizes, from whose difference pnnx sees that any is allowed."""


def export_ncnn(model: AetherNet, path: Path, *, half: bool) -> None:
    """Writes `path` (.param, the graph) and, beside it, .bin, its weights: `data` (C, H, W) in [0, 1] -> `output`, not below 0.

    Args:
        model: of stage train or fused; it is copied and left as it is.
        half: weights in float16; sums are those of the runtime.

    Raises:
        StageError: a network on int8 grids. ExportError: pnnx breaks off.
        MissingDependencyError: pnnx is not installed.
    """
    pnnx = optional_package("pnnx", "ncnn export")
    if model.config.quantized:
        raise StageError(f"ncnn files are written from the float network, this one is of stage {model.config.stage}")
    network = NotBelowZero(copy.deepcopy(model).cpu().float().eval().fuse_model())
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "network.pt"
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that the check of the input's shape is left out
            example = torch.zeros(1, model.config.in_channels, *SHAPES[0])
            torch.jit.trace(network, (example,)).save(str(traced))
        shapes = [f"[1,{model.config.in_channels},{height},{width}]" for height, width in SHAPES]
        words = [f"inputshape={shapes[0]}", f"inputshape2={shapes[1]}", f"fp16={int(half)}"]
        done = subprocess.run(
            [pnnx.EXEC_PATH, traced.name, *words], cwd=folder, capture_output=True, text=True, check=False
        )
        graph, weights = (Path(folder) / f"network.ncnn.{end}" for end in ("param", "bin"))
        if done.returncode or not graph.is_file() or not weights.is_file():
            raise ExportError(f"pnnx broke off: {(done.stderr or done.stdout).strip()[-200:] or 'no reason given'}")
        lines = [_renamed(line) for line in graph.read_text(encoding="utf-8").splitlines()]
        write_bytes(weights_of(path), weights.read_bytes())
        write_text(path, "\n".join([*lines, ""]))


def _renamed(line: str) -> str:
    """A line of the graph with the blobs called as the programs call them."""
    return " ".join(RENAMED.get(word, word) for word in line.split())


def weights_of(path: Path) -> Path:
    """The `.bin` that belongs to a `.param`."""
    return path.with_suffix(".bin")


def files_of(path: Path) -> list[Path]:
    """The files that a model consists of: of ncnn's, the weights, too, and first, so that no graph stands without them."""
    return [weights_of(path), path] if path.suffix == ".param" else [path]

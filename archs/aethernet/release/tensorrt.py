"""The lines that turn files of a bundle into TensorRT engines, with the program that comes with TensorRT."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from aethernet.errors import UsageError
from aethernet.export.onnx import INPUT_NAME
from aethernet.release.products import FP16, FP32, INT8_TENSORRT, Product
from aethernet.release.records import EngineLine

# The precision stands in the graph. Before TensorRT 11 that must be said, from 11 on it is the only way.
TYPED = "--stronglyTyped"
FLAGS = {FP32: ("--noTF32",), FP16: (), INT8_TENSORRT: ()}
"""The files that TensorRT is meant to read, and what their lines have beside `TYPED`."""
NOTE = (
    "For TensorRT 10.2 and newer. The engine takes every size between the smallest and the largest and is fastest at the "
    "middle one: put your own there. --noTF32 keeps float32 at 23 bits; without it the engine is faster and less exact."
)


@dataclass(frozen=True)
class Shapes:
    """Heights and widths of low-resolution inputs that an engine is built for."""

    least: tuple[int, int] = (16, 16)
    best: tuple[int, int] = (540, 960)
    most: tuple[int, int] = (1080, 1920)

    def __post_init__(self) -> None:
        for axis in (0, 1):
            if not self.least[axis] <= self.best[axis] <= self.most[axis]:
                raise UsageError(
                    f"TensorRT's shapes must grow from least to most: {self.least}, {self.best}, {self.most} do not"
                )


def engine_lines(name: str, products: Sequence[Product], in_channels: int, shapes: Shapes) -> list[EngineLine]:
    """One line for each file of `products` that TensorRT is meant to read."""
    lines = []
    for product in products:
        if product not in FLAGS:
            continue
        file = f"{name}{product.suffix}"
        sizes = {"min": shapes.least, "opt": shapes.best, "max": shapes.most}
        arguments = [
            "trtexec",
            f"--onnx={file}",
            f"--saveEngine={file.removesuffix('.onnx')}.engine",
            *(f"--{kind}Shapes={INPUT_NAME}:1x{in_channels}x{h}x{w}" for kind, (h, w) in sizes.items()),
            TYPED,
            *FLAGS[product],
        ]
        lines.append(EngineLine(file, shlex.join(arguments)))
    return lines

"""The lines that turn files of a bundle into TensorRT engines, with the program that comes with TensorRT."""

import shlex
from collections.abc import Sequence

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


def engine_lines(
    name: str, products: Sequence[Product], in_channels: int, shapes: Sequence[tuple[int, int]]
) -> list[EngineLine]:
    """One line for each file of `products` that TensorRT is meant to read.

    Args:
        shapes: the least, the best and the largest height and width of low-resolution inputs.
    """
    lines = []
    for product in products:
        if product not in FLAGS:
            continue
        file = f"{name}{product.suffix}"
        sizes = zip(("min", "opt", "max"), shapes, strict=True)
        arguments = [
            "trtexec",
            f"--onnx={file}",
            f"--saveEngine={file.removesuffix('.onnx')}.engine",
            *(f"--{kind}Shapes={INPUT_NAME}:1x{in_channels}x{h}x{w}" for kind, (h, w) in sizes),
            TYPED,
            *FLAGS[product],
        ]
        lines.append(EngineLine(file, shlex.join(arguments)))
    return lines

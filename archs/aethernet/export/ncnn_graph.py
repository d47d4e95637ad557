"""ncnn's graphs (`.param`) and weights (`.bin`), read without ncnn: what a file takes, makes and sees, and whether it is whole."""

import math
from dataclasses import dataclass
from pathlib import Path

from aethernet.errors import CheckpointError
from aethernet.export.form import WHOLE_PICTURE
from aethernet.export.ncnn import OUTPUT_BLOB, weights_of
from aethernet.export.ncnn_layers import CONVOLUTIONS, Layer, read_layers
from aethernet.export.ncnn_walk import WHOLE, Cost, Walk
from aethernet.wording import how_many

HALF_FLAG = b"\x47\x6b\x30\x01"
"""Before weights in float16; four zeros stand before those in float32."""
WEIGHTLESS = frozenset(
    {
        "Input", "Split", "BinaryOp", "UnaryOp", "Concat", "PixelShuffle", "Interp", "ReLU", "Sigmoid", "TanH", "Swish",
        "Clip", "Reduction", "Pooling", "Eltwise", "Crop", "Reshape", "Permute", "Slice", "Squeeze", "ExpandDims",
        "Padding", "Dropout", "Noop", "Flatten", "GELU", "ELU", "HardSigmoid", "HardSwish",
    }
)  # fmt: skip
"""Layers that have nothing in the `.bin`."""


@dataclass(frozen=True)
class NcnnGraph:
    """What a graph says of itself.

    Attributes:
        scale: of the output; None where it is not understood.
        tile_radius: how far an output pixel sees, in input pixels; `WHOLE_PICTURE`, or empty where it is not understood.
    """

    path: Path
    layers: tuple[Layer, ...]
    in_channels: int
    scale: int | None
    tile_radius: str
    cost: Cost

    @property
    def kinds(self) -> list[str]:
        """Of its layers, each once, in their order."""
        return list(dict.fromkeys(layer.kind for layer in self.layers))


def read_graph(path: Path) -> NcnnGraph:
    """Reads a `.param` from `data` to `output`.

    Raises:
        CheckpointError: no such file, no graph of ncnn, or one with other blobs.
    """
    path = Path(path)
    layers = read_layers(path)
    walk = Walk(path, layers)
    out = walk.seen[OUTPUT_BLOB]
    scale = out.scale.numerator if out.scale is not None and out.scale.denominator == 1 else None
    if out.radius is None:
        radius = ""
    else:
        radius = WHOLE_PICTURE if out.radius == WHOLE else str(math.ceil(out.radius))
    return NcnnGraph(path, layers, walk.in_channels, scale, radius, walk.cost)


def check_weights(graph: NcnnGraph) -> str:
    """Holds the length of the `.bin` beside a graph against what the graph asks for.

    Returns:
        `fp32`, `fp16` or both of what its weights are stored in; empty for layers that are not understood here.

    Raises:
        CheckpointError: it is missing, cut off, or another graph's.
    """
    weights = weights_of(graph.path)
    if not weights.is_file():
        raise CheckpointError(
            f"{graph.path.name} is the graph of an ncnn model, whose weights must lie beside it, and {weights} is no file: "
            "copy both"
        )
    size, at, kinds = weights.stat().st_size, 0, []
    with weights.open("rb") as file:
        for layer in graph.layers:
            if layer.kind in WEIGHTLESS:
                continue
            if layer.kind == "PReLU":
                at += 4 * layer.whole(0)
                continue
            if layer.kind not in CONVOLUTIONS or layer.whole(8):
                return ""
            file.seek(at)
            flag = file.read(4)
            count = layer.whole(6)
            if flag == HALF_FLAG:
                kinds.append("fp16")
                stored = -(-2 * count // 4) * 4
            elif flag == bytes(4):
                kinds.append("fp32")
                stored = 4 * count
            elif len(flag) < 4:
                raise CheckpointError(
                    f"{weights} has {how_many(size, 'byte')}, and ends before {layer.name} of {graph.path.name} begins: it is cut off"
                )
            else:
                raise CheckpointError(
                    f"{weights} does not belong to {graph.path.name}, or is damaged: where {layer.name} begins stand no weights"
                )
            at += 4 + stored + (4 * layer.whole(0) if layer.whole(5) else 0)
    if at != size:
        raise CheckpointError(
            f"{weights} has {how_many(size, 'byte')}, and {graph.path.name} asks for {at:,}: it is cut off, or another graph's"
        )
    return " and ".join(dict.fromkeys(kinds))

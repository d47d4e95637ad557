"""ncnn's graphs (`.param`) and weights (`.bin`), read without ncnn: what a file takes, makes and sees, and whether it is whole."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

from aethernet.errors import CheckpointError
from aethernet.export.ncnn import INPUT_BLOB, OUTPUT_BLOB, weights_of
from aethernet.wording import how_many

MAGIC = "7767517"
MOST_BYTES = 2**24
"""Of a graph, which is a page or two of text."""
LARGEST_NUMBER = 2**31
"""ncnn's numbers have 32 bits."""
HALF_FLAG = b"\x47\x6b\x30\x01"
"""Before weights in float16; four zeros stand before those in float32."""
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise")
WEIGHTLESS = frozenset(
    [
        "Input",
        "Split",
        "BinaryOp",
        "UnaryOp",
        "Concat",
        "PixelShuffle",
        "Interp",
        "ReLU",
        "Sigmoid",
        "TanH",
        "Swish",
        "Clip",
        "Reduction",
        "Pooling",
        "Eltwise",
        "Crop",
        "Reshape",
        "Permute",
        "Slice",
        "Squeeze",
        "ExpandDims",
        "Padding",
        "Dropout",
        "Noop",
        "Flatten",
        "GELU",
        "ELU",
        "HardSigmoid",
        "HardSwish",
    ]
)
"""Layers that have nothing in the `.bin`."""
PASSING = frozenset(
    [
        "BinaryOp",
        "UnaryOp",
        "ReLU",
        "PReLU",
        "Sigmoid",
        "TanH",
        "Swish",
        "Clip",
        "Eltwise",
        "Dropout",
        "Noop",
        "GELU",
        "ELU",
        "HardSigmoid",
        "HardSwish",
    ]
)
"""Layers that work on each pixel alone."""
WHOLE = math.inf
RESIZE_REACH = {1: 0, 2: 1, 3: 2}
"""Nearest, bilinear, bicubic: pixels that an enlarged one is made of, on each side."""
WHOLE_PICTURE = "whole picture"
"""What files of ours say for `tile_radius` where a network looks at everything."""

Value = float | tuple[float, ...]


@dataclass(frozen=True)
class Layer:
    """One line of a graph; `numbers` are its parameters by ncnn's ids."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[int, Value]

    def number(self, key: int, default: float = 0) -> float:
        """One parameter; of an array, the first."""
        found = self.numbers.get(key, default)
        return found if isinstance(found, int | float) else found[0] if found else default

    def whole(self, key: int, default: int = 0) -> int:
        return int(self.number(key, default))


@dataclass(frozen=True)
class Cost:
    """Counts of convolutions: for each input pixel, and once for each picture. `known` is False where a layer is not
    understood: then the parameters alone are right, as far as convolutions have them."""

    parameters: int = 0
    macs: Fraction = Fraction(0)
    activations: Fraction = Fraction(0)
    macs_once: int = 0
    activations_once: int = 0
    known: bool = True


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
    layers = _layers(path)
    _check_blobs(path, layers)
    walk = _Walk(path, layers)
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


def _layers(path: Path) -> tuple[Layer, ...]:
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file: an ncnn model is a .param with its .bin beside it")
    if path.stat().st_size > MOST_BYTES:
        raise CheckpointError(f"{path} is no graph of ncnn: it has {how_many(path.stat().st_size, 'byte')}")
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is no graph of ncnn: it is no text") from error
    if not lines or lines[0] != [MAGIC]:
        raise CheckpointError(f"{path} is no graph of ncnn: such a file begins with {MAGIC}")
    if len(lines) > 2 and lines[2][0].startswith("pnnx."):
        raise CheckpointError(f"{path} is pnnx's own graph, not ncnn's: give the .ncnn.param that it writes beside it")
    try:
        count, blobs = map(int, lines[1])
        layers = tuple(_layer(words) for words in lines[2 : 2 + count])
    except (IndexError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path} is damaged: a line is no layer of ncnn") from error
    made = [blob for layer in layers for blob in layer.outputs]
    if len(layers) != count or len(made) != blobs or len(set(made)) != blobs:
        raise CheckpointError(
            f"{path} is cut off or damaged: it names {how_many(count, 'layer')} and {how_many(blobs, 'blob')}, and has {len(layers)} and {len(made)}"
        )
    return layers


def _layer(words: Sequence[str]) -> Layer:
    kind, name, inputs, outputs = words[0], words[1], int(words[2]), int(words[3])
    if min(inputs, outputs) < 0 or len(words) < 4 + inputs + outputs:
        raise ValueError(name)
    blobs, rest = words[4 : 4 + inputs + outputs], words[4 + inputs + outputs :]
    numbers: dict[int, Value] = {}
    for word in rest:
        key, value = word.split("=", 1)
        if int(key) > -23300:
            numbers[int(key)] = _value(value)
        else:  # an array, its length first
            numbers[-23300 - int(key)] = tuple(_value(each) for each in value.split(",")[1:])
    return Layer(kind, name, tuple(blobs[:inputs]), tuple(blobs[inputs:]), numbers)


def _value(text: str) -> float:
    number = float(text) if any(sign in text for sign in ".en") else int(text)
    if not abs(number) <= LARGEST_NUMBER:  # nor is NaN
        raise ValueError(text)
    return number


def _check_blobs(path: Path, layers: Sequence[Layer]) -> None:
    """One input and one output, called as the programs call them, and no blob before it is made."""
    made: set[str] = set()
    for layer in layers:
        if not made.issuperset(layer.inputs):
            raise CheckpointError(f"{path} is damaged: {layer.name} takes what no layer before it makes")
        made.update(layer.outputs)
    taken = {blob for layer in layers for blob in layer.inputs}
    inputs = [blob for layer in layers if layer.kind == "Input" for blob in layer.outputs]
    outputs = [blob for layer in layers for blob in layer.outputs if blob not in taken]
    if inputs != [INPUT_BLOB] or outputs != [OUTPUT_BLOB]:
        raise CheckpointError(
            f"{path} goes from {', '.join(inputs) or 'nothing'} to {', '.join(outputs) or 'nothing'}, where one blob "
            f"{INPUT_BLOB} and one {OUTPUT_BLOB} are needed, as Upscayl and its like ask for them: `aethernet export --target "
            "ncnn` writes such files; in others, rename the blobs"
        )


@dataclass(frozen=True)
class _Seen:
    """What is known of a blob; None where it is not.

    `channels` is 0 for as many as the input has; `scale` is of its sides, 0 for one pixel for all; `radius` in input pixels.
    """

    channels: int | None
    scale: Fraction | None
    radius: Fraction | float | None


class _Walk:
    """A way through the graph, layer by layer."""

    def __init__(self, path: Path, layers: Sequence[Layer]) -> None:
        self.path, self.in_channels = path, 0
        self.seen: dict[str, _Seen] = {}
        self.cost = Cost()
        for layer in layers:
            out = self._step(layer)
            self.seen |= dict.fromkeys(layer.outputs, out)
        if self.in_channels not in (1, 3):
            takes = (
                f"{how_many(self.in_channels, 'channel')}"
                if self.in_channels
                else "nothing that a convolution looks at"
            )
            raise CheckpointError(f"{path} takes {takes}: 1 channel (grey) or 3 (RGB) are needed")

    def _step(self, layer: Layer) -> _Seen:
        if layer.kind == "Input":
            return _Seen(0, Fraction(1), Fraction(0))
        given = [self.seen[blob] for blob in layer.inputs]
        if not given:
            self._add(known=False)
            return _Seen(None, None, Fraction(0))  # numbers of its own
        if layer.kind in CONVOLUTIONS:
            return self._convolution(layer, given[0])
        joined = _Seen(_most(given), _largest(given), _farthest(given))
        if layer.kind == "PReLU":
            self._add(parameters=layer.whole(0))
        if layer.kind == "Split" or layer.kind in PASSING:
            return joined
        if layer.kind == "Concat" and layer.whole(0) == 0:
            counts = [each.channels or 0 for each in given]
            return replace(joined, channels=sum(counts) if all(counts) else None)
        if layer.kind == "PixelShuffle" and (factor := layer.whole(0, 1)) > 0:
            channels = joined.channels // factor**2 if joined.channels else None
            return replace(joined, channels=channels, scale=joined.scale and joined.scale * factor)
        if layer.kind == "Interp":
            return _resized(layer, joined)
        if layer.kind == "Pooling" and layer.whole(4):
            return replace(joined, scale=Fraction(0), radius=WHOLE)
        if layer.kind == "Reduction" and not layer.whole(1, 1):
            axes = layer.numbers.get(3, ())
            if isinstance(axes, tuple) and axes and all(axis in (0, -3) for axis in axes):
                return replace(joined, channels=1)
            return replace(joined, scale=Fraction(0), radius=WHOLE)
        self._add(known=False)
        return _Seen(None, None, joined.radius if joined.radius == WHOLE else None)

    def _convolution(self, layer: Layer, given: _Seen) -> _Seen:
        columns, out = layer.whole(1), layer.whole(0)
        rows, groups = layer.whole(11, columns), max(1, layer.whole(7, 1))
        if min(columns, rows, out) < 1:
            self._damaged(layer)
        weights = layer.whole(6)
        channels, rest = divmod(weights * groups, out * rows * columns)
        if rest or channels < 1:
            self._damaged(layer)
        if given.channels == 0:
            if self.in_channels not in (0, channels):
                self._damaged(layer)
            self.in_channels = channels
        elif given.channels not in (None, channels):
            self._damaged(layer)
        self._add(parameters=weights + (out if layer.whole(5) else 0))
        stride = layer.whole(3, 1)
        scale, radius = given.scale, given.radius
        if stride != 1 or layer.kind.startswith("Deconvolution") or scale is None:
            self._add(known=False)  # not of ours
            return _Seen(out, None, radius if radius == WHOLE else None)
        reach = max((columns - 1) * layer.whole(2, 1), (rows - 1) * layer.whole(12, layer.whole(2, 1)))
        if radius is not None and scale:
            radius = radius + Fraction(-(-reach // 2)) / scale
        if scale:
            self._add(macs=weights * scale**2, activations=out * scale**2)
        else:
            self._add(macs_once=weights, activations_once=out)
        return _Seen(out, scale, radius)

    def _add(self, *, known: bool = True, **counts: Fraction | int) -> None:
        """To the cost."""
        sums = {name: getattr(self.cost, name) + count for name, count in counts.items()}
        self.cost = replace(self.cost, known=self.cost.known and known, **sums)

    def _damaged(self, layer: Layer) -> NoReturn:
        raise CheckpointError(f"{self.path} is damaged: the numbers of {layer.name} do not fit together")


def _resized(layer: Layer, given: _Seen) -> _Seen:
    factor = layer.number(1, 1)
    reach = RESIZE_REACH.get(layer.whole(0))
    if (
        not Fraction(factor).limit_denominator(64)
        or layer.whole(3)
        or layer.whole(4)
        or layer.number(2, 1) != factor
        or factor <= 0
        or reach is None
        or not given.scale
    ):
        return _Seen(given.channels, None, given.radius if given.radius == WHOLE else None)
    radius = None if given.radius is None else given.radius + Fraction(reach) / given.scale
    return _Seen(given.channels, given.scale * Fraction(factor).limit_denominator(64), radius)


def _most(given: Sequence[_Seen]) -> int | None:
    """The channels of several blobs together, of which some may have one for all."""
    channels = [each.channels for each in given if each.channels != 1] or [1]
    return channels[0] if len(set(channels)) == 1 else max((each for each in channels if each), default=None)


def _largest(given: Sequence[_Seen]) -> Fraction | None:
    scales = [each.scale for each in given]
    return None if None in scales else max(scale for scale in scales if scale is not None)


def _farthest(given: Sequence[_Seen]) -> Fraction | float | None:
    radii = [each.radius for each in given]
    if WHOLE in radii:
        return WHOLE
    return None if None in radii else max(radius for radius in radii if radius is not None)

"""The layers of ncnn's graphs (`.param`), as the text has them: read, and held against one another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aethernet.errors import CheckpointError
from aethernet.export.ncnn import INPUT_BLOB, OUTPUT_BLOB
from aethernet.wording import how_many

MAGIC = "7767517"
MOST_BYTES = 2**24
"""Of a graph, which is a page or two of text."""
LARGEST_NUMBER = 2**31
"""ncnn's numbers have 32 bits."""
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise")

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


def read_layers(path: Path) -> tuple[Layer, ...]:
    """The layers of a graph from `data` to `output`; raises `CheckpointError` as `read_graph` does."""
    layers = _layers(path)
    _check_blobs(path, layers)
    return layers


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

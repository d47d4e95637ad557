"""Does a network fit into float16? The largest magnitude of every layer on real pictures, against 65504.

Larger numbers become infinite, and nothing in a file clamps them: a network that does not fit is to be shipped as fp32.
ONNX Runtime on a CPU computes fp16 files in float32, so running the file there shows nothing of this.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aethernet.errors import DataError, StageError
from aethernet.network.blocks import ChannelAttention, SpatialAttention
from aethernet.network.network import AetherNet
from aethernet.progress import Progress, counted
from aethernet.wording import how_many

LARGEST = 65504.0
"""The largest finite float16."""
SMALLEST_NORMAL = 2.0**-14
"""Below it float16 loses digits, and below 2**-25 everything."""
MARGIN = 4.0
"""What must remain between the largest number seen and 65504: other pictures reach further than those looked at."""
COMPUTING = (ChannelAttention, SpatialAttention)
"""Modules with children that compute something themselves."""


@dataclass(frozen=True)
class LayerRange:
    """One layer of the fused network: largest magnitudes of its outputs and of its weights (0 without any), and which part
    of its outputs is neither 0 nor a normal float16."""

    name: str
    kind: str
    activation: float
    weight: float
    below_normal: float

    @property
    def largest(self) -> float:
        """Not a number if either is not."""
        return float(torch.tensor([self.activation, self.weight]).amax())

    @property
    def headroom(self) -> float:
        """How many times larger it could be."""
        return LARGEST / self.largest if self.largest else float("inf")


@dataclass(frozen=True)
class HalfReport:
    """All layers in the order of their computation, and on how many pictures they were seen."""

    layers: list[LayerRange]
    pictures: int

    @property
    def by_headroom(self) -> list[LayerRange]:
        """The layers with the largest numbers first; what is not a number comes before all."""
        return sorted(self.layers, key=lambda layer: (layer.largest == layer.largest, layer.headroom))

    @property
    def overflowing(self) -> list[LayerRange]:
        """The layers with numbers that float16 does not have."""
        return [layer for layer in self.layers if not layer.largest <= LARGEST]

    @property
    def safe(self) -> bool:
        """Whether every number stays `MARGIN` times below the largest float16."""
        return all(layer.headroom >= MARGIN for layer in self.layers)

    def sentence(self) -> str:
        """The verdict in words."""
        widest = self.by_headroom[0]
        seen = f"largest number {widest.largest:.4g} ({widest.name}) on {how_many(self.pictures, 'picture')}, float16 ends at {LARGEST:g}"
        if self.overflowing:
            return (
                f"fp16 overflows in {len(self.overflowing)} of {how_many(len(self.layers), 'layer')}: {seen}. Take fp32"
            )
        if not self.safe:
            return f"fp16 is not safe: {seen}, so other pictures may overflow ({MARGIN:g} times is the margin)"
        return f"fp16 is safe: {seen}, {widest.headroom:,.0f} times more"


@torch.no_grad()
def half_ranges(network: AetherNet, pictures: Iterable[Tensor], *, progress: Progress | None = None) -> HalfReport:
    """Runs the fused network in float32 and notes what each layer puts out.

    Args:
        network: of stage train or fused; it is copied and left as it is.
        pictures: (N, C, H, W) tensors in [0, 1], of any sizes.

    Raises:
        StageError: a network on int8 grids. DataError: no pictures.
    """
    if network.config.quantized:
        raise StageError(
            f"fp16 files are written from the float network, this one is of stage {network.config.stage}: give the "
            "network from before prepare_qat()"
        )
    fused = copy.deepcopy(network).cpu().float().eval().fuse_model()
    outputs: dict[str, _Outputs] = {}
    for name, module in fused.named_modules():
        if isinstance(module, COMPUTING) or not (list(module.children()) or isinstance(module, nn.Identity)):
            module.register_forward_hook(_watch(outputs, name))
    count = 0
    for picture in counted(pictures, progress):
        fused(picture.cpu().float())
        count += 1
    if not count:
        raise DataError("there are no pictures to look for large activations on: give at least one")
    layers = []
    for name, seen in outputs.items():
        module = fused.get_submodule(name)
        weights = [weight.abs().max() for weight in module.parameters(recurse=False)]
        weight = torch.stack(weights).amax().item() if weights else 0.0
        below = seen.below_normal / max(1, seen.nonzero)
        layers.append(LayerRange(name, type(module).__name__, seen.largest.item(), weight, below))
    return HalfReport(layers, count)


class _Outputs:
    """What one layer has put out so far."""

    def __init__(self) -> None:
        self.largest = torch.zeros(())
        self.nonzero = 0
        self.below_normal = 0

    def add(self, x: Tensor) -> None:
        magnitudes = x.abs()
        self.largest = torch.maximum(self.largest, magnitudes.max())  # keeps what is not a number
        self.nonzero += int(magnitudes.count_nonzero())
        self.below_normal += int(((magnitudes < SMALLEST_NORMAL) & (magnitudes > 0)).count_nonzero())


def _watch(outputs: dict[str, _Outputs], name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        outputs.setdefault(name, _Outputs()).add(output)

    return hook

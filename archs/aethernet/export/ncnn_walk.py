"""A way through an ncnn graph, layer by layer: what is known of each blob, and what the convolutions cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

from aethernet.errors import CheckpointError
from aethernet.export.ncnn_layers import CONVOLUTIONS, Layer
from aethernet.wording import how_many

PASSING = frozenset(
    {
        "BinaryOp", "UnaryOp", "ReLU", "PReLU", "Sigmoid", "TanH", "Swish", "Clip", "Eltwise", "Dropout", "Noop",
        "GELU", "ELU", "HardSigmoid", "HardSwish",
    }
)  # fmt: skip
"""Layers that work on each pixel alone."""
WHOLE = math.inf
RESIZE_REACH = {1: 0, 2: 1, 3: 2}
"""Nearest, bilinear, bicubic: pixels that an enlarged one is made of, on each side."""


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
class Seen:
    """What is known of a blob; None where it is not.

    `channels` is 0 for as many as the input has; `scale` is of its sides, 0 for one pixel for all; `radius` in input pixels.
    """

    channels: int | None
    scale: Fraction | None
    radius: Fraction | float | None


class Walk:
    """A way through the graph, layer by layer."""

    def __init__(self, path: Path, layers: Sequence[Layer]) -> None:
        self.path, self.in_channels = path, 0
        self.seen: dict[str, Seen] = {}
        self.cost = Cost()
        for layer in layers:
            out = self._step(layer)
            self.seen |= dict.fromkeys(layer.outputs, out)
        if self.in_channels not in (1, 3):
            takes = how_many(self.in_channels, "channel") if self.in_channels else "nothing that a convolution looks at"
            raise CheckpointError(f"{path} takes {takes}: 1 channel (grey) or 3 (RGB) are needed")

    def _step(self, layer: Layer) -> Seen:
        if layer.kind == "Input":
            return Seen(0, Fraction(1), Fraction(0))
        given = [self.seen[blob] for blob in layer.inputs]
        if not given:
            self._add(known=False)
            return Seen(None, None, Fraction(0))  # numbers of its own
        if layer.kind in CONVOLUTIONS:
            return self._convolution(layer, given[0])
        joined = Seen(_most(given), _largest(given), _farthest(given))
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
        return Seen(None, None, joined.radius if joined.radius == WHOLE else None)

    def _convolution(self, layer: Layer, given: Seen) -> Seen:
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
            return Seen(out, None, radius if radius == WHOLE else None)
        reach = max((columns - 1) * layer.whole(2, 1), (rows - 1) * layer.whole(12, layer.whole(2, 1)))
        if radius is not None and scale:
            radius = radius + Fraction(-(-reach // 2)) / scale
        if scale:
            self._add(macs=weights * scale**2, activations=out * scale**2)
        else:
            self._add(macs_once=weights, activations_once=out)
        return Seen(out, scale, radius)

    def _add(self, *, known: bool = True, **counts: Fraction | int) -> None:
        """To the cost."""
        sums = {name: getattr(self.cost, name) + count for name, count in counts.items()}
        self.cost = replace(self.cost, known=self.cost.known and known, **sums)

    def _damaged(self, layer: Layer) -> NoReturn:
        raise CheckpointError(f"{self.path} is damaged: the numbers of {layer.name} do not fit together")


def _resized(layer: Layer, given: Seen) -> Seen:
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
        return Seen(given.channels, None, given.radius if given.radius == WHOLE else None)
    radius = None if given.radius is None else given.radius + Fraction(reach) / given.scale
    return Seen(given.channels, given.scale * Fraction(factor).limit_denominator(64), radius)


def _most(given: Sequence[Seen]) -> int | None:
    """The channels of several blobs together, of which some may have one for all."""
    channels = [each.channels for each in given if each.channels != 1] or [1]
    return channels[0] if len(set(channels)) == 1 else max((each for each in channels if each), default=None)


def _largest(given: Sequence[Seen]) -> Fraction | None:
    scales = [each.scale for each in given]
    return None if None in scales else max(scale for scale in scales if scale is not None)


def _farthest(given: Sequence[Seen]) -> Fraction | float | None:
    radii = [each.radius for each in given]
    if WHOLE in radii:
        return WHOLE
    return None if None in radii else max(radius for radius in radii if radius is not None)

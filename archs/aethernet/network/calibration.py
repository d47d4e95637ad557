"""Calibration: a float network and a few pictures in, the network on int8 grids out, ready to train or to convert."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from aethernet.network.network import AetherNet
from aethernet.quantization.ranges import set_ranges
from aethernet.quantization.settings import PERCENTILE, QuantizationConfig


def calibrate(
    network: AetherNet,
    pictures: Iterable[Tensor],
    *,
    quantization: str | Mapping[str, Any] | QuantizationConfig | None = None,
    percentile: float = PERCENTILE,
    progress: Callable[[int], None] | None = None,
) -> AetherNet:
    """Sets the ranges of all activations; a network of an earlier stage is put on int8 grids first, in place.

    The same network, pictures and order give the same ranges. Activations pass unrounded meanwhile.

    Args:
        network: of stage train, fused or qat. Ranges that it has are replaced.
        pictures: (N, C, H, W) tensors in [0, 1], RGB or grey as the network wants, of any sizes; 100 to 200 varied ones
            are plenty.
        quantization: settings for `prepare_qat`.
        percentile: of the magnitudes, 99.99 to 100 (the largest value).
        progress: called with the number of pictures so far.

    Returns:
        The network.

    Raises:
        StageError: an int8 network. DataError: no pictures, or damaged weights. UsageError: a wrong percentile.
    """
    network.prepare_qat(quantization)
    set_ranges(network, pictures, percentile=percentile, progress=progress)
    return network

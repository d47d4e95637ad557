"""Calibration: a float network and a few pictures in, the network on int8 grids out, ready to train or to convert."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from aethernet.network.network import AetherNet
from aethernet.progress import Progress
from aethernet.quantization.ranges import set_ranges
from aethernet.quantization.settings import PERCENTILE, Preset, QuantizationConfig


def calibrate(
    network: AetherNet,
    pictures: Iterable[Tensor],
    *,
    quantization: Preset | Mapping[str, Any] | QuantizationConfig | None = None,
    percentile: float = PERCENTILE,
    progress: Progress | None = None,
) -> AetherNet:
    """Sets the ranges of all activations; a network of an earlier stage is put on int8 grids first, in place.

    The same network, pictures and order give the same ranges. Activations pass unrounded meanwhile.

    Args:
        network: of stage train, fused or qat. Ranges that it has are replaced.
        pictures: (N, C, H, W) tensors in [0, 1], RGB or grey as the network wants, of any sizes; 100 to 200 varied ones
            are plenty.
        quantization: settings for `prepare_qat`.
        percentile: of the magnitudes, 99.99 to 100 (the largest value).
        progress: called after each picture with how many are done, how many there are, and an empty text.

    Returns:
        The network.

    Raises:
        StageError: an int8 network. DataError: no pictures, one with NaN or far outside of [0, 1], or
            damaged weights. UsageError: a wrong percentile.

    Example:
        >>> import torch
        >>> from aether_arch import aether_tiny, calibrate
        >>> network = calibrate(aether_tiny(scale=2), [torch.rand(1, 3, 32, 32), torch.rand(1, 3, 24, 40)])
        >>> network.config.stage
        'qat'
    """
    network.prepare_qat(quantization)
    set_ranges(network, pictures, percentile=percentile, progress=progress)
    return network

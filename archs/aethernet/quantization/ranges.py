"""The ranges of activations, from pictures: largest magnitude, or a percentile of all magnitudes."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from aethernet.checks import samples_problem
from aethernet.errors import DataError, UsageError
from aethernet.progress import Progress, counted
from aethernet.quantization.fake import quantizers
from aethernet.quantization.settings import LEAST_PERCENTILE

BEYOND = 15.0
"""How far from [0, 1] pictures may come: a training may shift and scale them, but not to 8-bit samples."""


class Magnitudes:
    """A histogram of absolute values that widens by doubling, so that one pass over any data suffices.

    The largest value is kept exactly; a percentile is known to one of `BINS` parts of the range.
    """

    BINS = 8192

    def __init__(self) -> None:
        self.largest = 0.0
        self.width = 0.0
        self.counts = torch.zeros(self.BINS, dtype=torch.int64)

    def __call__(self, x: Tensor) -> None:
        magnitudes = x.detach().abs().flatten().float()
        largest = magnitudes.max().item()
        if largest != largest or largest == float("inf"):
            raise DataError("the network's activations are not finite on these pictures: its weights are damaged")
        self.largest = max(self.largest, largest)
        if self.largest == 0.0:
            self.counts[0] += magnitudes.numel()
            return
        if self.width == 0.0:
            self.width = self.largest
        while self.width < self.largest:
            halves = self.counts.view(-1, 2).sum(dim=1)
            self.counts = torch.cat([halves, torch.zeros_like(halves)])
            self.width *= 2
        self.counts += torch.histc(magnitudes, self.BINS, 0.0, self.width).cpu().long()

    def percentile(self, percent: float) -> float:
        """The magnitude that `percent` of all values do not exceed."""
        if percent >= 100.0 or self.width == 0.0:
            return self.largest
        reached = self.counts.cumsum(0) >= percent / 100.0 * int(self.counts.sum())
        upper_edge = (int(reached.nonzero()[0]) + 1) * self.width / self.BINS
        return min(upper_edge, self.largest)


@torch.no_grad()
def set_ranges(
    network: nn.Module,
    pictures: Iterable[Tensor],
    *,
    percentile: float = 100.0,
    progress: Progress | None = None,
) -> int:
    """Runs the network on pictures, activations unrounded, and sets the range of every quantiser.

    Args:
        network: with fake quantisers; its ranges so far do not matter. Left in the mode it was in.
        pictures: (N, C, H, W) tensors in [0, 1], of any sizes.
        percentile: of the magnitudes; 100 is the largest one, less cuts off outliers.

    Returns:
        The number of tensors in `pictures`.

    Raises:
        UsageError: a percentile outside of [99.99, 100].
        DataError: no pictures, one with values far outside of [0, 1], or activations that are not finite.
    """
    if not LEAST_PERCENTILE <= percentile <= 100.0:
        raise UsageError(f"percentile must be between {LEAST_PERCENTILE} and 100 (the largest value), not {percentile}")
    seen = {name: Magnitudes() for name, _ in quantizers(network)}
    training, device = network.training, next(network.parameters()).device
    network.eval()
    count = 0
    try:
        for name, quantizer in quantizers(network):
            quantizer.observe = seen[name]
        for picture in counted(pictures, progress):
            _require_picture(picture, count)
            network(picture.to(device))
            count += 1
    finally:
        for _, quantizer in quantizers(network):
            quantizer.observe = None
        network.train(training)
    if not count:
        raise DataError("there are no pictures to calibrate on: give at least one")
    for name, quantizer in quantizers(network):
        # A tensor that is zero on all pictures still needs a grid.
        quantizer.range.fill_(seen[name].percentile(percentile) or 1.0)
        quantizer.watch_batches = 0
    return count


def _require_picture(picture: Tensor, number: int) -> None:
    """Ranges would be those of what no picture is, and nobody would see it in the network."""
    if picture.is_floating_point() and picture.numel():
        low, high = (float(each) for each in torch.aminmax(picture))
        if problem := samples_problem(low, high, BEYOND):
            raise DataError(f"picture {number} (counted from 0) to calibrate on {problem}")

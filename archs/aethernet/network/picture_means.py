"""Channel attention over a picture that is computed in windows.

Channel attention weighs channels by their means over the whole picture, which a window does not see. With means that are
the same for all windows, the network sees no farther than its convolutions do, and windows with a halo join without
seams. The means themselves are gathered in passes over all windows, each pixel counted once: the first attention's input
depends on nothing that is unknown, so its mean is right after one pass, the second's after two, and with as many passes
as there are attentions all are exact. Fewer come close, for each pass starts from the means of the one before.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from aethernet.network.blocks import ChannelAttention


class PictureMeans:
    """The means of one batch of pictures in every channel attention of a network, which `applied` puts in their place.

    Attributes:
        count: of attentions; 0 where the network has none.
        change: how much the last pass moved any channel's weight, between 0 and 1; None before the second.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._attentions = [module for module in network.modules() if isinstance(module, ChannelAttention)]
        self.count = len(self._attentions)
        self.change: float | None = None
        self._means: list[Tensor] | None = None
        self._sums: list[Tensor | None] = []
        self._pixels = 0

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The network computes with the means so far, or with each window's own before the first pass."""
        former = [(attention.given, attention.watch) for attention in self._attentions]
        try:
            for number, attention in enumerate(self._attentions):
                attention.given = self._means[number] if self._means is not None else None
            yield
        finally:
            for attention, (given, watch) in zip(self._attentions, former, strict=True):
                attention.given, attention.watch = given, watch

    @torch.inference_mode()
    def _finish(self) -> None:
        means = [(total / self._pixels).float() for total in self._sums if total is not None]
        if self._means is not None:
            self.change = max(
                float((self._weights(number, new) - self._weights(number, old)).abs().max())
                for number, (new, old) in enumerate(zip(means, self._means, strict=True))
            )
        self._means = means

    @contextlib.contextmanager
    def gathering(self) -> Iterator[None]:
        """One pass: `gather` is called for every window inside, and the means are new afterwards."""
        self._sums, self._pixels = [None] * self.count, 0
        yield
        self._finish()

    @torch.inference_mode()
    def gather(self, x: Tensor, rows: slice, columns: slice) -> None:
        """Adds one window (N, C, H, W), of which the rows and columns count that no other window counts."""
        with self.applied():
            for number, attention in enumerate(self._attentions):
                attention.watch = _Sum(self._sums, number, rows, columns)
            self._network(x)
        self._pixels += (rows.stop - rows.start) * (columns.stop - columns.start)

    def _weights(self, number: int, means: Tensor) -> Tensor:
        attention = self._attentions[number]
        return attention.weights(means.to(attention.squeeze.weight.dtype))


class _Sum:
    def __init__(self, sums: list[Tensor | None], number: int, rows: slice, columns: slice) -> None:
        self.sums, self.number, self.rows, self.columns = sums, number, rows, columns

    def __call__(self, x: Tensor) -> None:
        part = x[:, :, self.rows, self.columns].sum(dim=(2, 3), keepdim=True, dtype=torch.float64)
        own = self.sums[self.number]
        self.sums[self.number] = part if own is None else own + part

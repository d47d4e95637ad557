"""What tiles with the padding of other programs make of a network that sees farther, measured on pictures."""

import copy
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from aethernet.network.network import AetherNet
from aethernet.progress import Progress

SIDE, MOST_PICTURES = 96, 5
"""Low-resolution pixels of the middles that are looked at, and how many of them: a second each for `small` on a CPU."""


@dataclass(frozen=True)
class TileError:
    """The largest difference between tiles and the whole, in levels of 255, on so many pictures, and the tiles' side."""

    levels: float
    pictures: int
    tile: int


@torch.no_grad()
def tile_error(
    network: AetherNet, pictures: Iterable[Tensor], *, tile: int, padding: int, progress: Progress | None = None
) -> TileError:
    """Enlarges the middles of pictures as a whole and in tiles with `padding` input pixels around each.

    Args:
        network: of stage train or fused; it is copied, fused and left as it is.
        pictures: (N, C, H, W) in [0, 1]; the first ones are looked at.
    """
    network = copy.deepcopy(network).eval().fuse_model()
    scale, largest, count = network.config.scale, 0.0, 0
    for batch in itertools.islice(pictures, MOST_PICTURES):
        picture = _middle(batch[:1])
        whole = network(picture).clamp(0, 1)
        height, width = picture.shape[2:]
        for top, left in itertools.product(range(0, height, tile), range(0, width, tile)):
            first_row, first_column = max(0, top - padding), max(0, left - padding)
            window = picture[:, :, first_row : top + tile + padding, first_column : left + tile + padding]
            made = network(window).clamp(0, 1)[:, :, (top - first_row) * scale :, (left - first_column) * scale :]
            made = made[:, :, : tile * scale, : tile * scale]
            there = whole[:, :, top * scale : (top + tile) * scale, left * scale : (left + tile) * scale]
            largest = max(largest, float((made[:, :, : there.shape[2], : there.shape[3]] - there).abs().max()))
        count += 1
        if progress is not None:
            progress(count, MOST_PICTURES, "")
    return TileError(255 * largest, count, tile)


def _middle(batch: Tensor) -> Tensor:
    height, width = batch.shape[2:]
    top, left = (max(0, (side - SIDE) // 2) for side in (height, width))
    return batch[:, :, top : top + SIDE, left : left + SIDE]

"""Enlarged frames brought to a given height."""

import numpy as np
import torch

from aethernet.errors import UsageError


def result_size(size: tuple[int, int], scale: int, to_height: int | None, *, turned: bool = False) -> tuple[int, int]:
    """Width and height of results.

    Args:
        size: width and height of the source's frames.
        to_height: rows that are shown; by default those that the network gives. The width follows, rounded to an even number.
        turned: whether players show rows as columns.

    Raises:
        UsageError: more rows than the network gives.
    """
    width, height = (scale * side for side in size)
    if to_height is None:
        return width, height
    shown = width if turned else height
    if to_height > shown:
        raise UsageError(
            f"--to-height {to_height} is more than the {shown} rows that x{scale} gives: give a larger --scale"
        )
    if to_height == shown:
        return width, height
    other = max(2, 2 * round((height if turned else width) * to_height / shown / 2))
    return (to_height, other) if turned else (other, to_height)


def resized(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(C, H, W) float32 shrunk to (C, height, width) by a bicubic filter as wide as it has to be; as it is where it fits."""
    width, height = size
    if planes.shape[1:] == (height, width):
        return planes
    tensor = torch.from_numpy(np.ascontiguousarray(planes))[None]
    return torch.nn.functional.interpolate(tensor, (height, width), mode="bicubic", antialias=True)[0].numpy()

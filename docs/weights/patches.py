"""Where the trainings of `train.py` take their patches from."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.data.photo import random_degradation
from aethernet.data.pictures import find_pictures, read_rgb
from aethernet.integrations.basicsr.data.memory_dataset import summed_detail

Batch = tuple[Tensor, Tensor]
"""Low-resolution patches (N, 3, H, W) and their originals (N, 3, scale H, scale W), RGB float32 in [0, 1]."""


def read_all(folders: Sequence[Path], least: int, reductions: Sequence[float] = ()) -> list[np.ndarray]:
    """All pictures (H, W, 3) with sides of at least `least` pixels, and reduced copies that stay as large."""

    def copies(path: Path) -> list[np.ndarray]:
        picture = read_rgb(path)[0]
        sizes = [(round(picture.shape[1] * factor), round(picture.shape[0] * factor)) for factor in reductions]
        reduced = [Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC) for size in sizes]
        return [each for each in (picture, *map(np.asarray, reduced)) if min(each.shape[:2]) >= least]

    with ThreadPoolExecutor() as pool:
        return [
            each
            for found in pool.map(copies, [path for folder in folders for path in find_pictures(folder)])
            for each in found
        ]


class CleanPatches:
    """Patches of pictures that are only reduced, cut on the device: one gather for a batch.

    Args:
        permute: the colours of each patch in a random order.
        blend: share of batches whose patches are weighted means of two: a reduction is linear, so that the pair stays one.
        crops: positions that are drawn for a patch; the one with the most detail is taken.
    """

    def __init__(
        self, pictures: list[np.ndarray], scale: int, batch: int, side: int, device: str, *,
        permute: bool = False, blend: float = 0.0, crops: int = 2, seed: int = 0,
    ) -> None:  # fmt: skip
        self.scale, self.batch, self.side, self.device = scale, batch, side, device
        self.permute, self.blend, self.crops = permute, blend, crops
        self.random = np.random.default_rng(seed)
        highs = [modcrop(picture, scale) for picture in pictures]
        with ThreadPoolExecutor() as pool:
            lows = list(pool.map(lambda high: bicubic_downsample(high, scale), highs))
        self.sizes = np.array([low.shape[:2] for low in lows])
        self.starts = np.concatenate([[0], np.cumsum(self.sizes.prod(1))[:-1]])
        self.share = self.sizes.prod(1) / self.sizes.prod(1).sum()
        self.detail = [summed_detail(low) for low in lows]
        self.low = _planes(lows, device)
        self.high = _planes(highs, device)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.next()

    def next(self) -> Batch:
        chosen = self.random.choice(len(self.sizes), self.batch, p=self.share)
        at = np.array([self._position(number) for number in chosen])
        turns = self.random.integers(0, 2, (3, self.batch))
        numbers = np.concatenate([self.starts[chosen][None], self.sizes[chosen, 1][None], at.T, turns])
        table = torch.from_numpy(numbers).to(self.device)
        low, high = self._cut(self.low, table, 1), self._cut(self.high, table, self.scale)
        if self.permute:
            order = torch.from_numpy(self.random.permuted(np.tile(np.arange(3), (self.batch, 1)), axis=1))
            order = order.to(self.device)[:, :, None, None]
            low, high = (torch.take_along_dim(each, order, 1) for each in (low, high))
        if self.random.random() < self.blend:
            weight = torch.from_numpy(self.random.uniform(0, 0.5, (self.batch, 1, 1, 1)).astype(np.float32))
            weight = weight.to(self.device)
            low, high = (torch.lerp(each, each.roll(1, 0), weight) for each in (low, high))
        return low, high

    def _position(self, number: int) -> tuple[int, int]:
        height, width = self.sizes[number] - self.side
        drawn = [
            (int(self.random.integers(height + 1)), int(self.random.integers(width + 1))) for _ in range(self.crops)
        ]
        total, side = self.detail[number], self.side
        return max(drawn, key=lambda at: total[at[0] + side, at[1] + side] - total[at[0], at[1] + side]
                   - total[at[0] + side, at[1]] + total[at])  # fmt: skip

    def _cut(self, planes: Tensor, table: Tensor, factor: int) -> Tensor:
        start, width, top, left, flip_y, flip_x, transpose = table[:, :, None, None]
        side = self.side * factor
        along = torch.arange(side, device=self.device)
        y, x = along[None, :, None], along[None, None, :]
        y, x = torch.where(transpose > 0, x, y), torch.where(transpose > 0, y, x)
        y = torch.where(flip_y > 0, side - 1 - y, y) + top * factor
        x = torch.where(flip_x > 0, side - 1 - x, x) + left * factor
        index = start * factor**2 + y * width * factor + x
        return (planes[:, index].movedim(0, 1) / 255).contiguous()


class PhotoPatches:
    """Patches that suffered what photographs do (`aethernet.data.photo`), made in another thread.

    A batch depends on the seed and its number alone.
    """

    def __init__(
        self, pictures: list[np.ndarray], scale: int, batch: int, side: int, device: str, *, first: int = 0, seed: int = 0
    ) -> None:  # fmt: skip
        self.pictures, self.scale, self.batch, self.side, self.device = pictures, scale, batch, side, device
        sizes = np.array([picture.size for picture in pictures], float)
        self.share = sizes / sizes.sum()
        self.queue: Queue = Queue(8)
        threading.Thread(target=self._make, args=(first, seed), daemon=True).start()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            low, high = self.queue.get()
            yield low.to(self.device), high.to(self.device)

    def _make(self, number: int, seed: int) -> None:
        while True:
            random = np.random.default_rng([seed, number])
            pairs = [self._patch(random) for _ in range(self.batch)]
            self.queue.put([torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True)])
            number += 1

    def _patch(self, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        picture = self.pictures[random.choice(len(self.pictures), p=self.share)]
        side, scale = self.side, self.scale
        # A JPEG's blocks lie anywhere in a patch, as in the pictures that are enlarged: cut larger, and cut again.
        large = (side + 8) * scale
        top, left = (int(random.integers(0, length - large + 1)) for length in picture.shape[:2])
        high = picture[top : top + large, left : left + large]
        high = np.ascontiguousarray(np.rot90(high[:, ::-1] if random.random() < 0.5 else high, int(random.integers(4))))
        low = random_degradation(random)(high, scale, random)
        above, before = (int(random.integers(0, 9)) for _ in range(2))
        low = low[above : above + side, before : before + side]
        high = high[above * scale : (above + side) * scale, before * scale : (before + side) * scale]
        return tuple(np.ascontiguousarray(part.transpose(2, 0, 1), np.float32) / 255 for part in (low, high))


def _planes(pictures: list[np.ndarray], device: str) -> Tensor:
    """All pixels of all pictures one after the other: (3, pixels), uint8."""
    flat = np.concatenate([picture.reshape(-1, 3) for picture in pictures])
    return torch.from_numpy(np.ascontiguousarray(flat.T)).to(device)

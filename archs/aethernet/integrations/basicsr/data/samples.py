"""Training samples that depend on where they stand in the training, and on nothing else.

BasicSR's augmentations draw from the global generators of Python, NumPy and torch. What a sample looks like then
depends on all that was drawn before, so a resumed run sees others; and workers are seeded alike in each epoch, so
they repeat themselves. Here each sample has a seed of its own, made from the run's seed, the epoch and its place in
the epoch. It is the same sample in a straight run and in a resumed one, with any number of workers.

Worker processes that are started afresh import this module first, so it imports no BasicSR.
"""

import contextlib
import random
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from aethernet.errors import DataError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.data.damage import SharedDamage, damaged_file

Draw = tuple[int, int, int]
"""The picture's index, the epoch, the place in the epoch counted over all ranks."""


class SizedDataset(Protocol):
    """A data set that knows its length, which torch's `Dataset` does not promise."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class SeededSamples(Dataset):
    """A training set whose items are asked for by `Draw`; a plain index gives the unseeded item.

    In the place of a damaged picture comes the next one that is not.
    """

    def __init__(self, dataset: SizedDataset, seed: int, damaged: SharedDamage | None = None) -> None:
        self.dataset = dataset
        self.seed = seed
        self.damaged = damaged or SharedDamage(len(dataset))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: int | Draw) -> dict:
        if isinstance(draw, int):
            return self.dataset[draw]
        index, epoch, place = draw
        return self.sound(index, self.seed, epoch, place)

    def sound(self, index: int, *entropy: int) -> dict:
        """The item at an index, or the next one that is not damaged, with the generators seeded from `entropy` if there is
        any."""
        for step in range(len(self)):
            at = (index + step) % len(self)
            if self.damaged.flags[at]:
                continue
            try:
                with seeded(*entropy) if entropy else contextlib.nullcontext():
                    return self.dataset[at]
            except Exception:
                if damaged_file(self.dataset, at) is None:
                    raise
                self.damaged.flags[at] = 1
        raise DataError("every picture of the training set is damaged")

    def __getattr__(self, name: str) -> object:
        return getattr(self.dataset, name)

    def __reduce__(self) -> tuple:
        # A worker started afresh (always on Windows and macOS) unpickles the arguments from left to right, and the
        # data set's class imports BasicSR, which needs the repairs first.
        return _rebuild, (_Repairs(), self.dataset, self.seed, self.damaged)


class _Repairs:
    """Unpickling it makes the start-up repairs."""

    def __reduce__(self) -> tuple:
        return compat.apply, ()


def _rebuild(repairs: object, dataset: SizedDataset, seed: int, damaged: SharedDamage) -> SeededSamples:
    return SeededSamples(dataset, seed, damaged)


@contextlib.contextmanager
def seeded(*entropy: int) -> Iterator[None]:
    """Seeds the CPU's generators from whole numbers, and restores them afterwards.

    With no workers the training's own generators are these. torch's is seeded without those of the GPUs.
    """
    seeds = np.random.SeedSequence(entropy).generate_state(3).tolist()
    with untouched():
        random.seed(seeds[0])
        np.random.seed(seeds[1])
        torch.default_generator.manual_seed(seeds[2])
        yield


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Whatever is drawn inside, the CPU's generators go on afterwards as if nothing had been."""
    states = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])

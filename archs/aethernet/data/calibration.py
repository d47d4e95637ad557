"""The pictures that calibration looks at: low-resolution inputs made from folders of high-resolution ones."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aethernet.checks import whole_number
from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.data.damaged import MOST_DAMAGED, Damaged
from aethernet.data.pictures import find_pictures, middle, read_rgb
from aethernet.errors import DataError, UsageError

LARGEST_SIDE = 192
"""Low-resolution pixels: more of one picture tells little new, and takes long in a large network."""


class CalibrationInputs:
    """An iterable of (N, C, H, W) inputs in [0, 1] from pictures that are spread evenly over the folders.

    Args:
        folders: of high-resolution pictures, which are reduced by MATLAB-like bicubic; the middle is taken of large ones.
        scale: of the network.
        channels: 3 (N is 1), or 1 for a grey network, which sees what it enlarges later: red, green and blue (N is 3).
        number: how many pictures at most.
        max_damaged: pictures that may be unreadable; they are left out when it comes to them. None is the default, where no
            option says so.

    Raises:
        DataError: no such folder, or no picture; while it is gone through, more damaged pictures or nothing else.
        UsageError: `number` below 1.
    """

    def __init__(
        self, folders: Sequence[Path], scale: int, channels: int, number: int, max_damaged: int | None = None
    ) -> None:
        whole_number("the number of pictures for calibration", number, 1, UsageError)
        found = [path for folder in folders for path in find_pictures(folder)]
        chosen = np.linspace(0, len(found) - 1, min(number, len(found))).round().astype(int)
        self.paths = [found[index] for index in chosen]
        self.scale, self.channels = scale, channels
        option = "--max-damaged" if max_damaged is not None else ""
        self.damaged = Damaged(MOST_DAMAGED if max_damaged is None else max_damaged, "the calibration", option)

    def __len__(self) -> int:
        """Pictures that are looked at: without those that were found damaged by now."""
        return len(self.paths) - len(self.damaged)

    def __iter__(self) -> Iterator[Tensor]:
        for path in self.paths:
            if path in self.damaged:
                continue
            try:
                img, _ = read_rgb(path)
            except DataError as error:
                self.damaged.leave_out([(path, str(error))])
                if not len(self):
                    raise DataError(
                        f"none of the pictures for calibration can be read ({len(self.paths)} in all), such as {self.paths[0]}"
                    ) from error
                continue
            img = middle(modcrop(img, self.scale), LARGEST_SIDE * self.scale, LARGEST_SIDE * self.scale)
            if not img.size:
                raise DataError(f"{path} is smaller than one low-resolution pixel at scale {self.scale}")
            lq = torch.from_numpy(bicubic_downsample(img, self.scale)).permute(2, 0, 1)[None] / 255.0
            yield lq if self.channels == 3 else lq.transpose(0, 1)

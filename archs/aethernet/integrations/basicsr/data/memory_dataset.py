"""A data set for BasicSR that keeps its pictures in memory, decoded.

BasicSR decodes a whole PNG file for each patch, which costs more time than a small network needs for training on it.

```yaml
datasets:
  train:
    name: photographs
    type: AetherMemoryDataset
    dataroot_gt: [datasets/DIV2K/HR, datasets/Flickr2K/HR]  # one folder or several
    dataroot_lq: ~  # made from dataroot_gt: MATLAB-like bicubic, rounded to 8 bits
    gt_size: 128
    use_hflip: true
    use_rot: true
    dataset_enlarge_ratio: 100
```
"""

import logging
import os
import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.data.damaged import Damaged
from aethernet.data.pictures import SUFFIXES, read_rgb
from aethernet.errors import DataError, OptionError
from aethernet.integrations.basicsr.data.damage import OPTION, most_damaged
from aethernet.integrations.basicsr.data.dataset_options import integer, is_grey, patch_size, phase, to_tensor
from aethernet.machine import cores
from aethernet.wording import how_many

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run


@dataclass(frozen=True)
class Pair:
    """A picture as it is kept: (3, H, W) RGB uint8, so that rows of a patch lie together, and its HR file.

    `detail` (H + 1, W + 1) sums up over the LR picture how much neighbouring pixels differ, from the top left corner:
    four of its numbers tell the detail of a patch. None where it is not needed.
    """

    path: str
    gt: np.ndarray
    lq: np.ndarray
    detail: np.ndarray | None = None


class AetherMemoryDataset(Dataset):
    """Pairs of GT patches and their LQ, cut from pictures that are read once; whole pictures outside of training.

    Memory: 3 bytes for each HR pixel and its share of LR. Every picture format that Pillow or OpenCV reads is taken; grey
    becomes RGB, 16 bits become 8. Only pictures right inside the folders count. Those smaller than a patch are
    skipped.

    Options beside BasicSR's own:
        dataroot_gt: a folder of HR pictures, or a list of folders.
        dataroot_lq: likewise, in the same order, with the same file names but for their endings. By default LR is
            made (MATLAB-like bicubic) of HR cut to multiples of `scale`.
        filename_tmpl: name of an LR file from that of its HR file, as in PairedImageDataset, such as "{}x4".
        gt_size: side of the square GT patch in pixels, a multiple of `scale`; needed for training.
        use_hflip, use_rot: flips and quarter turns in training, default off.
        color: `y` gives Y alone, for a network of one channel, as PairedImageDataset does. Default RGB.
        crops: positions that are drawn for each patch in training; the one with the most detail is taken. Default 1.
            Flat patches teach little: with 2 a short training was 0.07 dB better (docs/architecture.md).
        max_damaged: pictures that may be unreadable, which are named and left out; default 10.
        scale, phase: set by BasicSR.

    Raises:
        OptionError: an option is missing or out of its range, or a folder gives no picture to train on.
        DataError: a picture cannot be read, or a pair does not agree with the scale.
    """

    def __init__(self, opt: dict) -> None:
        self.opt = opt
        owner = type(self).__name__
        self.scale = integer(opt, "scale", owner=owner, minimum=1)
        self.is_train = phase(opt) == "train"
        if self.is_train:
            self.gt_size = patch_size(opt, self.scale, owner=owner, minimum=self.scale)
        self.grey = is_grey(opt, owner=owner)
        self.use_hflip, self.use_rot = bool(opt.get("use_hflip")), bool(opt.get("use_rot"))
        self.crops = integer(opt, "crops", owner=owner, minimum=1, default=1)
        files = paired_files(opt)
        name = opt.get("name", owner)
        with ThreadPoolExecutor(cores()) as pool:
            read = list(pool.map(self._read_or_tell, *zip(*files, strict=True)))
        pairs = [each for each in read if isinstance(each, Pair)]
        most = integer({"max_damaged": most_damaged(opt)}, "max_damaged", owner=owner, minimum=0)
        self.damaged = Damaged(most, "the training" if self.is_train else f"the figures of {name}", OPTION, logger)
        self.damaged.leave_out(each for each in read if not isinstance(each, Pair))
        if not pairs:
            raise DataError(f"{name}: every picture is damaged: give other folders")
        self.pairs = [pair for pair in pairs if not self.is_train or min(pair.gt.shape[1:]) >= self.gt_size]
        if len(self.pairs) < len(pairs):
            logger.info(f"{name}: {len(pairs) - len(self.pairs)} of {how_many(len(pairs), 'picture')} skipped, smaller than a "
                        f"patch of {self.gt_size}x{self.gt_size}.")  # fmt: skip
        if not self.pairs:
            raise OptionError(
                f"{name}: every picture ({len(pairs)} in all) is smaller than gt_size {self.gt_size}: lower it"
            )
        size = sum(pair.gt.nbytes + pair.lq.nbytes for pair in self.pairs)
        logger.debug(f"{name}: {how_many(len(self.pairs), 'picture')} in {size / 1e6:.0f} MB of memory.")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Tensor | str]:
        """`gt` (C, s H, s W) and `lq` (C, H, W): float32 in [0, 1], RGB or Y; `lq_path` and `gt_path`: the HR file."""
        pair = self.pairs[index]
        gt, lq = self._patch(pair) if self.is_train else (pair.gt, pair.lq)
        path = {"lq_path": pair.path, "gt_path": pair.path}
        return {"lq": to_tensor(lq, self.grey), "gt": to_tensor(gt, self.grey), **path}

    def _patch(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """A random patch as views. Python's generator decides, as in BasicSR, so that a resumed run sees the same."""
        side = self.gt_size // self.scale
        top, left = self._position(pair, side)
        hflip = self.use_hflip and random.random() < 0.5
        vflip = self.use_rot and random.random() < 0.5
        transpose = self.use_rot and random.random() < 0.5
        patches = []
        for picture, factor in ((pair.gt, self.scale), (pair.lq, 1)):
            y, x, length = top * factor, left * factor, side * factor
            patch = picture[:, y : y + length, x : x + length]
            patch = patch[:, :, ::-1] if hflip else patch
            patch = patch[:, ::-1] if vflip else patch
            patches.append(patch.transpose(0, 2, 1) if transpose else patch)
        return patches[0], patches[1]

    def _position(self, pair: Pair, side: int) -> tuple[int, int]:
        """Top and left of an LR patch: of `crops` random positions the one with the most detail."""
        height, width = pair.lq.shape[1:]
        drawn = [(random.randint(0, height - side), random.randint(0, width - side)) for _ in range(self.crops)]
        if pair.detail is None:
            return drawn[0]
        total = pair.detail
        return max(
            drawn,
            key=lambda at: (
                total[at[0] + side, at[1] + side] - total[at[0], at[1] + side]
                - total[at[0] + side, at[1]] + total[at]
            ),
        )  # fmt: skip

    def _read_or_tell(self, gt_path: Path, lq_path: Path | None) -> Pair | tuple[Path, str]:
        """The file that cannot be read, with the reason, is returned; the error of a pair that does not agree is raised."""
        path = gt_path
        try:
            gt = modcrop(read_rgb(gt_path)[0], self.scale)
            if lq_path is None:
                lq = bicubic_downsample(gt, self.scale)
            else:
                path = lq_path
                lq = read_rgb(lq_path)[0]
        except DataError as error:
            return path, str(error)
        if gt.shape[:2] != (lq.shape[0] * self.scale, lq.shape[1] * self.scale):
            raise DataError(
                f"{lq_path} of {lq.shape[1]}x{lq.shape[0]} does not belong to {gt_path} of {gt.shape[1]}x"
                f"{gt.shape[0]} at scale {self.scale}"
            )
        detail = summed_detail(lq) if self.is_train and self.crops > 1 else None
        return Pair(str(gt_path), _planes(gt), _planes(lq), detail)


def paired_files(opt: Mapping) -> list[tuple[Path, Path | None]]:
    """The HR files that the options name, each with its LR file; None where LR is to be made.

    Raises:
        OptionError: a folder that is missing or holds no picture, or pictures without a partner.
    """
    gt_folders, lq_folders = folders(opt, "dataroot_gt"), folders(opt, "dataroot_lq")
    if not gt_folders:
        raise OptionError("AetherMemoryDataset needs dataroot_gt: a folder of pictures, or a list of folders")
    if lq_folders and len(lq_folders) != len(gt_folders):
        raise OptionError(
            f"dataroot_lq names {how_many(len(lq_folders), 'folder')} and dataroot_gt {len(gt_folders)}: give one for each, or "
            "~ to have LR made"
        )
    if not lq_folders:
        return [(path, None) for folder in gt_folders for path in pictures_in(folder, "dataroot_gt")]
    template = str(opt.get("filename_tmpl") or "{}")
    pairs: list[tuple[Path, Path | None]] = []
    for gt_folder, lq_folder in zip(gt_folders, lq_folders, strict=True):
        partners = {path.stem: path for path in pictures_in(lq_folder, "dataroot_lq")}
        for path in pictures_in(gt_folder, "dataroot_gt"):
            name = template.replace("{}", path.stem, 1)
            if name not in partners:
                raise OptionError(f"dataroot_lq: {lq_folder} has no picture named {name} for {path}")
            pairs.append((path, partners[name]))
    return pairs


def folders(opt: Mapping, key: str) -> list[Path]:
    """The folders that an option names: one, several, or none (`~`)."""
    value = opt.get(key)
    listed = value if isinstance(value, list | tuple) else [] if value is None else [value]
    if not all(isinstance(each, str) and each for each in listed) or (value is not None and not listed):
        raise OptionError(f"{key} must be a folder or a list of folders, not {value!r}")
    return [Path(each) for each in listed]


def pictures_in(folder: Path, key: str) -> list[Path]:
    """The picture files right inside a folder, in a stable order; hidden ones do not count."""
    if not folder.is_dir():
        below = "" if folder.is_absolute() else f" (below the current folder {os.getcwd()})"
        raise OptionError(f"{key}: {folder} is not a folder{below}")
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file()
        )
    if not names:
        raise OptionError(f"{key}: no picture right inside {folder}; give the folder that holds the files")
    return [folder / name for name in names]


def summed_detail(lq: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H + 1, W + 1) float64: the absolute differences to the left and upper pixel, summed up."""
    grey = lq.mean(axis=2)
    differences = np.zeros_like(grey)
    differences[:, 1:] += np.abs(np.diff(grey, axis=1))
    differences[1:] += np.abs(np.diff(grey, axis=0))
    return np.pad(differences.cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _planes(img: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(img.transpose(2, 0, 1))

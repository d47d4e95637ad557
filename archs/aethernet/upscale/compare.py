"""A picture that shows what enlarging did: bicubic, the model, and the original where there is one, with their PSNR."""

import os
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from aethernet.data.bicubic import bicubic_upscale
from aethernet.data.picture.color import space_of
from aethernet.data.picture.depth import as_depth
from aethernet.data.picture.picture import Metadata, Picture
from aethernet.data.picture.reading import read_picture
from aethernet.data.picture.writing import write_picture
from aethernet.data.pictures import find_pictures, over_white
from aethernet.errors import DataError, OutputError
from aethernet.files import temporaries
from aethernet.plots.detail import most_detailed
from aethernet.plots.panels import Row, fitted, framed, magnified, side_by_side
from aethernet.quality.metrics import y_psnr
from aethernet.upscale.outputs import comparison_path

PANEL = 384
"""Pixels of a panel's side, at most: three of them fit a page."""
BICUBIC, ORIGINAL = "bicubic", "original"
ROWS, REACH = 256, 4
"""Input rows that are enlarged at once by bicubic, and those around them that it looks at."""


def comparison(
    lr: np.ndarray,
    result: np.ndarray,
    original: np.ndarray | None = None,
    *,
    name: str = "AetherNet",
    aspect: Fraction | None = None,
) -> np.ndarray:
    """The whole picture and its most detailed place, enlarged by bicubic and by a model, beside the original.

    The place is shown pixel by pixel, or each pixel as a small square where the picture is small. PSNR is that of the whole
    picture's Y channel, a border of `scale` pixels left out, as `aethernet bench quality` has it.

    Args:
        lr: (H, W, 3) RGB uint8, what was enlarged.
        result: (scale H, scale W, 3) RGB uint8.
        original: as `result`, or larger by the pixels that reducing it by `scale` left over at the right and the bottom.
        name: of the model, for its title.
        aspect: of a pixel, its width over its height, where it is shown as no square: all are stretched, as players do it.

    Returns:
        (h, w, 3) RGB uint8, about 800 pixels wide, 1200 with an original.

    Raises:
        DataError: sizes that do not belong together.
    """
    height, width = lr.shape[:2]
    scale = max(1, result.shape[0] // height)
    if result.shape != (height * scale, width * scale, 3):
        raise DataError(f"a result of {_size(result)} is no multiple of a picture of {_size(lr)}")
    pictures = {BICUBIC: bicubic_rows(lr, scale), name: result}
    if original is not None:
        pictures[ORIGINAL] = _fitting(original, result, scale)
    titles = [_title(key, img, pictures.get(ORIGINAL), scale) for key, img in pictures.items()]
    caption = f"{width * scale} x {height * scale} pixels"
    if aspect not in (None, 1):
        lr = stretched(lr, aspect)
        pictures = {
            key: stretched(img, aspect, (lr.shape[1] * scale, lr.shape[0] * scale)) for key, img in pictures.items()
        }
        caption += f" as {lr.shape[1] * scale} x {lr.shape[0] * scale}"
    return side_by_side(titles, _rows(lr, pictures, scale, caption))


def stretched(img: np.ndarray, aspect: Fraction, size: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W, 3) uint8 with square pixels: wider where they are wide, else higher, so that none is lost.

    Args:
        aspect: of a pixel, its width over its height.
        size: width and height, where rounding is settled already.
    """
    height, width = img.shape[:2]
    if size is None:
        size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return np.asarray(Image.fromarray(img).resize(size, Image.Resampling.BICUBIC))


def _rows(lr: np.ndarray, pictures: Mapping[str, np.ndarray], scale: int, size: str) -> list[Row]:
    height, width = lr.shape[0] * scale, lr.shape[1] * scale
    longest = max(height, width)
    wholes = [fitted(img, PANEL) for img in pictures.values()]
    if longest <= PANEL // 2:
        return [Row(wholes, f"{size}{_as_squares(PANEL // longest)}")]
    factor = max(1, min(PANEL // 64, -(-2 * PANEL // longest)))  # the place is at most about half of the picture
    side = PANEL // factor // scale
    rows, columns = min(side, lr.shape[0]), min(side, lr.shape[1])
    top, left = most_detailed(lr, rows, columns)
    place = np.s_[top * scale : (top + rows) * scale, left * scale : (left + columns) * scale]
    shown = wholes[0].shape[0] / height
    box = [shown * scale * length for length in (top, left, top + rows, left + columns)]
    return [
        Row([framed(img, *box) for img in wholes], f"the whole, {size}{'' if longest <= PANEL else ', shown smaller'}"),
        Row([magnified(img[place], factor) for img in pictures.values()],
            f"where there is most detail{_as_squares(factor) or ', pixel by pixel'}"),
    ]  # fmt: skip


def _as_squares(factor: int) -> str:
    return "" if factor == 1 else f", each pixel as {factor} x {factor}"


def _title(key: str, img: np.ndarray, original: np.ndarray | None, scale: int) -> str:
    if original is None or img is original or min(img.shape[:2]) <= 2 * scale:
        return key
    decibel = y_psnr(img, original, crop_border=scale)
    return f"{key}, equal" if decibel == float("inf") else f"{key}, {decibel:.2f} dB"


def _fitting(original: np.ndarray, result: np.ndarray, scale: int) -> np.ndarray:
    beyond = [own - wanted for own, wanted in zip(original.shape[:2], result.shape[:2], strict=True)]
    if not all(0 <= pixels < scale for pixels in beyond):
        raise DataError(f"an original of {_size(original)} does not belong to a result of {_size(result)}")
    return original[: result.shape[0], : result.shape[1]]


def _size(img: np.ndarray) -> str:
    return f"{img.shape[1]}x{img.shape[0]}"


def bicubic_rows(lr: np.ndarray, scale: int) -> np.ndarray:
    """`bicubic_upscale` of (H, W, C) uint8, some rows at a time: of the whole only the result is in memory."""
    height, width, channels = lr.shape
    out = np.empty((height * scale, width * scale, channels), np.uint8)
    for first in range(0, height, ROWS):
        last = min(first + ROWS, height)
        start = max(0, first - REACH)
        part = bicubic_upscale(lr[start : last + REACH], scale)
        out[first * scale : last * scale] = part[(first - start) * scale : (last - start) * scale]
    return out


def write_comparison(
    target: str | Path,
    source: Picture,
    result: Picture,
    original: Picture | None = None,
    *,
    name: str = "AetherNet",
    aspect: Fraction | None = None,
) -> None:
    """Writes `comparison` of pictures of any kind as a PNG, with the colour profile of the result; transparent on white.

    Raises:
        DataError: as `comparison`. OutputError: the disk does not take it.
    """
    originals = None if original is None else _rgb8(original)
    drawn = comparison(_rgb8(source), _rgb8(result), originals, name=name, aspect=aspect)
    icc = result.metadata.icc if space_of(result.metadata.icc) == "RGB" else None
    write_picture(target, Picture(drawn, metadata=Metadata(icc=icc)))


class Comparing:
    """Writes a comparison beside each result of a run: `photo_x4_compare.png` beside `photo_x4.jpg`. For several threads.

    Args:
        name: of the model.
        originals: a file, or a folder; see `original_of`.
        force: overwrite comparisons that exist.
    """

    def __init__(self, name: str, originals: str | Path | None = None, *, force: bool = False) -> None:
        self._name, self._originals, self._force = name, originals, force
        self._taken: dict[Path, Path] = {}

    def __call__(self, source: str | Path, target: str | Path, lr: Picture, result: Picture) -> list[str]:
        """What the user should know of it; a comparison that fails is told, and no error."""
        path = comparison_path(target)
        if self._taken.setdefault(path, Path(target)) != Path(target):  # photo.png beside photo.jpg
            path = comparison_path(f"{Path(target).with_suffix('')}_{Path(target).suffix.removeprefix('.')}.png")
        for left in temporaries(path.parent, [path.name]):  # by a killed process, for the result is this one's to make
            left.unlink(missing_ok=True)
        if os.path.exists(path) and not self._force:
            return [f"{path} exists and is kept; --force overwrites it"]
        scale, notes, original = result.size[0] // lr.size[0], [], None
        try:
            if self._originals is not None:
                found = original_of(source, self._originals, scale)
                original = None if found is None else read_original(found)
                notes = [] if found else [f"no original of it in {self._originals}"]
            write_comparison(path, lr, result, original, name=self._name)
        except (DataError, OutputError) as error:
            return [f"no comparison: {error}"]
        return notes


def original_of(source: str | Path, originals: str | Path, scale: int) -> Path | None:
    """The original of a reduced picture: `originals` itself if it is a file, else the file of its name below that folder.

    Endings may differ, and the names of reduced pictures may end in x4, _x4 or _LRBI_x4, as those of public sets do. Of
    several the one in a folder of the same name counts. None where there is none.

    Raises:
        DataError: no such file or folder, or several files of that name.
    """
    originals, source = Path(originals), Path(source)
    if originals.is_file():
        return originals
    names = (source.stem, re.sub(rf"(_LRBI)?_?x{scale}$", "", source.stem))
    found = [path for path in find_pictures(originals) if path.stem in names]
    if len(found) > 1:
        folders = source.absolute().parent.parts
        places = [path.parent.relative_to(originals).parts for path in found]
        found = [
            path for path, place in zip(found, places, strict=True) if folders[len(folders) - len(place) :] == place
        ]
        deepest = max((len(path.parts) for path in found), default=0)
        found = [path for path in found if len(path.parts) == deepest]
    if len(found) > 1:
        raise DataError(f"{originals} holds {found[0].name} and {found[1].name}: which is the original of {source}?")
    return found[0] if found else None


def read_original(path: str | Path) -> Picture:
    """Raises `DataError` for an animation, and as `read_picture`."""
    opened = read_picture(path)
    if not isinstance(opened, Picture):
        raise DataError(f"{path} is an animation: an original must be one picture")
    return opened


def _rgb8(picture: Picture) -> np.ndarray:
    """(H, W, 3) uint8; grey as three equal channels, transparent pixels laid over white."""
    color = as_depth(picture.color, 8)
    if picture.alpha is not None and picture.is_transparent:
        color = over_white(color, as_depth(picture.alpha, 8)[:, :, None])
    return np.broadcast_to(color, (*color.shape[:2], 3)) if color.shape[2] == 1 else color

"""Pictures to train and to measure on: found in folders, read as 8-bit RGB, written as PNG files whole or not at all.

What has 8 bits a sample is read by Pillow: its JPEG and WebP pixels equal those of OpenCV, and so of BasicSR, bit for bit
(Pillow 11.2 and 13.0, OpenCV 4.5 and 5.0: one decoder in both), but for CMYK, off by two levels at most.
"""

import io
import logging
from pathlib import Path

import numpy as np
from PIL import Image

from aethernet.data.picture import orientation
from aethernet.data.picture.decoding import OPENCV_PIXELS, decode, file_bytes, memory_named, open_header, orientation_of
from aethernet.data.picture.depth import ROWS, as_depth
from aethernet.data.walk import walk
from aethernet.errors import DataError
from aethernet.files import write_bytes

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {
        ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
        ".pic", ".png", ".pnm", ".ppm", ".pxm", ".ras", ".sr", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""Endings, in lower case, of files that are taken for pictures."""

NOT_PILLOW = frozenset({".exr", ".hdr", ".pic", ".pxm", ".ras", ".sr"})
"""Those of them that OpenCV alone knows."""

PNG_COMPRESSION = 3  # BasicSR's choice for sub-images: near the smallest size at a fraction of level 9's time

MOST_PIXELS = OPENCV_PIXELS
"""Of a picture that `read_rgb` reads: training data is the user's own."""


def find_pictures(directory: str | Path) -> list[Path]:
    """All picture files below a folder, hidden ones and those in hidden folders excepted, in a stable order. Links are
    followed, and every folder is searched once.

    Raises:
        DataError: there is no such folder, or no picture in it; or a folder below it cannot be read.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder: give the folder that holds the pictures")
    found = []
    for each in walk(directory, lambda path: path.suffix.lower() in SUFFIXES):
        if each.problem:
            raise DataError(f"{each.path} {each.problem}: make it readable, or move it away")
        if each.path.is_file():
            found.append(each.path)
        else:
            logger.warning("%s is a link that leads nowhere, and is left out", each.path)
    if not found:
        raise DataError(f"no picture below {directory}; known endings: {' '.join(sorted(SUFFIXES))}")
    return sorted(found)


def read_rgb(path: str | Path) -> tuple[np.ndarray, list[str]]:
    """Reads a picture and makes it 8-bit RGB.

    Returns:
        (H, W, 3) RGB uint8, and what had to be done for that, such as "16-bit made 8-bit". Transparent pixels are
        laid over white, because the colours under them are arbitrary. EXIF orientation is obeyed in every format.

    Raises:
        DataError: the file cannot be read, is cut off, or holds samples that are neither 8 nor 16 bits wide.
        LackOfMemory: too little memory for it.
        MissingDependencyError: it takes OpenCV (16-bit colour), which does not load.
    """
    with memory_named():
        return _to_rgb8(decode(file_bytes(path, MOST_PIXELS), MOST_PIXELS))


def write_png(path: str | Path, img: np.ndarray) -> None:
    """Writes (H, W, 3) RGB uint8 as PNG, atomically and from any thread. Raises `OSError` where the disk does."""
    write_bytes(path, png_bytes(img))


def png_bytes(img: np.ndarray, compression: int = PNG_COMPRESSION) -> bytes:
    """(H, W, 3) RGB uint8 as the content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(img).save(buffer, "PNG", compress_level=compression)
    return buffer.getvalue()


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height as `read_rgb` will give them, from the header; None where Pillow cannot tell.

    EXIF behind the pixels of a PNG, where few programs put it, is not seen.

    Raises:
        OSError: not a readable picture.
    """
    if path.suffix.lower() in NOT_PILLOW:
        return None
    with open_header(path) as image:
        if image.format == "TIFF":  # whose turn is part of the size in newer releases of Pillow only
            tags = image.tag_v2  # type: ignore[attr-defined]
            width, height, turn = tags[256], tags[257], tags.get(orientation.TAG, 1)
        else:
            (width, height), turn = image.size, orientation_of(image)
    return (height, width) if turn >= 5 else (width, height)


def middle(img: np.ndarray, height: int, width: int) -> np.ndarray:
    """The (height, width) middle of a picture (H, W[, C]); a side that is shorter stays whole."""
    top, left = (max(0, own - wanted) // 2 for own, wanted in zip(img.shape[:2], (height, width), strict=True))
    return img[top : top + height, left : left + width]


def _to_rgb8(img: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(H, W[, 1 to 4]) in the order RGB, uint8 or uint16 -> (H, W, 3) RGB uint8, and what was done."""
    notices = []
    if img.dtype == np.uint16:
        img = as_depth(img, 8)
        notices.append("16-bit made 8-bit")
    if img.dtype != np.uint8:
        raise DataError(f"it holds {img.dtype} samples: convert it to 8 or 16 bits a channel")
    img = img.reshape(*img.shape[:2], -1)
    channels = img.shape[2]
    if channels in (2, 4):
        img, alpha = img[:, :, :-1], img[:, :, -1:]
        if (alpha < 255).any():
            img = over_white(img, alpha)
            notices.append("transparency laid over white")
        else:
            notices.append("opaque alpha channel dropped")
    if channels in (1, 2):
        img = np.repeat(img, 3, axis=2)
        notices.append("grey made RGB")
    elif channels not in (3, 4):
        raise DataError(f"it has {channels} channels: 1 to 4 can be used")
    return np.ascontiguousarray(img), notices


def over_white(img: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8 by its alpha (H, W, 1) over white, some rows at a time, so that only they are held as floats."""
    blended = np.empty_like(img)
    for top in range(0, len(img), ROWS):
        rows = slice(top, top + ROWS)
        weight = alpha[rows].astype(np.float32) / 255
        blended[rows] = (img[rows] * weight + 255 * (1 - weight)).round()
    return blended

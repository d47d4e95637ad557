"""TIFF files of 8 and 16 bits with all that a picture says, by tifffile; over 4 GB as BigTIFF."""

import zlib
from collections.abc import Iterable
from typing import IO, Any, Literal

import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from aethernet.data.picture import exif, tiff
from aethernet.data.picture.picture import Metadata
from aethernet.data.picture.strips import regrouped

BYTE, ASCII, LONG, UNDEFINED, LONG8 = 1, 2, 4, 7, 16  # types of tags
CLASSIC = 2**32 - 2**25
"""Bytes of pixels from which BigTIFF is written: a TIFF ends at 4 GB, and compressed pixels may grow."""
FREE = 1
"""tifffile does not write the tags of EXIF's directories: the next number, which nothing uses, keeps their place."""
COMPRESSION = 1  # as of PNG: higher levels take several times as long for a few percent
STRIP = 2**18  # bytes, uncompressed: readers need one at a time


def write(file: IO[bytes], color: np.ndarray, alpha: np.ndarray | None, metadata: Metadata) -> None:
    """Writes (H, W, 1 or 3) and (H, W), uint8 or uint16."""
    samples = color if alpha is None else np.dstack([color, alpha])
    write_strips(file, [samples], samples.shape, 8 * samples.itemsize, metadata)


def write_strips(
    file: IO[bytes], strips: Iterable[np.ndarray], shape: tuple[int, ...], depth: int, metadata: Metadata
) -> None:
    """Writes strips (h, W, 1 to 4) of uint8 or uint16, alpha last, compressed by deflate, which every reader knows.

    Args:
        shape: height, width and channels of the whole.
        depth: 8 or 16.
    """
    height, width, channels = shape
    kind = np.dtype(np.uint8 if depth == 8 else np.uint16)
    is_big = height * width * channels * kind.itemsize >= CLASSIC
    tags, directories = _exif_tags(metadata.exif, (width, height))
    extra: list[tuple[int, int, int, Any, bool]] = [(tag, ASCII, 0, text, True) for tag, text in tags.items()]
    extra += [(tag + FREE, LONG8 if is_big else LONG, 1, 0, True) for tag in directories]
    for tag, type, content in ((tiff.ICC, UNDEFINED, metadata.icc), (tiff.XMP, BYTE, metadata.xmp)):
        if content is not None:
            extra.append((tag, type, len(content), content, True))
    rows = max(1, STRIP // (width * channels * kind.itemsize))
    offset = file.tell()
    tifffile.imwrite(
        file,
        (_packed(strip) for strip in regrouped(strips, rows)),
        shape=(height, width) if channels == 1 else shape,
        dtype=kind,
        bigtiff=is_big,
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        compressionargs={"level": COMPRESSION},
        predictor=True,
        rowsperstrip=rows,
        resolution=metadata.dpi,
        resolutionunit=None if metadata.dpi is None else "INCH",
        software=False,
        metadata=None,
        extratags=extra,
        maxworkers=1,
    )
    if directories:
        _append(file, offset, directories, is_big)


def _packed(strip: np.ndarray) -> bytes:
    """(h, W, C), each sample as its difference to the same of the pixel on its left, compressed."""
    differences = strip.copy()
    differences[:, 1:] -= strip[:, :-1]
    return zlib.compress(differences.data, COMPRESSION)


def _exif_tags(block: bytes | None, size: tuple[int, int]) -> tuple[dict[int, str], dict[int, dict[int, Any]]]:
    """The texts that describe the picture, and the directories of the shot and of the place."""
    if block is None:
        return {}, {}
    found = Image.Exif()
    try:
        found.load(exif.PREFIX + exif.resized(block, *size))
        tags = {tag: str(found[tag]) for tag in tiff.DESCRIPTIVE if tag in found}
        directories = {tag: dict(found.get_ifd(tag)) for tag in tiff.DIRECTORIES}
    except Exception:  # damaged EXIF beside sound pixels
        return {}, {}
    texts = {tag: text.encode("ascii", "replace").decode() for tag, text in tags.items()}
    return texts, {tag: directory for tag, directory in directories.items() if directory}


def _append(file: IO[bytes], start: int, directories: dict[int, dict[int, Any]], is_big: bool) -> None:
    """Puts EXIF's directories behind the pixels, and their places into the tags that were kept free for them.

    BigTIFF counts with 8 bytes what TIFF does with 4, and a directory's entries with 8 instead of 2.
    """
    number, counter, entry_size, header_size = (8, 8, 20, 16) if is_big else (4, 2, 12, 8)
    file.seek(start)
    header = file.read(header_size)
    order: Literal["little", "big"] = "little" if header[:2] == b"II" else "big"
    first = int.from_bytes(header[-number:], order)
    file.seek(start + first)
    count = int.from_bytes(file.read(counter), order)
    entries = [file.read(entry_size) for _ in range(count)]
    for index, entry in enumerate(entries):
        tag = int.from_bytes(entry[:2], order) - FREE
        if tag not in directories:
            continue
        end = file.seek(0, 2) - start
        place = end + end % 2
        directory = ImageFileDirectory_v2(header[:-number] + bytes(number))
        for name, value in directories[tag].items():
            directory[name] = value
        file.write(bytes(place - end) + directory.tobytes(place))
        file.seek(start + first + counter + entry_size * index)
        file.write(tag.to_bytes(2, order) + entry[2:-number] + place.to_bytes(number, order))
    file.seek(0, 2)

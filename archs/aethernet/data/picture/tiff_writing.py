"""TIFF files of 8 and 16 bits with all that a picture says, by tifffile; over 4 GB as BigTIFF."""

from typing import IO, Any, Literal

import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from aethernet.data.picture import exif, tiff
from aethernet.data.picture.picture import Metadata

BYTE, ASCII, LONG, UNDEFINED = 1, 2, 4, 7  # types of tags
CLASSIC = 2**32 - 2**25  # the size from which tifffile writes BigTIFF, whose directories have another form
FREE = (
    1  # tifffile does not write the tags of EXIF's directories: the next number, which nothing uses, keeps their place
)
STRIP = 2**18  # bytes, uncompressed: readers need one at a time


def write(file: IO[bytes], color: np.ndarray, alpha: np.ndarray | None, metadata: Metadata) -> None:
    """Writes (H, W, 1 or 3) and (H, W), uint8 or uint16, compressed by deflate, which every reader knows."""
    samples = color if alpha is None else np.dstack([color, alpha])
    height, width, channels = samples.shape
    tags, directories = _exif_tags(metadata.exif, (width, height))
    if samples.nbytes >= CLASSIC:
        directories = {}
    extra: list[tuple[int, int, int, Any, bool]] = [(tag, ASCII, 0, text, True) for tag, text in tags.items()]
    extra += [(tag + FREE, LONG, 1, 0, True) for tag in directories]
    for tag, kind, content in ((tiff.ICC, UNDEFINED, metadata.icc), (tiff.XMP, BYTE, metadata.xmp)):
        if content is not None:
            extra.append((tag, kind, len(content), content, True))
    offset = file.tell()
    tifffile.imwrite(
        file,
        samples[:, :, 0] if channels == 1 else samples,
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if alpha is not None else None,
        compression="zlib",
        predictor=True,
        rowsperstrip=max(1, STRIP // (width * channels * samples.itemsize)),
        resolution=metadata.dpi,
        resolutionunit=None if metadata.dpi is None else "INCH",
        software=False,
        metadata=None,
        extratags=extra,
        maxworkers=1,
    )
    if directories:
        _append(file, offset, directories)


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


def _append(file: IO[bytes], start: int, directories: dict[int, dict[int, Any]]) -> None:
    """Puts EXIF's directories behind the pixels, and their places into the tags that were kept free for them."""
    file.seek(start)
    header = file.read(8)
    order: Literal["little", "big"] = "little" if header[:2] == b"II" else "big"
    first = int.from_bytes(header[4:], order)
    file.seek(start + first)
    count = int.from_bytes(file.read(2), order)
    entries = [file.read(12) for _ in range(count)]
    for number, entry in enumerate(entries):
        tag = int.from_bytes(entry[:2], order) - FREE
        if tag not in directories:
            continue
        end = file.seek(0, 2) - start
        place = end + end % 2
        directory = ImageFileDirectory_v2(header[:4] + bytes(4))
        for name, value in directories[tag].items():
            directory[name] = value
        file.write(bytes(place - end) + directory.tobytes(place))
        file.seek(start + first + 2 + 12 * number)
        file.write(tag.to_bytes(2, order) + entry[2:8] + place.to_bytes(4, order))
    file.seek(0, 2)

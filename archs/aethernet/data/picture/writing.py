"""Writing a picture with all that its file said: `write_picture`."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from aethernet.checks import is_whole
from aethernet.data.picture import exif, png, tiff_writing
from aethernet.data.picture.color import space_of, to_srgb
from aethernet.data.picture.depth import as_depth
from aethernet.data.picture.formats import NAMES, Output, output_format
from aethernet.data.picture.picture import Metadata, Picture
from aethernet.data.picture.strips import Strips
from aethernet.errors import DataError, UsageError, one_line
from aethernet.files import atomic_path
from aethernet.wording import how_many

QUALITY = {"jpg": 95, "webp": 95, "avif": 90}
LOSSLESS = 100  # the quality at which WebP is written without loss
EFFORT = 75  # what its encoder's quality then means: more takes far longer for little

SEGMENT = 65_533  # the most bytes that a JPEG holds of EXIF, and with their prefix of XMP
XMP_PREFIX = 29


def write_picture(
    target: str | Path | IO[bytes],
    picture: Picture,
    *,
    format: str = "same",
    quality: int | None = None,
    depth: int | str = "same",
) -> tuple[str, ...]:
    """Writes a picture; a path whole or not at all. Colour profile, EXIF, XMP and resolution go with it.

    Args:
        target: a path, or a binary file open for writing.
        picture: of any type of samples; its size may be another than that of the file it came from.
        format: `png`, `jpg`, `webp`, `tiff`, `avif` or `same`, that of the source.
        quality: 1 to 100, for JPEG (95), WebP (95; 100 is without loss, and the default if the source's was) and AVIF (90).
        depth: 8, 16 or `same`, `picture.depth`.

    Returns:
        What could not be kept, in plain words.

    Raises:
        UsageError: an unknown format, depth or quality.
        DataError: the format cannot hold the picture; `output_format` tells it beforehand, and what to take instead.
        OutputError: the disk does not take it. OSError: the file that is open for writing does not.
    """
    output = settled(picture, format, quality, depth)
    notices = [output.notice] if output.notice else []
    color = as_depth(picture.color, output.depth)
    alpha = None if picture.alpha is None or output.format == "jpg" else as_depth(picture.alpha, output.depth)
    with opened(target) as file:
        if output.format == "tiff":
            tiff_writing.write(file, color, alpha, picture.metadata)
        elif output.format == "png":
            for part in _png(color, alpha, picture.metadata):
                file.write(part)
        else:
            save_with_pillow(file, pillow_image(color, alpha), picture.metadata, output.format, quality, notices)
    return tuple(notices)


def settled(picture: Picture | Strips, format: str, quality: int | None, depth: int | str) -> Output:
    """The format to write a picture in; raises as `write_picture` does."""
    output = output_format(
        picture.size, source=picture.format, source_depth=picture.depth, alpha=picture.is_transparent,
        format=format, depth=depth,
    )  # fmt: skip
    if format == "same" and output.format != NAMES.get(picture.format):
        raise DataError(f"{output.notice}: ask for it, format {output.format}")
    if quality is not None and not (is_whole(quality, 1) and quality <= 100):
        raise UsageError(f"quality must be a whole number from 1 to 100, not {quality!r}")
    return output


def save_with_pillow(
    file: IO[bytes],
    image: Image.Image,
    metadata: Metadata,
    format: str,
    quality: int | None,
    notices: list[str],
    size: tuple[int, int] | None = None,
    **options: object,
) -> None:
    """Writes 8 bits as JPEG, WebP or AVIF, and adds to `notices` what could not be kept. Raises `DataError`.

    `size` is what EXIF says, by default the image's.
    """
    image, icc = _in_space_of(image, metadata.icc, format)
    block = None if metadata.exif is None else exif.PREFIX + exif.resized(metadata.exif, *(size or image.size))
    packet = metadata.xmp
    if format == "jpg":
        if block and len(block) > SEGMENT:
            notices.append(f"EXIF left out: its {how_many(len(block), 'byte')} are more than a JPEG holds")
            block = None
        if packet and len(packet) + XMP_PREFIX > SEGMENT:
            notices.append(f"XMP left out: its {how_many(len(packet), 'byte')} are more than a JPEG holds")
            packet = None
    quality = quality_of(format, quality, metadata)
    how: dict[str, object] = {"quality": quality, **options}
    if format == "jpg":
        how["subsampling"] = 0  # full resolution of colour, which is what was enlarged
    if format == "webp":
        how |= {"lossless": quality == LOSSLESS, "exact": True}  # colours under transparent pixels stay
        how["quality"] = EFFORT if quality == LOSSLESS else quality
    if format == "avif":
        how["subsampling"] = "4:4:4"
    for key, value in (("icc_profile", icc), ("exif", block), ("xmp", packet), ("dpi", metadata.dpi)):
        if value is not None:
            how[key] = value
    try:
        image.save(file, {"jpg": "JPEG", "webp": "WEBP", "avif": "AVIF"}[format], **how)
    except Exception as error:  # encoders raise anything
        if isinstance(error, OSError) and error.errno is not None:  # the disk
            raise
        raise DataError(f"Pillow cannot write it as {format}: {one_line(error)}") from error


def quality_of(format: str, quality: int | None, metadata: Metadata) -> int:
    """The quality to write JPEG, WebP or AVIF with; None for none that was asked for."""
    if quality is None and format == "webp" and metadata.is_lossless:
        return LOSSLESS
    return QUALITY[format] if quality is None else quality


def pillow_image(color: np.ndarray, alpha: np.ndarray | None) -> Image.Image:
    """(H, W, 1 or 3) and (H, W) uint8 as an image."""
    samples = color if alpha is None else np.dstack([color, alpha])
    return Image.fromarray(np.ascontiguousarray(samples[:, :, 0] if samples.shape[2] == 1 else samples))


def _in_space_of(image: Image.Image, icc: bytes | None, format: str) -> tuple[Image.Image, bytes | None]:
    """WebP and AVIF hold grey as colour only: a grey picture's profile is applied where it would not fit any more."""
    if format not in ("webp", "avif") or space_of(icc) != "grey":
        return image, icc
    converted = to_srgb(image.convert("L"), icc)
    if "A" in image.getbands():
        converted.putalpha(image.getchannel("A"))
    return converted, None


def _png(color: np.ndarray, alpha: np.ndarray | None, metadata: Metadata) -> Iterator[bytes]:
    """The file in parts."""
    added = png_chunks(metadata, (color.shape[1], color.shape[0]))
    samples = color if alpha is None else np.dstack([color, alpha])
    return png.encode([samples], samples.shape, 8 * samples.dtype.itemsize, added)


def png_chunks(metadata: Metadata, size: tuple[int, int]) -> list[tuple[bytes, bytes]]:
    """What a PNG of this size says beside its pixels."""
    added = list(metadata.png_color)
    if metadata.icc is not None:
        added = [chunk for chunk in added if chunk[0] != b"sRGB"] + [png.profile(metadata.icc)]
    if metadata.dpi is not None:
        added.append(png.resolution(metadata.dpi))
    if metadata.exif is not None:
        added.append((b"eXIf", exif.resized(metadata.exif, *size)))
    if metadata.xmp is not None:
        added.append(png.xmp(metadata.xmp))
    return added


@contextlib.contextmanager
def opened(target: str | Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """A file to write, to read and to seek in; it becomes `target` at the end, or nothing does."""
    if isinstance(target, str | Path):
        with atomic_path(target) as temporary, open(temporary, "wb+") as file:
            yield file
    else:
        buffer = io.BytesIO()
        yield buffer
        target.write(buffer.getbuffer())

"""The pixels of one picture file, from its bytes: upright, as many bits as it holds, and no more memory than was allowed.

Pillow decodes what has 8 bits a sample and 16-bit grey; OpenCV 16-bit colour, of which Pillow keeps 8 bits; tifffile the
16-bit TIFF files that neither reads rightly.
"""

import contextlib
import functools
import io
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from aethernet.data.opencv import opencv
from aethernet.data.picture import exif, orientation, png, tiff
from aethernet.data.picture.color import to_srgb
from aethernet.errors import DataError, LackOfMemory, MissingDependencyError, one_line

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "DIB", "JPEG2000", "PPM", "MPO", "ICO", "SUN")
"""Pillow's names of what it may open. Others are left out: it opens EPS by starting Ghostscript."""

ENDINGS = frozenset(
    {
        ".apng", ".avif", ".avifs", ".bmp", ".dib", ".gif", ".ico", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe",
        ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".ras", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""Those of such files, in lower case."""

UNKNOWN_FORMAT = (
    "not a picture of a known format: PNG, JPEG, WebP, TIFF, AVIF, GIF, BMP, JPEG 2000, PPM, ICO, Sun raster"
)

OPENCV_PIXELS = 2**30
"""What OpenCV refuses to go beyond, whatever a file declares."""

GREY_16 = ("I", "I;16", "I;16L", "I;16B")  # Pillow's modes of 16-bit grey, whose samples it keeps

PART = 2**20  # bytes of a stream that are read at once
_LIMIT = threading.Lock()


def file_bytes(source: str | Path | bytes | IO[bytes], most_pixels: int) -> bytes:
    """The content of a file, a path or one that is open, or the bytes given.

    Raises:
        DataError: it cannot be read, is empty, is cut off, or is larger than any picture of `most_pixels` pixels.
    """
    try:
        data = source if isinstance(source, bytes) else _read(source, most_pixels)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise DataError("the file is empty")
    if is_cut_off(data):
        raise DataError("the file is cut off: its end is missing")
    return data


def open_header(file: Path | io.BytesIO) -> Image.Image:
    """Pillow's image of a file of which only the header was read, of any size.

    Raises:
        OSError, ValueError: not a picture that Pillow knows.
    """
    with _LIMIT:  # Pillow's limit is a global of its module; only headers are read without it
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=_formats())
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def open_picture(data: bytes, most_pixels: int) -> Image.Image | None:
    """Pillow's image of which only the header was read; None where the file is none that Pillow knows.

    Raises:
        DataError: it declares more than `most_pixels` pixels, or its header is damaged.
    """
    try:
        image = open_header(io.BytesIO(data))
    except UnidentifiedImageError:
        return None
    except MemoryError:
        raise
    except Exception as error:  # damaged files make Pillow raise anything
        raise DataError(f"Pillow cannot open it: {one_line(error)}") from error
    check_size(*image.size, most_pixels)
    return image


@contextlib.contextmanager
def memory_named() -> Iterator[None]:
    """Turns a lack of memory into a `LackOfMemory`, which is no damage of the picture."""
    try:
        yield
    except MemoryError as error:
        raise LackOfMemory(
            "there is not enough memory for a picture of this size: give a smaller one, or free some memory"
        ) from error


def format_name(image: Image.Image) -> str:
    """Pillow's name of a file's format; MPO, which is JPEG with further pictures behind the first, is JPEG."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def check_size(width: int, height: int, most_pixels: int) -> None:
    """Raises `DataError` for more than `most_pixels` pixels, before memory is taken for them."""
    if width * height > most_pixels:
        raise DataError(f"it declares {width:,} x {height:,} pixels, more than the {most_pixels:,} that are allowed")


def decode(data: bytes, most_pixels: int = OPENCV_PIXELS) -> np.ndarray:
    """The pixels of a file.

    Args:
        data: the whole file; of several frames or pages the first counts.
        most_pixels: the most that the file may declare.

    Returns:
        (H, W[, 1 to 4]) in the order grey or RGB, then alpha; upright; uint8, uint16, or whatever else OpenCV finds.

    Raises:
        DataError: it is damaged, too large, or of no known format.
        MissingDependencyError: it takes OpenCV (16-bit colour), which does not load.
    """
    image = open_picture(data, most_pixels)
    return _decode_unknown(data, most_pixels) if image is None else decode_opened(image, data)


def decode_opened(image: Image.Image, data: bytes, *, managed: bool = False) -> np.ndarray:
    """As `decode`, of a file that `open_picture` has opened.

    With `managed`, CMYK becomes sRGB through the file's colour profile; else, and where there is none, RGB plainly.
    """
    bits = 8 if image.mode == "CMYK" else sample_bits(image, data)  # nobody decodes 16 bits of ink
    try:
        if bits == 16 and image.format == "PNG" and image.mode not in GREY_16:
            open_header(io.BytesIO(data)).verify()  # OpenCV passes over checksums that are wrong
        elif bits <= 8 or image.mode in GREY_16:
            image.load()
        turn = orientation_of(image, data)
        if bits == 16 and image.mode in GREY_16:
            return orientation.upright(_grey_16(image), turn)
        if bits <= 8:
            return orientation.upright(samples(image, managed=managed), turn)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # damaged files make Pillow raise anything
        raise DataError(f"Pillow cannot decode it: {one_line(error)}") from error
    if bits > 16:
        raise DataError(f"it holds samples of {bits} bits: convert it to 8 or 16 bits a channel")
    if image.format == "TIFF":
        return _tiff_16(image, data)
    img = _decode_with_opencv(data)
    if image.format == "PNG" and png.color_type(data) == png.GREY_ALPHA and img.ndim == 3 and img.shape[2] == 4:
        img = img[:, :, 2:]
    return orientation.upright(img, turn)


def sample_bits(image: Image.Image, data: bytes) -> int:
    """Of a sample in the file. Pillow's mode does not tell it: 16-bit colour is opened as RGB."""
    if image.format == "PNG":
        return png.depth(data)
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (1,)))  # type: ignore[attr-defined]
    if image.mode == "F":  # of PFM
        return 32
    if image.format == "PPM":  # width, height and the largest value; comments may stand between
        header = re.match(rb"P[2356]\s+(?:(?:#.*\n\s*)*\d+\s+){2}(?:#.*\n\s*)*(\d+)", data)
        return 8 if header is None or int(header[1]) <= 255 else 16
    return 16 if image.format == "JPEG2000" else 8  # the depth of JPEG 2000 is left to OpenCV


def orientation_of(image: Image.Image, data: bytes = b"") -> int:
    """What EXIF says of the turn that is still to be done, 1 to 8.

    XMP may say it too, but OpenCV and browsers do not listen: tools that turn the pixels leave it as it was.
    """
    if image.format == "TIFF":
        return 1  # Pillow and OpenCV turn these while they decode
    return exif.orientation(exif_of(image, data))


def exif_of(image: Image.Image, data: bytes) -> bytes | None:
    """The block of EXIF as the file holds it; None in TIFF, where its tags lie among the others."""
    if "exif" not in image.info and image.format == "PNG":  # Pillow reads what lies behind the pixels with them
        return dict(png.contents(data, (b"eXIf",))).get(b"eXIf")
    return image.info.get("exif")


def samples(image: Image.Image, *, managed: bool = False) -> np.ndarray:
    """(H, W[, 2 to 4]) uint8 of a decoded image of 8 bits: grey or RGB, with alpha if there is any."""
    if "transparency" in image.info or image.mode in ("PA", "La", "RGBa"):
        rgba = np.asarray((image.convert("LA") if image.mode == "La" else image).convert("RGBA"))
        return rgba[:, :, 2:] if image.mode in ("1", "L", "La") else rgba
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return np.asarray(image)
    if image.mode == "CMYK" and managed:
        return np.asarray(to_srgb(image, image.info.get("icc_profile")))
    return np.asarray(image.convert("L" if image.mode == "1" else "RGB"))


def _read(source: str | Path | IO[bytes], most_pixels: int) -> bytes:
    most = 8 * most_pixels + (64 << 20)  # 16-bit RGBA uncompressed, and whatever goes with it
    if not isinstance(source, str | Path):
        return _read_stream(source, most, most_pixels)
    with open(source, "rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise _too_long(most, most_pixels)
        return file.read() if os.path.isfile(source) else _read_stream(file, most, most_pixels)


def _read_stream(file: IO[bytes], most: int, most_pixels: int) -> bytes:
    """All of a pipe or a device, in parts, for /dev/zero has no end."""
    data = bytearray()
    while part := file.read(PART):
        data += part
        if len(data) > most:
            raise _too_long(most, most_pixels)
    return bytes(data)


def _too_long(most: int, most_pixels: int) -> DataError:
    return DataError(f"the file has more than {most >> 20:,} MB, which no picture of {most_pixels:,} pixels has")


@functools.cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this build of Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end. Decoders fill the rest with grey and only warn."""
    if data[:2] == b"\xff\xd8":
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")  # end of image, start of (the last) scan
    return data[:8] == png.SIGNATURE and data.rfind(b"IEND") < 0


def _grey_16(image: Image.Image) -> np.ndarray:
    """(H, W[, 2]) uint16: 16-bit grey as Pillow has decoded it, with alpha where one level is transparent."""
    grey = np.asarray(image).astype(np.uint16)
    if image.format == "TIFF":
        return tiff.as_meant(grey, image.tag_v2)  # type: ignore[attr-defined]
    level = image.info.get("transparency")
    if isinstance(level, int):
        grey = np.dstack([grey, np.where(grey == level, 0, 65535).astype(np.uint16)])
    return grey


def _tiff_16(image: Image.Image, data: bytes) -> np.ndarray:
    tags = image.tag_v2  # type: ignore[attr-defined]
    if not tiff.opencv_reads(tags):
        return tiff.decode(data)
    return tiff.as_meant(_decode_with_opencv(data), tags)


def _decode_unknown(data: bytes, most_pixels: int) -> np.ndarray:
    """What Pillow does not know."""
    if tiff.is_tiff(data):
        check_size(*tiff.size_of(data), most_pixels)
        return tiff.decode(data)
    if most_pixels < OPENCV_PIXELS:  # which tells no size before it takes the memory
        raise DataError(UNKNOWN_FORMAT)
    try:
        return _decode_with_opencv(data)
    except MissingDependencyError as problem:
        raise DataError(f"not a picture that Pillow can decode, and {problem}") from problem


def _decode_with_opencv(data: bytes) -> np.ndarray:
    cv2 = opencv("this picture (16-bit colour, or another format than Pillow's)")
    # OpenCV does not use a PNG's colour profile, but warns about it on the terminal if it is odd.
    encoded = np.frombuffer(png.without(data, b"iCCP"), np.uint8)
    try:
        img = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"OpenCV refuses it: {one_line(error)}") from error
    if img is None:
        raise DataError("not a picture that Pillow or OpenCV can decode")
    if img.ndim == 3 and img.shape[2] in (3, 4):
        img = cv2.cvtColor(img, cv2.COLOR_BGR2RGB if img.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return img

"""Reading any picture file as 8-bit RGB, and writing PNG files whole or not at all.

Pillow reads what has 8 bits a sample: its JPEG and WebP pixels equal those of OpenCV, and so of BasicSR, bit for bit
(Pillow 9.0 and 13.0, OpenCV 4.5 and 5.0: one decoder in both), but for CMYK, off by one level. Of 16-bit colour it keeps 8
bits, so that OpenCV reads that.
"""

import io
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from aethernet.data.opencv import opencv
from aethernet.errors import DataError, MissingDependencyError
from aethernet.files import atomic_path

SUFFIXES = frozenset(
    {
        ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
        ".pic", ".png", ".pnm", ".ppm", ".pxm", ".ras", ".sr", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""Endings, in lower case, of files that are taken for pictures."""

NOT_PILLOW = frozenset({".exr", ".hdr", ".pic", ".pxm", ".ras", ".sr"})
"""Those of them that OpenCV alone knows."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_COMPRESSION = 3  # BasicSR's choice for sub-images: near the smallest size at a fraction of level 9's time
ORIENTATION = 0x0112  # the EXIF tag: 1 is upright, from 5 on width and height are exchanged
GREY_16 = ("I", "I;16", "I;16L", "I;16B")  # Pillow's modes of 16-bit grey, whose samples it keeps


def find_pictures(directory: str | Path) -> list[Path]:
    """All picture files below a folder, hidden ones and those in hidden folders excepted, in a stable order.

    Raises:
        DataError: there is no such folder, or no picture in it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder: give the folder that holds the pictures")
    found = sorted(
        path
        for path in directory.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
        and path.is_file()
    )
    if not found:
        raise DataError(f"no picture below {directory}; known endings: {' '.join(sorted(SUFFIXES))}")
    return found


def read_rgb(path: str | Path) -> tuple[np.ndarray, list[str]]:
    """Reads a picture and makes it 8-bit RGB.

    Returns:
        (H, W, 3) RGB uint8, and what had to be done for that, such as "16-bit made 8-bit". Transparent pixels are
        laid over white, because the colours under them are arbitrary. EXIF orientation is obeyed in every format.

    Raises:
        DataError: the file cannot be read, is cut off, or holds samples that are neither 8 nor 16 bits wide.
        MissingDependencyError: it takes OpenCV (16-bit colour), which does not load.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise DataError("the file is empty")
    if _is_cut_off(data):
        raise DataError("the file is cut off: its end is missing")
    return _to_rgb8(_decode(data))


def write_png(path: str | Path, img: np.ndarray) -> None:
    """Writes (H, W, 3) RGB uint8 as PNG, atomically and from any thread. Raises `OSError` where the disk does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(img))


def png_bytes(img: np.ndarray, compression: int = PNG_COMPRESSION) -> bytes:
    """(H, W, 3) RGB uint8 as the content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(img).save(buffer, "PNG", compress_level=compression)
    return buffer.getvalue()


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height as `read_rgb` will give them, from the header; None where Pillow cannot tell.

    Raises:
        OSError: not a readable picture.
    """
    if path.suffix.lower() in NOT_PILLOW:
        return None
    try:
        with _quiet_open(path) as image:
            if image.format == "TIFF":  # whose turn is part of the size in newer releases of Pillow only
                tags = image.tag_v2  # type: ignore[attr-defined]
                width, height, orientation = tags[256], tags[257], tags.get(ORIENTATION, 1)
            else:
                (width, height), orientation = image.size, _orientation(image)
    except Image.DecompressionBombError:
        return None
    return (height, width) if orientation >= 5 else (width, height)


def middle(img: np.ndarray, height: int, width: int) -> np.ndarray:
    """The (height, width) middle of a picture (H, W[, C]); a side that is shorter stays whole."""
    top, left = (max(0, own - wanted) // 2 for own, wanted in zip(img.shape[:2], (height, width), strict=True))
    return img[top : top + height, left : left + width]


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end. Decoders fill the rest with grey and only warn."""
    if data[:2] == b"\xff\xd8":
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")  # end of image, start of (the last) scan
    return data[:8] == PNG_SIGNATURE and b"IEND" not in data


def _decode(data: bytes) -> np.ndarray:
    """(H, W[, 1 to 4]) in the order RGB, upright, of whatever type the file holds."""
    try:
        image = _quiet_open(io.BytesIO(data))
    except (UnidentifiedImageError, ValueError):  # the second from old releases, for PPM of 16 bits
        try:
            return _decode_with_opencv(data)
        except MissingDependencyError as problem:
            raise DataError(f"not a picture that Pillow can decode, and {problem}") from problem
    except Image.DecompressionBombError:  # above 179 megapixels, which Pillow refuses
        return _decode_with_opencv(data)
    bits = _bits(image, data)
    try:
        image.load()
        orientation = _orientation(image)
        if bits == 16 and image.mode in GREY_16:
            return _upright(np.asarray(image).astype(np.uint16), orientation)
        if bits <= 8:
            return _upright(_samples(image), orientation)
    except Exception as error:  # damaged files make Pillow raise anything
        raise DataError(f"Pillow cannot decode it: {error}") from error
    return _upright(_decode_with_opencv(data), orientation)


def _quiet_open(file: Path | io.BytesIO) -> Image.Image:
    """`Image.open` without its warning of large pictures, which are the user's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file)


def _bits(image: Image.Image, data: bytes) -> int:
    """Of a sample in the file. Pillow's mode does not tell it: 16-bit colour is opened as RGB."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (1,)))  # type: ignore[attr-defined]
    if image.format == "PPM":  # width, height and the largest value; comments may stand between
        header = re.match(rb"P[2356]\s+(?:(?:#.*\n\s*)*\d+\s+){2}(?:#.*\n\s*)*(\d+)", data)
        return 8 if header is None or int(header[1]) <= 255 else 16
    return 16 if image.format == "JPEG2000" else 8  # the depth of JPEG 2000 is left to OpenCV


def _orientation(image: Image.Image) -> int:
    """What EXIF says of the turn that is still to be done."""
    if image.format == "TIFF":
        return 1  # Pillow and OpenCV turn these while they decode
    try:
        value = Image.Image.getexif(image).get(ORIENTATION)  # that of the PNG class would decode all pixels for it
    except Exception:  # damaged EXIF beside sound pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(img: np.ndarray, orientation: int) -> np.ndarray:
    if orientation >= 5:
        img = img.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        img = img[::-1]
    if orientation in (2, 3, 6, 7):
        img = img[:, ::-1]
    return img


def _samples(image: Image.Image) -> np.ndarray:
    """(H, W[, 2 to 4]) uint8: grey or RGB, with alpha if there is any."""
    if "transparency" in image.info or image.mode in ("PA", "La", "RGBa"):
        return np.asarray(image.convert("RGBA"))
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return np.asarray(image)
    return np.asarray(image.convert("L" if image.mode == "1" else "RGB"))


def _decode_with_opencv(data: bytes) -> np.ndarray:
    cv2 = opencv("this picture (16-bit colour, or another format than Pillow's)")
    try:
        img = cv2.imdecode(np.frombuffer(_without_png_profile(data), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"OpenCV refuses it: {error.err or error}") from error
    if img is None:
        raise DataError("not a picture that Pillow or OpenCV can decode")
    if img.ndim == 3 and img.shape[2] in (3, 4):
        img = img[:, :, [2, 1, 0, 3][: img.shape[2]]]  # from BGR
    return img


def _without_png_profile(data: bytes) -> bytes:
    """Drops a PNG's colour profile, which OpenCV does not use but warns about on the terminal if it is odd."""
    start = len(PNG_SIGNATURE)
    while data[: len(PNG_SIGNATURE)] == PNG_SIGNATURE and start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")  # length, type, content, checksum
        kind = data[start + 4 : start + 8]
        if kind == b"iCCP":
            return data[:start] + data[end:]
        if kind == b"IDAT":  # a profile stands before the pixels
            break
        start = end
    return data


def _to_rgb8(img: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(H, W[, 1 to 4]) in the order RGB, uint8 or uint16 -> (H, W, 3) RGB uint8, and what was done."""
    notices = []
    if img.dtype == np.uint16:
        img = (img / 257).round().astype(np.uint8)
        notices.append("16-bit made 8-bit")
    if img.dtype != np.uint8:
        raise DataError(f"it holds {img.dtype} samples: convert it to 8 or 16 bits a channel")
    img = img.reshape(*img.shape[:2], -1)
    channels = img.shape[2]
    if channels in (2, 4):
        img, alpha = img[:, :, :-1], img[:, :, -1:]
        if (alpha < 255).any():
            weight = alpha.astype(np.float32) / 255
            img = (img * weight + 255 * (1 - weight)).round().astype(np.uint8)
            notices.append("transparency laid over white")
        else:
            notices.append("opaque alpha channel dropped")
    if channels in (1, 2):
        img = np.repeat(img, 3, axis=2)
        notices.append("grey made RGB")
    elif channels not in (3, 4):
        raise DataError(f"it has {channels} channels: 1 to 4 can be used")
    return np.ascontiguousarray(img), notices

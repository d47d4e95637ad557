"""Reading any picture file as 8-bit RGB, and writing PNG files whole or not at all."""

from pathlib import Path

import cv2
import numpy as np

from aethernet.errors import DataError
from aethernet.files import atomic_path

SUFFIXES = frozenset(
    {
        ".avif", ".bmp", ".dib", ".exr", ".gif", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
        ".pic", ".png", ".pnm", ".ppm", ".pxm", ".ras", ".sr", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""Endings, in lower case, of files that are taken for pictures."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_COMPRESSION = 3  # BasicSR's choice for sub-images: near the smallest size at a fraction of level 9's time


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
        laid over white, because the colours under them are arbitrary. JPEG orientation tags are obeyed.

    Raises:
        DataError: the file cannot be read, is cut off, or holds samples that are neither 8 nor 16 bits wide.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from error
    is_jpeg = data[:2] == b"\xff\xd8"
    if _is_cut_off(data):
        raise DataError("the file is cut off: its end is missing")
    # JPEG has no alpha to lose, and IMREAD_UNCHANGED would ignore its orientation.
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if is_jpeg else cv2.IMREAD_UNCHANGED
    data = _without_png_profile(data)
    try:
        img = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise DataError(f"OpenCV refuses it: {error.err or error}") from error
    if img is None:
        raise DataError("not a picture that OpenCV can decode" if data else "the file is empty")
    return _to_rgb8(img)


def write_png(path: str | Path, img: np.ndarray) -> None:
    """Writes (H, W, 3) RGB uint8 as PNG, atomically and from any thread. Raises `OSError` where the disk does."""
    done, buffer = cv2.imencode(".png", img[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])
    if not done:
        raise OSError(f"OpenCV could not encode a picture of shape {img.shape} for {path}")
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.tobytes())


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end. Decoders fill the rest with grey and only warn."""
    if data[:2] == b"\xff\xd8":
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")  # end of image, start of (the last) scan
    return data[:8] == PNG_SIGNATURE and b"IEND" not in data


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
    """(H, W[, 1 to 4]) in OpenCV's BGR order, uint8 or uint16 -> (H, W, 3) RGB uint8, and what was done."""
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
    return np.ascontiguousarray(img[:, :, ::-1]), notices

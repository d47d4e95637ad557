"""What a file says beside its pixels: colour profile, EXIF, XMP and resolution, made true of the upright picture."""

import math
import re
from typing import Any

from PIL import Image

from aethernet.data.picture import exif, png, tiff, webp
from aethernet.data.picture.color import space_of
from aethernet.data.picture.decoding import exif_of
from aethernet.data.picture.picture import Metadata

XMP_TURN = re.compile(rb"""(?<=tiff:Orientation=["'])[2-8]|(?<=<tiff:Orientation>)[2-8]""")
INCHES, CENTIMETRES = 2, 3  # TIFF's units of resolution


def metadata_of(image: Image.Image, data: bytes) -> Metadata:
    """Of an image that Pillow has opened, from the bytes `data`. What is damaged is left out."""
    icc = image.info.get("icc_profile")
    return Metadata(
        icc=icc if space_of(icc) else None,
        exif=exif.upright(_exif_of_tiff(image) if image.format == "TIFF" else exif_of(image, data)),
        xmp=_upright_xmp(_bytes(image.info.get("xmp"))),
        dpi=_sound(image.info.get("dpi")),
        png_color=png.contents(data, png.COLOR),
        is_lossless=image.format == "WEBP" and webp.is_lossless(data),
    )


def metadata_of_tiff(tags: tiff.Tags) -> Metadata:
    """Of a TIFF file that Pillow does not open, by its tags."""
    icc = _bytes(tags.get(tiff.ICC))
    unit = {INCHES: 1.0, CENTIMETRES: 2.54}.get(int(tags.get(tiff.UNIT, INCHES)), 0.0)
    try:
        dpi = _sound(tuple(unit * tags[tag][0] / tags[tag][1] for tag in (tiff.X_RESOLUTION, tiff.Y_RESOLUTION)))
    except (KeyError, TypeError, IndexError, ZeroDivisionError):
        dpi = None
    return Metadata(icc=icc if space_of(icc) else None, xmp=_upright_xmp(_bytes(tags.get(tiff.XMP))), dpi=dpi)


def _upright_xmp(packet: bytes | None) -> bytes | None:
    return None if packet is None else XMP_TURN.sub(b"1", packet)


def _exif_of_tiff(image: Image.Image) -> bytes | None:
    """In TIFF the tags lie among those that say how the pixels are stored: only what describes the picture is taken."""
    try:
        found = Image.Image.getexif(image)
        kept = Image.Exif()
        for tag in tiff.DESCRIPTIVE:
            if tag in found:
                kept[tag] = found[tag]
        for tag in tiff.DIRECTORIES:
            if directory := found.get_ifd(tag):
                kept.get_ifd(tag).update(directory)
                kept[tag] = kept.get_ifd(tag)
        return kept.tobytes() if len(kept) else None
    except Exception:  # damaged EXIF beside sound pixels
        return None


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    return value if isinstance(value, bytes) and value else None


def _sound(dpi: Any) -> tuple[float, float] | None:
    """Two numbers that can be a resolution, or None."""
    try:
        horizontal, vertical = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    is_sound = all(math.isfinite(value) and 1 <= value <= 100_000 for value in (horizontal, vertical))
    return (horizontal, vertical) if is_sound else None

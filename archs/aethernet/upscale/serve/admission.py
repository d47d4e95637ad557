"""What is let in: the header of a picture is read before anything is decoded, and what a client wants is checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from aethernet.data.picture import tiff
from aethernet.data.picture.decoding import UNKNOWN_FORMAT, check_size, file_bytes, open_picture
from aethernet.data.picture.formats import FORMATS, check_quality
from aethernet.data.picture.header import Header, read_header
from aethernet.errors import DataError, UsageError
from aethernet.upscale.serve.jobs import Refusal, Wish
from aethernet.upscale.serve.messages import Network
from aethernet.wording import how_many

AUTO = "auto"
DEFAULT_SCALE = 4
FIELDS = ("network", "scale", "format", "quality", "depth")
FORMAT_NAMES = ("same", *FORMATS)


def read_admitted(path: Path, most_pixels: int) -> Header:
    """The header of a picture that may be decoded. Reads no more than it takes.

    Raises:
        Refusal: 415 for what is no picture, 422 for more pixels than allowed and for a damaged header.
    """
    header = read_header(path)
    try:
        if header is None:
            header = _unusual(path, most_pixels)
        if header.frames > 1 and header.pixels > most_pixels:
            width, height = header.size
            raise DataError(
                f"it declares {how_many(header.frames, 'frame')} of {width:,} x {height:,} pixels, more than the {most_pixels:,} that "
                "are allowed"
            )
        check_size(*header.size, most_pixels)
        if 0 in header.size:
            raise DataError("it declares no pixels")
    except DataError as error:
        raise Refusal(415 if str(error) == UNKNOWN_FORMAT else 422, str(error)) from error
    return header


def _unusual(path: Path, most_pixels: int) -> Header:
    """What Pillow does not open: TIFF of kinds that others read, or the reason why it is no picture."""
    data = file_bytes(path, most_pixels)
    image = open_picture(data, most_pixels)
    if image is not None:  # the frames are what cannot be counted
        raise DataError("its header is damaged")
    if not tiff.is_tiff(data):
        raise DataError(UNKNOWN_FORMAT)
    return Header("TIFF", tiff.size_of(data))


def wish_of(fields: Mapping[str, str], networks: Sequence[Network]) -> Wish:
    """What a client asks for, in the words of its form.

    Raises:
        Refusal: 422 for what is unknown or does not fit together, with what is allowed.
    """
    for name in fields:
        if name not in FIELDS:
            raise Refusal(422, f"there is no field {name!r}: {', '.join(FIELDS)} are known")
    scales = sorted({network.scale for network in networks})
    scale = _number(fields, "scale", 1, 64)
    name = fields.get("network", AUTO)
    if name == AUTO:
        scale = scale or (DEFAULT_SCALE if DEFAULT_SCALE in scales else scales[-1])
        if scale not in scales:
            raise Refusal(
                422, f"there is no network for x{scale}: there are {', '.join(f'x{each}' for each in scales)}"
            )
        network = None
    else:
        found = next((each for each in networks if each.name == name), None)
        if found is None:
            names = ", ".join(each.name for each in networks)
            raise Refusal(422, f"there is no network {name!r}: give {AUTO} or one of {names}")
        if scale not in (None, found.scale):
            raise Refusal(422, f"{name} enlarges by {found.scale}, not by {scale}: leave the scale out")
        network, scale = name, found.scale
    format = fields.get("format", "same")
    if format not in FORMAT_NAMES:
        raise Refusal(422, f"there is no format {format!r}: give one of {', '.join(FORMAT_NAMES)}")
    quality = _number(fields, "quality", 1, 100)
    try:
        check_quality(quality, format)
    except UsageError as error:
        raise Refusal(422, str(error)) from error
    depth = fields.get("depth", "same")
    if depth not in ("same", "8", "16"):
        raise Refusal(422, f"depth is same, 8 or 16, not {depth!r}")
    return Wish(network, scale, format, quality, "same" if depth == "same" else int(depth))


def _number(fields: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = fields.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most):
        raise Refusal(422, f"{name} is a whole number from {least} to {most}, not {text!r}")
    return int(text)

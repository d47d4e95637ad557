"""Animated files: GIF, WebP, PNG and AVIF of several frames, each frame complete by itself, with its timing."""

import io
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image

from aethernet.data.picture.decoding import open_header, samples
from aethernet.data.picture.metadata import metadata_of
from aethernet.data.picture.picture import Animation, Frame, Metadata, Picture, from_samples
from aethernet.errors import DataError, one_line

ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
"""Pillow's names of the formats whose frames follow one another in time; those of others are pages or layers."""


def frame_count(image: Image.Image) -> int:
    """Of an image that was just opened, 1 where it is no animation; raises `DataError` where they cannot be counted."""
    if image.format not in ANIMATED:
        return 1
    try:
        return max(1, getattr(image, "n_frames", 1) - _still(image))
    except MemoryError:
        raise
    except Exception as error:  # GIF is walked through for it
        raise DataError(f"its frames cannot be counted: {one_line(error)}") from error


def animation_of(image: Image.Image, data: bytes) -> Animation:
    """The animation of an opened image and its bytes."""
    metadata = metadata_of(image, data)
    return Animation(
        size=image.size,
        frames=image.n_frames - _still(image),  # type: ignore[attr-defined]
        plays=_plays(image),
        format=str(image.format),
        decode=lambda: _frames(data, metadata),
        metadata=metadata,
    )


def _still(image: Image.Image) -> int:
    """1 where the first picture of a PNG is for viewers without animation, and no frame."""
    return int(bool(image.info.get("default_image")))


def _plays(image: Image.Image) -> int:
    """How often it is shown, 0 for without end. GIF counts repetitions, and shows without a count once."""
    loop = image.info.get("loop")
    if image.format == "GIF":
        return 1 if loop is None else 0 if loop == 0 else loop + 1
    return int(loop or 0)


def _frames(data: bytes, metadata: Metadata) -> Iterator[Frame]:
    image = open_header(io.BytesIO(data))
    first = _still(image)
    number = first
    for number in range(first, image.n_frames):  # type: ignore[attr-defined]
        try:
            image.seek(number)
            image.load()
            pixels = samples(image)
            milliseconds = float(image.info.get("duration", 0))
        except MemoryError:
            raise
        except Exception as error:
            raise DataError(f"frame {number - first + 1} is damaged: {one_line(error)}") from error
        yield Frame(_opaque_without_alpha(from_samples(pixels, metadata, str(image.format))), milliseconds)


def _opaque_without_alpha(picture: Picture) -> Picture:
    """Decoders give some frames an alpha channel that others lack."""
    return picture if picture.is_transparent else replace(picture, alpha=None)

"""Writing an animation with its timing: `write_animation`."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from aethernet.data.picture import png
from aethernet.data.picture.depth import as_depth
from aethernet.data.picture.formats import output_format
from aethernet.data.picture.picture import Animation, Frame, Metadata
from aethernet.data.picture.writing import opened, pillow_image, png_chunks, save_with_pillow
from aethernet.errors import DataError

TRANSPARENT = 255  # the place in a GIF's palette that shows nothing
VISIBLE = 128  # the least alpha that a GIF, which has none in between, shows
RESTORE_BACKGROUND = 2  # GIF: what was there is cleared before the next frame
TICK = {"gif": 10, "webp": 1, "png": 1, "avif": 1}
"""Milliseconds that durations are counted in."""


def write_animation(
    target: str | Path | IO[bytes],
    animation: Animation,
    frames: Iterable[Frame],
    *,
    format: str = "same",
    quality: int | None = None,
) -> tuple[str, ...]:
    """Writes frames as one animated file, a path whole or not at all; 8 bits a sample.

    Args:
        target: a path, or a binary file open for writing.
        animation: what they come from: how often it plays, its profile, its format.
        frames: of one size, with their durations. They are taken one by one, and all are in memory before the file is
            written: 1 byte a pixel for GIF, 3 or 4 else.
        format: `gif` (256 colours a frame), `webp`, `png`, `avif` or `same`.
        quality: 1 to 100, as in `write_picture`.

    Returns:
        What could not be kept, in plain words.

    Raises:
        DataError: no frame, sizes that differ, or a format that cannot hold them.
        OutputError: the disk does not take it. OSError: the file that is open for writing does not.
    """
    if format == "same":
        format = output_format((1, 1), source=animation.format, frames=2).format
    images, milliseconds = _images(frames, format)
    output_format(images[0].size, source=animation.format, frames=max(2, len(images)), format=format)
    notices = _unkept(animation, format)
    with opened(target) as file:
        if format == "gif":
            _save_gif(file, images, milliseconds, animation)
        elif format == "png":
            _save_png(file, images, milliseconds, animation)
        else:
            how = _all(images, milliseconds, format)
            if format == "webp":
                how["loop"] = animation.plays
                if _has_alpha(images):
                    # Whole frames: of parts that are all opaque libwebp would make a file that says it has no alpha.
                    how |= {"kmin": 0, "kmax": 1}
            save_with_pillow(file, images[0], animation.metadata, format, quality, notices, **how)
    return tuple(notices)


def _images(frames: Iterable[Frame], format: str) -> tuple[list[Image.Image], list[float]]:
    """All frames as they are encoded, and the milliseconds of each."""
    images: list[Image.Image] = []
    milliseconds: list[float] = []
    for frame in frames:
        image = _gif_image(frame) if format == "gif" else _image(frame)
        if images and image.size != images[0].size:
            raise DataError(
                f"frame {len(images) + 1} is {image.size}, the first {images[0].size}: all must be of one size"
            )
        images.append(image)
        milliseconds.append(frame.milliseconds)
    if not images:
        raise DataError("an animation needs at least one frame")
    return images, milliseconds


def _all(images: list[Image.Image], milliseconds: list[float], format: str) -> dict[str, Any]:
    """How Pillow is told of frames behind the first."""
    return {"save_all": True, "append_images": images[1:], "duration": durations(milliseconds, TICK[format])}


def _save_gif(file: IO[bytes], images: list[Image.Image], milliseconds: list[float], animation: Animation) -> None:
    how = _all(images, milliseconds, "gif")
    if animation.plays != 1:
        how["loop"] = max(0, animation.plays - 1)  # GIF counts repetitions
    images[0].save(file, "GIF", disposal=RESTORE_BACKGROUND, optimize=False, **how)


def _save_png(file: IO[bytes], images: list[Image.Image], milliseconds: list[float], animation: Animation) -> None:
    mode = "RGBA" if _has_alpha(images) else images[0].mode
    same = [image if image.mode == mode else image.convert(mode) for image in images]
    buffer = io.BytesIO()
    same[0].save(buffer, "PNG", loop=animation.plays, **_all(same, milliseconds, "png"))
    for part in png.with_chunks(buffer.getvalue(), png_chunks(animation.metadata, images[0].size)):
        file.write(part)


def _has_alpha(images: Iterable[Image.Image]) -> bool:
    return any("A" in image.getbands() for image in images)


def durations(milliseconds: Iterable[float], tick: int) -> list[int]:
    """Milliseconds in whole ticks, rounded so that every frame begins within half a tick of its time."""
    ends = np.cumsum(np.fromiter(milliseconds, float))
    return np.diff(np.round(ends / tick) * tick, prepend=0).astype(int).tolist()


def _image(frame: Frame) -> Image.Image:
    alpha = frame.picture.alpha
    return pillow_image(as_depth(frame.picture.color, 8), None if alpha is None else as_depth(alpha, 8))


def _gif_image(frame: Frame) -> Image.Image:
    """256 colours of the frame's own, one of them transparent if need be."""
    colors = pillow_image(as_depth(frame.picture.color, 8), None).convert("RGB")
    if frame.picture.alpha is None:
        return colors.quantize(256)
    places = colors.quantize(TRANSPARENT)
    shown = as_depth(frame.picture.alpha, 8) >= VISIBLE
    image = Image.fromarray(np.where(shown, np.asarray(places), TRANSPARENT).astype(np.uint8))
    palette = (places.getpalette() or [])[: 3 * TRANSPARENT]
    image.putpalette(palette + [0] * (768 - len(palette)))
    image.info["transparency"] = TRANSPARENT
    return image


def _unkept(animation: Animation, format: str) -> list[str]:
    said: Metadata = animation.metadata
    if format == "gif":
        lost = [name for name in ("icc", "exif", "xmp") if getattr(said, name) is not None]
        return [f"{name} left out: GIF does not hold it" for name in lost]
    return []

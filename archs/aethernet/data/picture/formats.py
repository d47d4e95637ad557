"""What file formats can hold: the one to write is settled before any work starts, and every change of it has a reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aethernet.checks import one_of
from aethernet.errors import DataError, UsageError
from aethernet.wording import how_many

Format = Literal["png", "jpg", "webp", "tiff", "avif", "gif"]


@dataclass(frozen=True)
class Limits:
    """What one format can hold: pixels a side and in all, transparency, 16 bits a sample, a single picture, several frames;
    and whether it has a quality to choose."""

    name: str
    side: int = 2**31 - 1
    pixels: int = 2**62 - 1
    alpha: bool = True
    deep: bool = False
    still: bool = True
    frames: bool = False
    quality: bool = False


FORMATS: dict[str, Limits] = {
    "png": Limits("PNG", deep=True, frames=True),
    "jpg": Limits("JPEG", side=65_500, alpha=False, quality=True),
    "webp": Limits("WebP", side=16_383, frames=True, quality=True),
    "tiff": Limits("TIFF", deep=True),
    # What libavif reads unless it is told otherwise.
    "avif": Limits("AVIF", side=32_768, pixels=2**28, frames=True, quality=True),
    "gif": Limits("GIF", side=65_535, still=False, frames=True),  # 256 colours: a still picture is better off as PNG
}

NAMES: dict[str, Format] = {
    "PNG": "png", "JPEG": "jpg", "MPO": "jpg", "WEBP": "webp", "TIFF": "tiff", "AVIF": "avif", "GIF": "gif",
}  # fmt: skip
"""Ours of Pillow's names; what is missing is read, and never written."""

MOST_FRAME_PIXELS = 2**29
"""Of all frames of an animation, which are held in memory together while it is written: 2 GB."""


@dataclass(frozen=True)
class Output:
    """The format and the bits a sample that a result is written with; `notice` says what differs from the wish, or is ""."""

    format: Format
    depth: Literal[8, 16] = 8
    notice: str = ""

    @property
    def suffix(self) -> str:
        """The ending of its files."""
        return f".{self.format}"


def output_format(
    size: tuple[int, int],
    *,
    source: str,
    source_depth: int = 8,
    alpha: bool = False,
    frames: int = 1,
    format: str = "same",
    depth: int | str = "same",
) -> Output:
    """The format to write a result with.

    A format or depth that was asked for is taken or refused; "same" is replaced by PNG where it cannot hold the result.

    Args:
        size: width and height of the result.
        source: Pillow's name of the source's format, as `Picture.format`.
        source_depth: the bits of the source's samples.
        alpha: whether the result is transparent anywhere.
        frames: of the result.
        format: `png`, `jpg`, `webp`, `tiff`, `avif`, `gif` (animations alone) or `same`.
        depth: 8, 16 or `same`.

    Raises:
        UsageError: an unknown format or depth.
        DataError: a format that was asked for and cannot hold the result.
    """
    one_of("format", format, ("same", *FORMATS), UsageError)
    one_of("depth", depth, ("same", 8, 16), UsageError)
    wanted_depth = source_depth if depth == "same" else int(depth)
    deep = wanted_depth == 16
    if frames > 1 and frames * size[0] * size[1] > MOST_FRAME_PIXELS:
        raise DataError(
            f"{how_many(frames, 'frame')} of {size[0]:,} x {size[1]:,} are more than the {MOST_FRAME_PIXELS >> 20} megapixels that an "
            "animation may have: make a video of it, and enlarge that"
        )
    if frames > 1 and depth == 16:
        raise DataError("animations are written with 8 bits a sample: leave the depth out")
    if format != "same":
        problems = [*_problems(format, size, alpha, deep and depth != "same", frames)]
        if problems:
            raise DataError(f"{FORMATS[format].name} {problems[0]}: use {_others(size, alpha, deep, frames)}")
        return _output(format, deep, "")
    same = NAMES.get(source)
    if same is None:
        return _output("png", deep, f"{source} is not written, the result is a PNG")
    problems = [*_problems(same, size, alpha, deep and depth != "same", frames)]
    if problems:
        return _output("png", deep, f"{FORMATS[same].name} {problems[0]}, the result is a PNG")
    return _output(same, deep, "")


def check_quality(quality: int | None, format: str) -> None:
    """Raises `UsageError` for a quality of a format that was asked for, is not "same", and has none."""
    if quality is not None and format in FORMATS and not FORMATS[format].quality:
        kinds = [limits.name for limits in FORMATS.values() if limits.quality]
        raise UsageError(f"quality is for {', '.join(kinds)}, and {FORMATS[format].name} has none: leave it out")


def unused_quality(quality: int | None, format: str) -> str:
    """What to say of a quality where the format is the source's and has none, or ""."""
    return "" if quality is None or FORMATS[format].quality else f"{FORMATS[format].name} has no quality to choose"


def _problems(format: str, size: tuple[int, int], alpha: bool, deep: bool, frames: int) -> Iterator[str]:
    """Why a format cannot hold a result."""
    limits = FORMATS[format]
    if max(size) > limits.side:
        yield f"holds at most {limits.side:,} pixels a side, and the result has {size[0]:,} x {size[1]:,}"
    elif size[0] * size[1] > limits.pixels:
        yield f"holds at most {limits.pixels >> 20} megapixels, and the result has {size[0]:,} x {size[1]:,}"
    if frames > 1 and not limits.frames:
        yield "holds no animation"
    if frames == 1 and not limits.still:
        yield "is for animations, and holds 256 colours"
    if alpha and not limits.alpha:
        yield "holds no transparency"
    if deep and not limits.deep:
        yield "holds 8 bits a sample"


def _others(size: tuple[int, int], alpha: bool, deep: bool, frames: int) -> str:
    return " or ".join(name for name in FORMATS if not any(_problems(name, size, alpha, deep, frames)))


def _output(format: str, deep: bool, notice: str) -> Output:
    limits = FORMATS[format]
    if deep and not limits.deep:
        notice = f"{limits.name} holds 8 bits a sample: the source's 16 become 8"
    return Output(format, 16 if deep and limits.deep else 8, notice)  # type: ignore[arg-type]

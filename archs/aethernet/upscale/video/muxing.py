"""How a file of pictures is written, whatever is in it beside: times of decoding, options, and what it says of the pictures."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aethernet.errors import OutputError, one_line
from aethernet.upscale.video.codecs import Encoding
from aethernet.upscale.video.library import pyav
from aethernet.upscale.video.matroska import set_aspect


def decode_times(times: Sequence[int], order: Sequence[int]) -> list[int]:
    """When each packet is decoded: rising, and never behind when its frame is shown.

    Args:
        times: when frames are shown, rising.
        order: which frame each packet holds.
    """
    depth = max((place - number for place, number in enumerate(order)), default=0)
    step = max(1, times[1] - times[0]) if len(times) > 1 else 1
    return [
        times[place - depth] if place >= depth else times[0] - (depth - place) * step for place in range(len(order))
    ]


def muxer_options(kind: str, first: int = 0) -> dict[str, str]:
    """Times stay what they are, also of sound that begins before the pictures, as encoders of AAC let it; unless pictures
    themselves begin before 0, as in broadcasts whose clock turns over: Matroska cannot hold that, and MP4 would hide them.

    Args:
        first: when the first frame is shown.
    """
    # MOV has a place for metadata of any name; in MP4 it would take that of the usual names, which players read.
    flags = {"mp4": "+faststart", "mov": "+faststart+use_metadata_tags"}
    faststart = {"movflags": flags[kind]} if kind in flags else {}
    return {"avoid_negative_ts": "make_non_negative" if first < 0 else "disabled", **faststart}


def describe_pictures(video: Any, encoding: Encoding, kind: str) -> None:
    """What the file itself says of the pictures."""
    context, tags = video.codec_context, encoding.tags
    context.colorspace, context.color_primaries, context.color_trc = tags.matrix, tags.primaries, tags.transfer
    context.color_range = tags.range
    if encoding.aspect:
        context.sample_aspect_ratio = encoding.aspect
    if encoding.codec == "hevc" and kind in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # players of Apple know no other


def keep_aspect(path: Path, target: Path, track: int, encoding: Encoding) -> None:
    """For codecs that have no aspect in their own header."""
    assert encoding.aspect is not None
    if not set_aspect(path, track, encoding.size, encoding.aspect):
        raise OutputError(
            f"{target}: the aspect of samples, {encoding.aspect}, cannot be written for {encoding.codec}: give --codec h264 or "
            "hevc, or a file .mp4 or .mov"
        )


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """FFmpeg's errors in writing as ours."""
    try:
        yield
    except (pyav().error.FFmpegError, ValueError) as error:
        raise OutputError(f"{target} cannot be written: {one_line(error)}") from error

"""The options of `aethernet upscale` for videos: what each may be, and which kind of input it is for."""

import argparse
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aethernet.errors import DataError, UsageError
from aethernet.flags import positive

if TYPE_CHECKING:
    from aethernet.upscale.video.film import Assumptions, Film
    from aethernet.upscale.video.library import FrameSequence
    from aethernet.upscale.video.prepare import Coding

FOR_PICTURES = {"format": "same", "quality": None, "depth": "same", "compare": False, "original": None}
CODING = {"codec": None, "crf": None, "preset": None, "drop": ()}
FOR_VIDEO = CODING | {
    "to_height": None, "stream": None, "assume_matrix": None, "assume_range": None, "assume_progressive": False, "preview": None,
    "raw": None, "pipe_format": None, "rate": None,
}  # fmt: skip
"""Options and their defaults, where a command without them is one for all kinds of input."""


def configure(parser: argparse.ArgumentParser) -> None:
    video = parser.add_argument_group("video")
    video.add_argument("--codec", metavar="NAME", help="h264, hevc, av1, vp9, ffv1 (without loss), prores, or an encoder of FFmpeg (default: h264; hevc for more than 8 bits)")  # fmt: skip
    video.add_argument("--crf", type=quality, metavar="N", help="quality of the codec, 0 is best (default: one at which the loss is hard to see)")  # fmt: skip
    video.add_argument("--preset", metavar="NAME", help="time that the encoder takes, such as fast or slow (default: fast)")  # fmt: skip
    video.add_argument("--to-height", type=positive, metavar="ROWS", help="shrink the result to this height, as 2160")
    video.add_argument("--preview", type=seconds, metavar="TIME", help="make a picture of the frame at this time alone, bicubic and the network side by side, such as 90 or 1:30")  # fmt: skip
    video.add_argument("--stream", type=int, metavar="N", help="the video stream to enlarge, where there are several")
    video.add_argument("--drop", type=streams, default=(), metavar="N,...|unfit", help="streams to leave out, or all that the file cannot hold")  # fmt: skip
    video.add_argument("--assume-matrix", choices=("bt601", "bt709", "bt2020"), help="colour matrix, where the video names none (default: bt601 up to 576 rows, else bt709)")  # fmt: skip
    video.add_argument("--assume-range", choices=("tv", "pc"), help="range of values, where the video names none (default: tv)")  # fmt: skip
    video.add_argument("--assume-progressive", action="store_true", help="take frames that are marked as interlaced for whole pictures")  # fmt: skip
    video.add_argument("--rate", type=frame_rate, metavar="N", help="frames a second of a folder of frames, such as 24000/1001")  # fmt: skip
    video.add_argument("--raw", metavar="FORMAT:WIDTHxHEIGHT[@RATE]", help="the standard input is raw RGB, as rgb24:1280x720@25 or rgb48:... (y4m is recognised)")  # fmt: skip
    video.add_argument(
        "--pipe-format", choices=("y4m", "rgb24", "rgb48"), help="of frames that go to -o - (default: y4m)"
    )


def quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def streams(text: str) -> Any:
    if text == "unfit":
        return text
    numbers = text.split(",")
    if not all(number.isdigit() for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is neither numbers of streams, such as 2,3, nor unfit")
    return tuple(int(number) for number in numbers)


def frame_rate(text: str) -> Fraction:
    if not re.fullmatch(r"\d+(\.\d+|/[1-9]\d*)?", text) or not 0 < Fraction(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate such as 25, 23.976 or 24000/1001")
    return Fraction(text)


def seconds(text: str) -> float:
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90, 1:30 or 1:02:03.5")
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    return total


def refuse(args: argparse.Namespace, options: dict[str, Any], what: str) -> None:
    """Raises `UsageError` for an option that is not at its default.

    Args:
        options: names and defaults.
        what: it is for.
    """
    for name, default in options.items():
        if getattr(args, name) != default:
            raise UsageError(f"--{name.replace('_', '-')} is for {what}")


def assumptions(args: argparse.Namespace) -> "Assumptions":
    from aethernet.upscale.video.film import Assumptions

    return Assumptions(args.assume_matrix, args.assume_range, args.assume_progressive)


def coding(args: argparse.Namespace) -> "Coding":
    from aethernet.upscale.video.prepare import Coding

    return Coding(args.codec, args.crf, args.preset, args.to_height, args.drop)


def look(args: argparse.Namespace, given: str) -> "Film":
    """A video, or a folder of frames, read as the options say."""
    from aethernet.upscale.video.library import frame_sequence
    from aethernet.upscale.video.probe import probe

    source: Path | FrameSequence = Path(given)
    if os.path.isdir(given):
        if args.rate is None:
            raise UsageError("--rate is needed for a folder of frames: frames a second, such as 24")
        source = frame_sequence(Path(given), args.rate)
    else:
        refuse(args, {"rate": None}, "folders of frames: a video has its own")
        if not os.path.exists(given):
            raise DataError(f"{given}: there is no such file")
    return probe(source, assumptions(args), args.stream)

"""Videos in `aethernet upscale`."""

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aethernet.cli.upscaling import open_upscaler, write_records
from aethernet.cli.voice import Voice, print_error, sentence
from aethernet.errors import AetherError, UsageError
from aethernet.flags import positive

if TYPE_CHECKING:
    from aethernet.upscale.processes import Process
    from aethernet.upscale.video.run import FilmResult

FOR_PICTURES = {"format": "same", "quality": None, "depth": "same", "compare": False, "original": None}
FOR_VIDEO = {
    "codec": None, "crf": None, "preset": None, "to_height": None, "stream": None, "drop": (), "assume_matrix": None,
    "assume_range": None, "assume_progressive": False,
}  # fmt: skip
"""Options and their defaults, where a command without them is one for all kinds of input."""


def configure(parser: argparse.ArgumentParser) -> None:
    video = parser.add_argument_group("video")
    video.add_argument("--codec", metavar="NAME", help="h264, hevc, av1, vp9, ffv1 (without loss), prores, or an encoder of FFmpeg (default: h264; hevc for more than 8 bits)")  # fmt: skip
    video.add_argument("--crf", type=quality, metavar="N", help="quality of the codec, 0 is best (default: one at which the loss is hard to see)")  # fmt: skip
    video.add_argument("--preset", metavar="NAME", help="time that the encoder takes, such as fast or slow (default: medium)")  # fmt: skip
    video.add_argument("--to-height", type=positive, metavar="ROWS", help="shrink the result to this height, as 2160")
    video.add_argument("--stream", type=int, metavar="N", help="the video stream to enlarge, where there are several")
    video.add_argument("--drop", type=streams, default=(), metavar="N,...|unfit", help="streams to leave out, or all that the file cannot hold")  # fmt: skip
    video.add_argument("--assume-matrix", choices=("bt601", "bt709", "bt2020"), help="colour matrix, where the video names none (default: bt601 up to 576 rows, else bt709)")  # fmt: skip
    video.add_argument("--assume-range", choices=("tv", "pc"), help="range of values, where the video names none (default: tv)")  # fmt: skip
    video.add_argument("--assume-progressive", action="store_true", help="take frames that are marked as interlaced for whole pictures")  # fmt: skip


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


def is_meant(args: argparse.Namespace) -> bool:
    """Whether the inputs are videos; raises `UsageError` for those that are both, and for options of the other kind."""
    from aethernet.upscale.video.film import ENDINGS

    films = [each for each in args.inputs if Path(each).suffix.lower() in ENDINGS and not os.path.isdir(each)]
    if films and len(films) < len(args.inputs):
        raise UsageError("videos and pictures are enlarged by separate commands")
    wrong = FOR_PICTURES if films else FOR_VIDEO
    for name, default in wrong.items():
        if getattr(args, name) != default:
            what = "pictures, and the inputs are videos" if films else "videos, and no input is one"
            raise UsageError(f"--{name.replace('_', '-')} is for {what}")
    return bool(films)


def run(args: argparse.Namespace) -> int:
    """The exit code is 1 where any video failed."""
    from aethernet.upscale.processes import this_process
    from aethernet.upscale.video.library import pyav

    if len(args.inputs) > 1 and args.out is not None and not (os.path.isdir(args.out) or args.out.endswith("/")):
        raise UsageError(f"-o {args.out} is one file, but {len(args.inputs)} videos were given: give a folder")
    pyav()
    process = this_process()
    records, failed = [], False
    for path in args.inputs:
        try:
            records.append(enlarge(args, Path(path), process))
        except AetherError as error:
            if len(args.inputs) == 1:
                raise
            failed = True
            print_error(f"aethernet upscale: {error}")
            records.append({"source": path, "outcome": "failed", "problem": str(error)})
    if args.json:
        write_records(args.json, process.rank, {"videos": records})
    return 1 if failed else 0


def enlarge(args: argparse.Namespace, path: Path, process: "Process") -> dict[str, Any]:
    from aethernet.cli.progress import FrameBar, status
    from aethernet.upscale.known import find_film_model
    from aethernet.upscale.summary import network_record
    from aethernet.upscale.video.film import Assumptions, probe
    from aethernet.upscale.video.run import Coding, open_film, prepare, present_frames, run_film, target_of

    voice = Voice(args.quiet or process.rank > 0)
    assume = Assumptions(args.assume_matrix, args.assume_range, args.assume_progressive)
    film = probe(path, assume, args.stream) if path.exists() else None
    rows = 0 if film is None else film.size[0 if film.is_turned else 1]
    model = find_film_model(args.model, args.scale, rows, args.to_height)
    target = target_of(path, args.out, model.scale, args.suffix)
    if process.count > 1 and target.exists() and not args.force:  # this one came late
        voice.say(f"{target}: there already")
        return {"source": str(path), "target": str(target), "outcome": "present"}
    with status(f"reading {path.name}", args.quiet):
        opened = open_film(path, target, assume=assume, stream=args.stream, force=args.force)
    coding = Coding(args.codec, args.crf, args.preset, args.to_height, args.drop)
    prepared = prepare(opened, model.scale, coding, process=process, force=args.force)
    former = opened.parts.read_plan()
    if former is not None and args.engine == "auto" and not args.force:
        args.engine = former.get("engine", "auto")  # parts of two engines would differ in their last digits
    with status(f"opening {model.label}", args.quiet):
        upscaler = open_upscaler(args, model, process, opened.pixels)
    voice.say(sentence(upscaler))
    for note in prepared.notes:
        voice.say(f"{path}: {note}")
    if former is not None and (present := present_frames(prepared)):
        voice.say(f"goes on: {present} of {len(opened.timeline.times)} frames are there, in {opened.parts.folder}")
    try:
        with FrameBar(path.name, args.quiet or process.rank > 0) as bar:
            result = run_film(
                prepared, upscaler, force=args.force, process=process,
                progress=lambda done, total, tally: bar(done, total, tally.frames),
            )  # fmt: skip
    except KeyboardInterrupt:
        voice.say(f"interrupted: what is computed lies in {opened.parts.folder}; the same command goes on there")
        raise
    for note in result.notes[len(prepared.notes) :]:
        voice.say(f"{path}: {note}")
    voice.say(told(result))
    record = asdict(result) | {"source": str(path), "target": str(result.target)}
    return record | {"network": asdict(network_record(upscaler))}


def told(result: "FilmResult") -> str:
    """As `film_x2.mkv: 240 frames; 200 of them computed in 3 min 20 s, 1 a second (12 equal to the one before)`."""
    from aethernet.upscale.summary import duration

    tally = result.tally
    equal = f" ({tally.duplicates} equal to the one before)" if tally.duplicates else ""
    if not tally.frames:
        return f"{result.target}: {result.frames} frames"
    rate = tally.frames / max(result.seconds, 1e-3)
    return (
        f"{result.target}: {result.frames} frames; {tally.frames} of them computed in {duration(result.seconds)}, {rate:.2g} a "
        f"second{equal}"
    )

"""Videos in `aethernet upscale`: files, pipes, folders of frames, and a look at one frame before."""

import argparse
import glob
import io
import os
import re
import sys
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aethernet.cli.upscaling import PIPE, open_upscaler, write_records
from aethernet.cli.voice import Voice, print_error, sentence
from aethernet.errors import AetherError, DataError, OutputError, UsageError
from aethernet.flags import positive
from aethernet.wording import how_many

if TYPE_CHECKING:
    from aethernet.upscale.processes import Process
    from aethernet.upscale.upscaler import Upscaler
    from aethernet.upscale.video.film import Assumptions, Film
    from aethernet.upscale.video.library import FrameSequence
    from aethernet.upscale.video.pipeline import Tally
    from aethernet.upscale.video.run import Coding, FilmResult

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


def is_meant(args: argparse.Namespace) -> bool:
    """Whether the inputs are videos; raises `UsageError` for those that are both, and for options of the other kind."""
    from aethernet.upscale.video.film import ENDINGS
    from aethernet.upscale.video.streams import FORMATS

    args.inputs = [path for each in args.inputs for path in _matching(each, ENDINGS)]
    films = [each for each in args.inputs if Path(each).suffix.lower() in ENDINGS and not os.path.isdir(each)]
    if args.inputs == [PIPE]:
        films = [PIPE] if args.raw is not None or _is_y4m(sys.stdin.buffer) else []
    elif args.raw is not None:
        raise UsageError("--raw says what the standard input is: give - as the input")
    elif len(args.inputs) == 1 and os.path.isdir(args.inputs[0]) and Path(args.out or "").suffix.lower() in FORMATS:
        films = args.inputs  # of frames
    if films and len(films) < len(args.inputs):
        raise UsageError("videos and pictures are enlarged by separate commands")
    _refuse(
        args,
        FOR_PICTURES if films else FOR_VIDEO,
        "pictures, and the input is a video" if films else "videos, and no input is one",
    )
    return bool(films)


def _matching(given: str, endings: tuple[str, ...]) -> list[str]:
    """The videos of a pattern; other inputs as they are."""
    if not glob.has_magic(given) or os.path.lexists(given) or Path(given).suffix.lower() not in endings:
        return [given]
    found = sorted(glob.glob(given, recursive=True))
    if not found:
        raise DataError(f"no file matches {given}")
    return found


def _is_y4m(pipe: IO[bytes]) -> bool:
    from aethernet.upscale.video.pipes import MAGIC

    if hasattr(pipe, "peek"):
        return pipe.peek(len(MAGIC))[: len(MAGIC)] == MAGIC
    if not pipe.seekable():
        return False
    place = pipe.tell()
    begin = pipe.read(len(MAGIC))
    pipe.seek(place)
    return begin == MAGIC


class _Rest(io.RawIOBase):
    """What a buffer holds already, then what comes from a descriptor."""

    def __init__(self, head: bytes, descriptor: int) -> None:
        self._head, self._descriptor = head, descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._head[: len(buffer)] or os.read(self._descriptor, len(buffer))
        self._head = self._head[len(part) :] if self._head else b""
        buffer[: len(part)] = part
        return len(part)


def _standard_input() -> IO[bytes]:
    """With a buffer of its own: Python waits at its end for who still reads from its own, and breaks off."""
    pipe = sys.stdin.buffer
    try:
        descriptor = pipe.fileno()
    except OSError:
        return pipe
    head = pipe.read1(len(pipe.peek(1))) if hasattr(pipe, "peek") and hasattr(pipe, "read1") else b""
    return io.BufferedReader(_Rest(head, os.dup(descriptor)), 2**20)


def _refuse(args: argparse.Namespace, options: dict[str, Any], what: str) -> None:
    for name, default in options.items():
        if getattr(args, name) != default:
            raise UsageError(f"--{name.replace('_', '-')} is for {what}")


def run(args: argparse.Namespace) -> int:
    """The exit code is 1 where any video failed."""
    from aethernet.upscale.processes import this_process

    if args.inputs == [PIPE]:
        return from_a_pipe(args)
    if len(args.inputs) > 1 and args.out is not None and not (os.path.isdir(args.out) or args.out.endswith("/")):
        raise UsageError(
            f"-o {args.out} is one file, but {how_many(len(args.inputs), 'video')} were given: give a folder"
        )
    if args.out == PIPE:
        return to_a_pipe(args)
    process = this_process()
    records, failed = [], False
    for path in args.inputs:
        try:
            records.append(enlarge(args, path, process))
        except AetherError as error:
            if len(args.inputs) == 1:
                raise
            failed = True
            print_error(f"aethernet upscale: {error}")
            records.append({"source": path, "outcome": "failed", "problem": str(error)})
    if args.json:
        write_records(args.json, process.rank, {"videos": records})
    return 1 if failed else 0


def enlarge(args: argparse.Namespace, given: str, process: "Process") -> dict[str, Any]:
    from aethernet.upscale.known import find_film_model
    from aethernet.upscale.video.run import target_of
    from aethernet.upscale.video.streams import FORMATS

    film = look(args, given)
    model = find_film_model(args.model, args.scale, rows_of(film), args.to_height)
    if args.preview is not None:
        return look_at_a_frame(args, film, model)
    if args.out is not None and "%" in Path(args.out).name and Path(args.out).suffix.lower() not in FORMATS:
        return into_frames(args, film, model, process)
    source = Path(given)
    target = Path(args.out) if os.path.isdir(source) else target_of(source, args.out, model.scale, args.suffix)
    return into_a_file(args, film, model, target, process)


def assumptions(args: argparse.Namespace) -> "Assumptions":
    from aethernet.upscale.video.film import Assumptions

    return Assumptions(args.assume_matrix, args.assume_range, args.assume_progressive)


def coding(args: argparse.Namespace) -> "Coding":
    from aethernet.upscale.video.run import Coding

    return Coding(args.codec, args.crf, args.preset, args.to_height, args.drop)


def look(args: argparse.Namespace, given: str) -> "Film":
    from aethernet.upscale.video.film import probe
    from aethernet.upscale.video.library import frame_sequence

    source: Path | FrameSequence = Path(given)
    if os.path.isdir(given):
        if args.rate is None:
            raise UsageError("--rate is needed for a folder of frames: frames a second, such as 24")
        source = frame_sequence(Path(given), args.rate)
    else:
        _refuse(args, {"rate": None}, "folders of frames: a video has its own")
        if not os.path.exists(given):
            raise DataError(f"{given}: there is no such file")
    return probe(source, assumptions(args), args.stream)


def rows_of(film: "Film") -> int:
    """As they are shown."""
    return film.size[0 if film.is_turned else 1]


def into_a_file(args: argparse.Namespace, film: "Film", model: Any, target: Path, process: "Process") -> dict[str, Any]:
    from aethernet.cli.progress import FrameBar, status
    from aethernet.upscale.summary import network_record
    from aethernet.upscale.video.run import open_film, prepare, present_frames, run_film

    _refuse(args, {"raw": None, "pipe_format": None}, "pipes")
    args = argparse.Namespace(**vars(args))  # the next video may have another engine
    voice = Voice(args.quiet or process.rank > 0)
    if process.count > 1 and target.exists() and not args.force:  # this one came late
        voice.say(f"{target}: there already")
        return {"source": str(film.path), "target": str(target), "outcome": "present"}
    with status(f"reading {film.path.name}", args.quiet):
        opened = open_film(film.path, target, force=args.force, film=film)
    prepared = prepare(opened, model.scale, coding(args), process=process, force=args.force)
    former = opened.parts.read_plan()
    if former is not None and args.engine == "auto" and not args.force:
        args.engine = former.get("engine", "auto")  # parts of two engines would differ in their last digits
    with status(f"opening {model.label}", args.quiet):
        upscaler = open_upscaler(args, model, process, opened.pixels)
    voice.say(sentence(upscaler))
    for note in prepared.notes:
        voice.say(f"{film.path}: {note}")
    if former is not None and (present := present_frames(prepared)):
        voice.say(
            f"goes on: {present} of {how_many(len(opened.timeline.times), 'frame')} there, in {opened.parts.folder}"
        )
    try:
        with FrameBar(film.path.name, args.quiet or process.rank > 0) as bar:
            result = run_film(
                prepared, upscaler, force=args.force, process=process,
                progress=lambda done, total, tally: bar(done, total, tally.frames),
            )  # fmt: skip
    except KeyboardInterrupt:
        voice.say(f"interrupted: what is computed lies in {opened.parts.folder}; the same command goes on there")
        raise
    for note in result.notes[len(prepared.notes) :]:
        voice.say(f"{film.path}: {note}")
    voice.say(told(result))
    record = asdict(result) | {"source": str(film.path), "target": str(result.target)}
    return record | {"network": asdict(network_record(upscaler))}


def told(result: "FilmResult") -> str:
    """As `film_x2.mkv: 240 frames; 200 of them computed in 3 min 20 s, 1 a second (12 equal to the one before)`."""
    tally = result.tally
    if not tally.frames:
        return f"{result.target}: {how_many(result.frames, 'frame')}"
    return f"{result.target}: {how_many(result.frames, 'frame')}; {computed(tally, result.seconds)}"


def computed(tally: "Tally", taken: float) -> str:
    from aethernet.upscale.summary import duration, per_second

    equal = f" ({tally.duplicates} equal to the one before)" if tally.duplicates else ""
    rate = per_second(tally.frames / max(taken, 1e-3))
    return f"{tally.frames} of them computed in {duration(taken)}, {rate}{equal}"


def look_at_a_frame(args: argparse.Namespace, film: "Film", model: Any) -> dict[str, Any]:
    """`--preview`."""
    from aethernet.upscale.processes import Process
    from aethernet.upscale.upscaler import check_target
    from aethernet.upscale.video.decode import frame_at
    from aethernet.upscale.video.streaming import preview

    _refuse(
        args,
        CODING | {"to_height": None, "raw": None, "pipe_format": None},
        "whole videos: leave it out with --preview",
    )
    target = Path(film.path.name).with_suffix("").name + "_preview.png"
    place = Path(args.out) if args.out is not None else Path(str(film.path)).parent / target
    if args.out is not None and (os.path.isdir(place) or args.out.endswith("/")):
        place = place / target
    if place.suffix.lower() != ".png":
        raise UsageError(f"-o {args.out}: a preview is a picture: give a file .png, or a folder")
    check_target(place, force=args.force)
    voice = Voice(args.quiet)
    frame = frame_at(film, args.preview)
    upscaler = open_upscaler(args, model, Process(), film.size[0] * film.size[1])
    voice.say(sentence(upscaler))
    for note in film.notes:
        voice.say(f"{film.path}: {note}")
    preview(upscaler, frame, place, name=model.label, matrix=film.matrix)
    shown = float(frame.time * film.time_base - film.begins)
    voice.say(f"{place}: the frame at {shown:.3f} s")
    return {"source": str(film.path), "target": str(place), "time": shown}


def into_frames(args: argparse.Namespace, film: "Film", model: Any, process: "Process") -> dict[str, Any]:
    """A video as pictures of a pattern such as frames/%06d.png; those that are there are passed over."""
    import time

    from aethernet.cli.progress import FrameBar
    from aethernet.upscale.claims import Claims
    from aethernet.upscale.video.decode import all_frames
    from aethernet.upscale.video.resize import result_size
    from aethernet.upscale.video.streaming import FrameFolder, check_pattern, stream_frames

    _refuse(args, CODING | {"raw": None, "pipe_format": None}, "videos, and the results are pictures")
    pattern = Path(args.out)
    check_pattern(pattern)
    size = result_size(film.size, model.scale, args.to_height, turned=film.is_turned)
    voice = Voice(args.quiet or process.rank > 0)
    upscaler = open_upscaler(args, model, process, 0)
    voice.say(sentence(upscaler))
    for note in film.notes:
        voice.say(f"{film.path}: {note}")
    start = time.time()
    with Claims() as claims, FrameBar(film.path.name, args.quiet or process.rank > 0) as bar:
        sink = FrameFolder(pattern, film.layout.depth > 8, claims)
        wanted = (lambda number: args.force or sink.wanted(number)) if process.count == 1 else sink.wanted
        tally = stream_frames(
            all_frames(film), sink, upscaler, size, lambda tally: bar(tally.frames, None, tally.frames), wanted=wanted
        )  # fmt: skip
    voice.say(f"{pattern}: {computed(tally, time.time() - start).replace(' of them', ' frames')}")
    return {"source": str(film.path), "target": str(pattern), "frames": tally.frames}


def to_a_pipe(args: argparse.Namespace) -> int:
    """One video to the standard output."""
    from aethernet.upscale.known import find_film_model
    from aethernet.upscale.video.decode import all_frames
    from aethernet.upscale.video.pipes import stream_of

    _refuse(args, CODING | {"json": None, "suffix": None, "preview": None}, "files, not for -o -")
    if len(args.inputs) > 1:
        raise UsageError("-o - is for one video")
    film = look(args, args.inputs[0])
    model = find_film_model(args.model, args.scale, rows_of(film), args.to_height)
    notes = [f"{film.path}: {note}" for note in film.notes]
    notes.append(
        f"{film.path}: frames go to the pipe one after the other, {float(film.rate):.5g} a second, without sound"
    )
    return _into_a_pipe(args, all_frames(film), stream_of(film), model, notes, film.is_turned)


def from_a_pipe(args: argparse.Namespace) -> int:
    """The standard input to the standard output, or to a file."""
    from aethernet.upscale.known import find_film_model
    from aethernet.upscale.video.pipes import raw_frames, raw_stream, read_y4m_header, y4m_frames

    _refuse(
        args,
        {"json": None, "suffix": None, "preview": None, "stream": None, "drop": (), "rate": None},
        "files, not for -",
    )
    pipe = _standard_input()
    if args.raw is not None:
        stream = raw_stream(args.raw)
        frames = raw_frames(pipe, stream)
    else:
        stream = read_y4m_header(pipe, assumptions(args))
        frames = y4m_frames(pipe, stream)
    model = find_film_model(args.model, args.scale, stream.size[1], args.to_height)
    if args.out in (None, PIPE):
        _refuse(args, CODING, "files, not for -o -")
        return _into_a_pipe(args, frames, stream, model, list(stream.notes), False)
    return _into_a_file(args, frames, stream, model, Path(args.out))


def _into_a_pipe(
    args: argparse.Namespace, frames: Any, stream: Any, model: Any, notes: list[str], turned: bool
) -> int:  # fmt: skip
    from aethernet.upscale.video.pipes import PipeWriter
    from aethernet.upscale.video.resize import result_size

    if sys.stdout.isatty():
        raise UsageError("frames would go to the terminal: send them to a program, or give -o FILE")
    size = result_size(stream.size, model.scale, args.to_height, turned=turned)
    format: Any = args.pipe_format or ("y4m" if args.raw is None else args.raw.partition(":")[0])
    upscaler, voice = _opened(args, model, notes)
    try:
        writer = PipeWriter(sys.stdout.buffer, format, size, stream, inverse=size == stream.size)
        _stream(args, frames, writer, upscaler, size, voice)
    except OutputError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again at its end
        raise
    return 0


def _into_a_file(args: argparse.Namespace, frames: Any, stream: Any, model: Any, target: Path) -> int:
    from aethernet.machine import cores
    from aethernet.upscale.upscaler import check_target
    from aethernet.upscale.video.codecs import plan_encoding
    from aethernet.upscale.video.encode import check_encoder
    from aethernet.upscale.video.film_file import FilmFile
    from aethernet.upscale.video.pipes import film_of
    from aethernet.upscale.video.resize import result_size
    from aethernet.upscale.video.streams import format_of

    _refuse(args, {"pipe_format": None}, "frames that go to -o -")
    format_of(target)
    check_target(target, force=args.force)
    size = result_size(stream.size, model.scale, args.to_height)
    encoding = plan_encoding(
        film_of(stream, Path(PIPE)), size, args.codec, args.crf, args.preset, ending=target.suffix.lower(), threads=cores()
    )  # fmt: skip
    check_encoder(encoding)
    with FilmFile(target, encoding, stream.rate, inverse=size == stream.size) as file:
        upscaler, voice = _opened(args, model, [*stream.notes, *encoding.notes])
        _stream(args, frames, file, upscaler, size, voice)
    voice.say(str(target))
    return 0


def _opened(args: argparse.Namespace, model: Any, notes: list[str]) -> "tuple[Upscaler, Voice]":
    from aethernet.upscale.processes import Process

    upscaler, voice = open_upscaler(args, model, Process(), 0), Voice(args.quiet)
    for note in [sentence(upscaler), *notes]:
        voice.say(note)
    return upscaler, voice


def _stream(
    args: argparse.Namespace, frames: Any, sink: Any, upscaler: "Upscaler", size: tuple[int, int], voice: Voice
) -> None:
    import time

    from aethernet.cli.progress import FrameBar
    from aethernet.upscale.video.streaming import stream_frames

    start = time.time()
    with FrameBar("frames", args.quiet) as bar:
        tally = stream_frames(frames, sink, upscaler, size, lambda tally: bar(tally.frames, None, tally.frames))
    voice.say(computed(tally, time.time() - start).replace(" of them", " frames"))

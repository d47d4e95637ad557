"""Videos through pipes in `aethernet upscale`: y4m and raw frames from the standard input, and to the standard output."""

import argparse
import io
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from aethernet.cli.upscaling import PIPE, open_upscaler
from aethernet.cli.video_options import CODING, assumptions, look, refuse
from aethernet.cli.voice import Voice, computed, sentence
from aethernet.errors import OutputError, UsageError

if TYPE_CHECKING:
    from aethernet.upscale.upscaler import Upscaler


def to_a_pipe(args: argparse.Namespace) -> int:
    """One video to the standard output."""
    from aethernet.upscale.known import find_film_model
    from aethernet.upscale.video.decode import all_frames
    from aethernet.upscale.video.pipes import stream_of

    refuse(args, CODING | {"json": None, "suffix": None, "preview": None}, "files, not for -o -")
    if len(args.inputs) > 1:
        raise UsageError("-o - is for one video")
    film = look(args, args.inputs[0])
    model = find_film_model(args.model, args.scale, film.shown_rows, args.to_height)
    notes = [f"{film.path}: {note}" for note in film.notes]
    notes.append(
        f"{film.path}: frames go to the pipe one after the other, {float(film.rate):.5g} a second, without sound"
    )
    return _into_a_pipe(args, all_frames(film), stream_of(film), model, notes, film.is_turned)


def from_a_pipe(args: argparse.Namespace) -> int:
    """The standard input to the standard output, or to a file."""
    from aethernet.upscale.known import find_film_model
    from aethernet.upscale.video.pipes import raw_frames, raw_stream, read_y4m_header, y4m_frames

    refuse(
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
        refuse(args, CODING, "files, not for -o -")
        return _into_a_pipe(args, frames, stream, model, list(stream.notes), False)
    return _into_a_file(args, frames, stream, model, Path(args.out))


def is_y4m(pipe: IO[bytes]) -> bool:
    from aethernet.upscale.video.pipes import MAGIC

    if hasattr(pipe, "peek"):
        return pipe.peek(len(MAGIC))[: len(MAGIC)] == MAGIC
    if not pipe.seekable():
        return False
    place = pipe.tell()
    begin = pipe.read(len(MAGIC))
    pipe.seek(place)
    return begin == MAGIC


def _standard_input() -> IO[bytes]:
    """With a buffer of its own: Python waits at its end for who still reads from its own, and breaks off."""
    pipe = sys.stdin.buffer
    try:
        descriptor = pipe.fileno()
    except OSError:
        return pipe
    head = pipe.read1(len(pipe.peek(1))) if hasattr(pipe, "peek") and hasattr(pipe, "read1") else b""
    return io.BufferedReader(_Rest(head, os.dup(descriptor)), 2**20)


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

    refuse(args, {"pipe_format": None}, "frames that go to -o -")
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

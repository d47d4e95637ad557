"""Which streams of a source go into a result, and how they are copied."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aethernet.errors import UsageError
from aethernet.upscale.video.codecs import Encoding
from aethernet.upscale.video.film import Film, is_cover
from aethernet.upscale.video.library import FrameSequence, open_source, pyav

FORMATS = {".mkv": "matroska", ".webm": "webm", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
"""FFmpeg's formats by the endings that are written."""
MILLISECONDS = ("matroska", "webm")
"""Formats that count time in these."""


def format_of(target: Path) -> str:
    """Raises `UsageError` for an ending that no video is written by."""
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{target}: {target.suffix or 'no ending'} is no video that is written: give one of {' '.join(FORMATS)}"
        )
    return kind


@dataclass(frozen=True)
class Kept:
    """Which streams of the source go into the result, by index; the enlarged one among them."""

    kept: tuple[int, ...]
    notes: tuple[str, ...] = ()


def plan_streams(film: Film, target: Path, encoding: Encoding, drop: Sequence[int] | str = ()) -> Kept:
    """Checks that the file can hold all streams, by writing its header into memory.

    Args:
        drop: indices of streams to leave out, or `unfit`: all that the file cannot hold.

    Raises:
        UsageError: streams that it cannot hold, with what to do; or none of such a number.
    """
    kind = format_of(target)
    with open_source(film.path) as source:
        indices = [each.index for each in source.streams]
        if not isinstance(drop, str):
            wrong = [each for each in drop if each not in indices or each == film.stream]
            if wrong:
                others = ", ".join(str(each) for each in indices if each != film.stream) or "none"
                raise UsageError(f"--drop {wrong[0]}: is no stream that can be left out; those are: {others}")
        wanted = [each for each in source.streams if isinstance(drop, str) or each.index not in drop]
        wanted = [each for each in wanted if each.index == film.stream or not _is_made_anew(each, source, kind)]
        unfit = [each for each in wanted if each.index != film.stream and not _fits(film.path, each, kind)]
        if unfit and drop != "unfit":
            listed = "; ".join(f"stream {each.index} ({describe(each)})" for each in unfit)
            raise UsageError(
                f"{target.suffix.lower().removeprefix('.')} cannot hold {listed}: give a file "
                f"{_other(film.path, kind)}, or --drop unfit to leave such streams out"
            )
        gone = {each.index for each in unfit}
        notes = [f"left out: stream {each.index} ({describe(each)}), which the file cannot hold" for each in unfit]
        check_codec(target, kind, encoding)
        if kind in MILLISECONDS and film.time_base.numerator * 1000 % film.time_base.denominator:
            notes.append(f"{target.suffix.lower()} counts in milliseconds: times are rounded to them")
        return Kept(tuple(each.index for each in wanted if each.index not in gone), tuple(notes))


def _other(path: Path | FrameSequence, kind: str) -> str:
    """An ending that may hold more."""
    own = Path(str(path)).suffix.lower()
    return ".mkv" if kind != "matroska" else own if own in FORMATS else ".mp4"


def describe(stream: Any) -> str:
    """As `subtitle, mov_text, eng`."""
    name = stream.codec_context.name if stream.codec_context is not None else getattr(stream, "name", None)
    language = stream.metadata.get("language")
    return ", ".join(each for each in (stream.type, name, language) if each)


def _is_made_anew(stream: Any, source: Any, kind: str) -> bool:
    """MP4 and MOV keep chapters and time codes as streams, which their writer makes from chapters and metadata."""
    if "mov" not in source.format.name or stream.type != "data":
        return False
    name = getattr(stream, "name", None)
    return (name == "bin_data" and bool(source.chapters())) or (name is None and "timecode" in stream.metadata)


def check_codec(target: Path, kind: str, encoding: Encoding) -> None:
    with pyav().open(io.BytesIO(), "w", format=kind) as container:
        try:
            container.add_stream(encoding.encoder, rate=25)
        except ValueError as error:
            fitting = "av1 or vp9" if kind == "webm" else "h264, hevc, av1 or prores"
            raise UsageError(
                f"{target.suffix.lower().removeprefix('.')} cannot hold {encoding.codec}: give --codec {fitting}, or a file .mkv"
            ) from error


def _fits(path: Path | FrameSequence, stream: Any, kind: str) -> bool:
    """Whether a file of this format can hold a stream: its header is written into memory."""
    av = pyav()
    try:
        with av.open(io.BytesIO(), "w", format=kind) as container:
            if is_cover(stream) and kind == "matroska":
                return bool(_cover(path, stream.index))
            copied(container, stream)
            container.start_encoding()
    except (av.error.FFmpegError, ValueError, TypeError, RuntimeError):
        return False
    return True


def copied(container: Any, stream: Any) -> Any:
    """A stream of the source in the result, its packets to be copied."""
    if stream.type == "attachment":
        return container.add_stream_from_template(stream)
    if stream.codec_context is None and stream.type != "data":
        raise ValueError("its codec is not known to this FFmpeg")
    copy = container.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(titled(stream.metadata))
    copy.disposition = int(stream.disposition)
    return copy


def titled(metadata: dict[str, str]) -> dict[str, str]:
    """MP4 and MOV read the title of a stream as its name, and write it from its title."""
    return {"title": metadata["name"], **metadata} if "name" in metadata else metadata


def _cover(path: Path | FrameSequence, index: int) -> bytes:
    """A cover picture, as the file has it."""
    with open_source(path) as source:
        for packet in source.demux(source.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""


def attach_cover(container: Any, path: Path | FrameSequence, stream: Any) -> None:
    """Matroska keeps covers as attachments."""
    codec = stream.codec_context.name if stream.codec_context is not None else "mjpeg"
    ending, mime = {"png": ("png", "image/png"), "bmp": ("bmp", "image/bmp")}.get(codec, ("jpg", "image/jpeg"))
    metadata = stream.metadata
    container.add_attachment(
        metadata.get("filename", f"cover.{ending}"), metadata.get("mimetype", mime), _cover(path, stream.index)
    )

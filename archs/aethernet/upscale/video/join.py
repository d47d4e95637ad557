"""The segments of a film joined with everything else of its source: streams, chapters, metadata, times."""

import io
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from aethernet.errors import DataError, OutputError, UsageError, one_line
from aethernet.files import TOKEN, atomic_path
from aethernet.upscale.video.encode import Encoding, SegmentWriter
from aethernet.upscale.video.film import Film, is_cover
from aethernet.upscale.video.library import FrameSequence, address, open_source, pyav
from aethernet.upscale.video.matroska import set_aspect
from aethernet.upscale.video.plan import Parts
from aethernet.upscale.video.timeline import Segment, Timeline, rising

FORMATS = {".mkv": "matroska", ".webm": "webm", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
"""FFmpeg's formats by the endings that are written."""
MILLISECONDS = ("matroska", "webm")
"""Formats that count time in these."""
NO_TEXT = bytes(2)
"""What MP4 and MOV show between two texts; their writer makes it itself."""
STATISTICS = ("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS")
"""Tags of Matroska that say what was true of the former stream."""


def format_of(target: Path) -> str:
    """Raises `UsageError` for an ending that no video is written by."""
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{target}: {target.suffix or 'no ending'} is no video that is written: give one of {' '.join(FORMATS)}"
        )
    return kind


@dataclass(frozen=True)
class Layout:
    """Which streams of the source go into the result, by index; the enlarged one among them."""

    kept: tuple[int, ...]
    notes: tuple[str, ...] = ()


def plan_streams(
    film: Film, target: Path, encoding: Encoding, first: Mapping[int, int], drop: Sequence[int] | str = ()
) -> Layout:
    """Checks that the file can hold all streams, by writing its header into memory.

    Args:
        first: the first time in each stream, in its own units.
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
        _check_codec(target, kind, encoding)
        if kind in MILLISECONDS and film.time_base.numerator * 1000 % film.time_base.denominator:
            notes.append(f"{target.suffix.lower()} counts in milliseconds: times are rounded to them")
        kept = [each for each in wanted if each.index not in gone]
        # Of the film, what lies before 0 is cut off: those are packets without frames.
        begins = [
            first[each.index] * each.time_base for each in kept if each.index != film.stream and each.index in first
        ]
        if kind in MILLISECONDS and min(begins, default=0) < 0:
            notes.append(
                f"{target.suffix.lower()} has no times before 0, and this begins at {float(min(begins)):.3f} s: all are that "
                "much later"
            )
        return Layout(tuple(each.index for each in kept), tuple(notes))


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


def _check_codec(target: Path, kind: str, encoding: Encoding) -> None:
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
            _copied(container, stream)
            container.start_encoding()
    except (av.error.FFmpegError, ValueError, TypeError, RuntimeError):
        return False
    return True


def _copied(container: Any, stream: Any) -> Any:
    """A stream of the source in the result, its packets to be copied."""
    if stream.type == "attachment":
        return container.add_stream_from_template(stream)
    if stream.codec_context is None and stream.type != "data":
        raise ValueError("its codec is not known to this FFmpeg")
    copy = container.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(_titled(stream.metadata))
    copy.disposition = int(stream.disposition)
    return copy


def _titled(metadata: dict[str, str]) -> dict[str, str]:
    """MP4 and MOV read the title of a stream as its name, and write it from its title."""
    return {"title": metadata["name"], **metadata} if "name" in metadata else metadata


def _cover(path: Path | FrameSequence, index: int) -> bytes:
    """A cover picture, as the file has it."""
    with open_source(path) as source:
        for packet in source.demux(source.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""


def _attach_cover(container: Any, path: Path | FrameSequence, stream: Any) -> None:
    """Matroska keeps covers as attachments."""
    codec = stream.codec_context.name if stream.codec_context is not None else "mjpeg"
    ending, mime = {"png": ("png", "image/png"), "bmp": ("bmp", "image/bmp")}.get(codec, ("jpg", "image/jpeg"))
    metadata = stream.metadata
    container.add_attachment(
        metadata.get("filename", f"cover.{ending}"), metadata.get("mimetype", mime), _cover(path, stream.index)
    )


def join(
    film: Film,
    timeline: Timeline,
    segments: Sequence[Segment],
    parts: Parts,
    encoding: Encoding,
    kept: Sequence[int],
    target: Path,
) -> int:
    """Writes the whole file, or none.

    Returns:
        The frames in it.

    Raises:
        DataError: a stream of the source that cannot be copied.
        OutputError: a segment that is not what its record says, or a place that cannot be written.
    """
    records = [parts.record(segment) for segment in segments]
    if not any(record["times"] for record in records):
        raise DataError(f"{film.path}: no frame of its video can be decoded: damaged, empty or encrypted")
    times = rising([time for record in records for time in record["times"]])
    order = _order(records)
    kind, av = format_of(target), pyav()
    with atomic_path(target) as temporary, open_source(film.path) as source:
        with av.open(
            address(temporary), "w", format=kind, options=_options(kind), metadata_errors="surrogateescape"
        ) as out:
            out.metadata.update(
                (key, value) for key, value in source.metadata.items()
                if key.lower() not in ("encoder", "major_brand", "minor_version", "compatible_brands")
            )  # fmt: skip
            if chapters := source.chapters():
                out.set_chapters(chapters)
            copies: dict[int, Any] = {}
            filled = next(segment for segment, record in zip(segments, records, strict=True) if record["times"])
            with av.open(address(parts.path(filled))) as template:
                for stream in source.streams:
                    if stream.index == film.stream:
                        video = _video(out, template.streams.video[0], stream, film, encoding, kind)
                    elif stream.index in kept and is_cover(stream) and kind == "matroska":
                        _attach_cover(out, film.path, stream)
                    elif stream.index in kept:
                        copies[stream.index] = _copied(out, stream)
                with _writing(target):
                    out.start_encoding()
                pictures = _pictures(segments, records, parts, video, times, order, timeline.last)
                written = _mux(out, source, copies, pictures, film)
            for index in copies:
                if source.streams[index].type != "attachment" and written.get(index, 0) != timeline.counts.get(
                    index, 0
                ):
                    raise DataError(f"{film.path}: stream {index} changed while it was copied")
            with _writing(target):
                out.close()
        if encoding.aspect not in (None, 1) and kind in MILLISECONDS and not encoding.carries_aspect:
            before = [
                each for each in kept if each < film.stream and each in copies and not _is_attachment(source, each)
            ]
            _keep_aspect(temporary, target, len(before), encoding)
        found = _count(temporary)
        if found != len(times):
            raise OutputError(f"{target}: holds {found} frames in the place of {len(times)}, and is not kept")
    return len(times)


def _is_attachment(source: Any, index: int) -> bool:
    return source.streams[index].type == "attachment"


def _keep_aspect(path: Path, target: Path, track: int, encoding: Encoding) -> None:
    """For codecs that have no aspect in their own header."""
    assert encoding.aspect is not None
    if not set_aspect(path, track, encoding.size, encoding.aspect):
        raise OutputError(
            f"{target}: the aspect of samples, {encoding.aspect}, cannot be written for {encoding.codec}: give --codec h264 or "
            "hevc, or a file .mp4 or .mov"
        )


def _order(records: Sequence[dict[str, Any]]) -> list[int]:
    """The numbers of frames in the order of their packets."""
    order: list[int] = []
    for record in records:
        first = len(order)
        if sorted(record["order"]) != list(range(len(record["times"]))):
            raise OutputError("a segment's record does not fit its frames: remove the folder of parts and start anew")
        order += [first + number for number in record["order"]]
    return order


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


def _options(kind: str) -> dict[str, str]:
    return {"movflags": "+faststart"} if kind in ("mp4", "mov") else {}


def _video(out: Any, template: Any, stream: Any, film: Film, encoding: Encoding, kind: str) -> Any:
    video = out.add_stream_from_template(template, opaque=True)
    video.time_base = film.time_base
    video.metadata.update(
        (key, value) for key, value in _titled(stream.metadata).items()
        if not key.upper().startswith(STATISTICS) and key.lower() not in ("encoder", "rotate")
    )  # fmt: skip
    video.disposition = int(stream.disposition)
    _describe(video, encoding, kind)
    if stream.average_rate:
        video.codec_context.framerate = stream.average_rate
    if film.matrix is not None:
        video.set_display_matrix(film.matrix)
    return video


def _describe(video: Any, encoding: Encoding, kind: str) -> None:
    """What the file itself says of the pictures."""
    context, tags = video.codec_context, encoding.tags
    context.colorspace, context.color_primaries, context.color_trc = tags.matrix, tags.primaries, tags.transfer
    context.color_range = tags.range
    if encoding.aspect:
        context.sample_aspect_ratio = encoding.aspect
    if encoding.codec == "hevc" and kind in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # players of Apple know no other


def _pictures(
    segments: Sequence[Segment],
    records: Sequence[dict[str, Any]],
    parts: Parts,
    video: Any,
    times: Sequence[int],
    order: Sequence[int],
    last: int,
) -> Iterator[Any]:
    """The packets of all segments with their times."""
    av = pyav()
    decoded, place = decode_times(times, order), 0
    for segment, record in zip(segments, records, strict=True):
        first = place
        if not record["times"]:
            continue
        with av.open(address(parts.path(segment))) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size == 0:
                    continue
                if place >= len(order) or packet.pts is None or packet.pts + first != order[place]:
                    break
                number = order[place]
                packet.pts, packet.dts = times[number], decoded[place]
                packet.duration = times[number + 1] - times[number] if number + 1 < len(times) else last
                packet.time_base, packet.stream = video.time_base, video
                place += 1
                yield packet
        if place - first != len(record["times"]):
            raise OutputError(f"{parts.path(segment)} is damaged: remove it and its .json file, and run the same again")


def _mux(out: Any, source: Any, copies: dict[int, Any], pictures: Iterator[Any], film: Film) -> dict[int, int]:
    """Writes everything in the order of decoding; returns the packets of each copied stream."""
    av, written = pyav(), dict.fromkeys(copies, 0)
    waiting = next(pictures, None)
    own = film.time_base  # of packets: the file may count otherwise
    copied = [stream for stream in source.streams if stream.index in copies and stream.type != "attachment"]
    fixed = {
        stream.index: _missing_decode_times(film.path, stream.index) for stream in copied if stream.type == "video"
    }

    def write_pictures(until: Fraction | None) -> None:
        nonlocal waiting
        while waiting is not None and (until is None or waiting.dts * own <= until):
            waiting.time_base = own
            out.mux(waiting)
            waiting = next(pictures, None)

    packets: Iterable[Any] = source.demux(*copied) if copied else ()
    iterator = iter(packets)
    while True:
        try:
            packet = next(iterator, None)
        except (av.error.FFmpegError, OSError):
            break  # `scan` has told of it
        if packet is None:
            break
        if packet.size == 0 and packet.pts is None and packet.dts is None:
            continue
        index = packet.stream_index
        if fixed.get(index):
            packet.dts = fixed[index][written[index]]
        time = packet.dts if packet.dts is not None else packet.pts
        if time is not None:
            write_pictures(time * packet.time_base)
        written[index] += 1
        if packet.size == 2 and copies[index].type == "subtitle" and bytes(packet) == NO_TEXT:
            continue
        packet.stream = copies[index]
        try:
            out.mux(packet)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno and 0 < error.errno < 1000 and error.errno != 22:
                raise
            raise DataError(
                f"{film.path}: a packet of stream {index} cannot be copied ({one_line(error)}): leave it out with --drop {index}"
            ) from error
    write_pictures(None)
    return written


def _missing_decode_times(path: Path | FrameSequence, index: int) -> list[int]:
    """Matroska does not keep when packets are decoded; empty where they are known."""
    shown: list[int] = []
    missing = False
    with open_source(path) as source:
        for packet in source.demux(source.streams[index]):
            if packet.size:
                missing |= packet.dts is None
                if packet.pts is None:
                    return []
                shown.append(packet.pts)
    if not missing:
        return []
    times = sorted(shown)
    places = {time: place for place, time in enumerate(times)}
    return decode_times(times, [places[time] for time in shown]) if len(places) == len(times) else []


def _count(path: Path) -> int:
    """The frames in a file's video."""
    with open_source(path) as container:
        videos = [stream for stream in container.streams.video if not is_cover(stream)]
        return max((sum(packet.size > 0 for packet in container.demux(stream)) for stream in videos[:1]), default=0)


class _writing:
    """FFmpeg's errors in writing as ours."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and isinstance(error, (pyav().error.FFmpegError, ValueError)):
            raise OutputError(f"{self._target} cannot be written: {one_line(error)}") from error


class FilmFile:
    """Frames of one rate encoded into a file that has no source to copy from; whole, or not there. Use it in a `with` statement.

    Args:
        inverse: see `from_rgb`.

    Raises:
        UsageError: a file that cannot hold the codec.
        OutputError: as `SegmentWriter`.
    """

    def __init__(self, target: Path, encoding: Encoding, rate: Fraction, *, inverse: bool = False) -> None:
        self._target, self._encoding, self._rate, self._kind = target, encoding, rate, format_of(target)
        _check_codec(target, self._kind, encoding)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._part = target.with_name(f".{target.stem}.{secrets.token_hex(TOKEN // 2)}{target.suffix}")
        self._writer = SegmentWriter(self._part, encoding, inverse=inverse)

    def __enter__(self) -> "FilmFile":
        return self

    def write(self, rgb: np.ndarray, time: int) -> None:
        self._writer.write(rgb, time)

    def finish(self) -> None:
        """Gives the file its name."""
        self._writer.finish()
        times, base = self._writer.times, 1 / self._rate
        order = self._writer.order
        decoded, av = decode_times(times, order), pyav()
        with (
            atomic_path(self._target) as temporary,
            av.open(address(self._part)) as part,
            av.open(address(temporary), "w", format=self._kind, options=_options(self._kind)) as out,
        ):
            video = out.add_stream_from_template(part.streams.video[0], opaque=True)
            video.time_base = base
            _describe(video, self._encoding, self._kind)
            video.codec_context.framerate = self._rate
            with _writing(self._target):
                for place, packet in enumerate(each for each in part.demux(part.streams.video[0]) if each.size):
                    packet.pts, packet.dts, packet.duration = times[order[place]], decoded[place], 1
                    packet.time_base, packet.stream = base, video
                    out.mux(packet)
                out.close()
            encoding = self._encoding
            if encoding.aspect not in (None, 1) and self._kind in MILLISECONDS and not encoding.carries_aspect:
                _keep_aspect(temporary, self._target, 0, encoding)

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__()
        self._part.unlink(missing_ok=True)

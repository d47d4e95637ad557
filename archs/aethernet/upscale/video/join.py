"""The segments of a film joined with everything else of its source: streams, chapters, metadata, times."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from aethernet.errors import DataError, OutputError, one_line
from aethernet.files import atomic_path
from aethernet.upscale.video.codecs import Encoding
from aethernet.upscale.video.film import Film, is_cover
from aethernet.upscale.video.library import FrameSequence, address, open_source, pyav
from aethernet.upscale.video.muxing import decode_times, describe_pictures, keep_aspect, muxer_options, writing
from aethernet.upscale.video.plan import Parts
from aethernet.upscale.video.streams import MILLISECONDS, attach_cover, copied, format_of, titled
from aethernet.upscale.video.timeline import Segment, Timeline, rising
from aethernet.wording import how_many

NO_TEXT = bytes(2)
"""What MP4 and MOV show between two texts; their writer makes it itself."""
OF_FILES = ("encoder", "major_brand", "minor_version", "compatible_brands")
"""Metadata that says how a file was written."""
STATISTICS = ("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS")
"""Tags of Matroska that say what was true of the former stream."""


def join(
    film: Film,
    timeline: Timeline,
    segments: Sequence[Segment],
    parts: Parts,
    encoding: Encoding,
    kept: Sequence[int],
    target: Path,
) -> tuple[int, tuple[str, ...]]:
    """Writes the whole file, or none.

    Returns:
        The frames in it, and what the user should know.

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
            address(temporary),
            "w",
            format=kind,
            options=muxer_options(kind, times[0]),
            metadata_errors="surrogateescape",
        ) as out:
            out.metadata.update(
                (key, value) for key, value in source.metadata.items()
                if key.lower() not in OF_FILES
            )  # fmt: skip
            if chapters := source.chapters():
                out.set_chapters(chapters)
            filled = next(segment for segment, record in zip(segments, records, strict=True) if record["times"])
            with av.open(address(parts.path(filled))) as template:
                video, copies = _add_streams(out, source, template.streams.video[0], film, encoding, kept, kind)
                with writing(target):
                    out.start_encoding()
                pictures = _pictures(segments, records, parts, video, times, order, timeline.last)
                written = _mux(out, source, copies, pictures, film)
            for index in copies:
                if source.streams[index].type != "attachment" and written.get(index, 0) != timeline.counts.get(
                    index, 0
                ):
                    raise DataError(f"{film.path}: stream {index} changed while it was copied")
            with writing(target):
                out.close()
        if encoding.aspect not in (None, 1) and kind in MILLISECONDS and not encoding.carries_aspect:
            before = [
                each for each in kept if each < film.stream and each in copies and not _is_attachment(source, each)
            ]
            keep_aspect(temporary, target, len(before), encoding)
        found = _count(temporary)
        if found != len(times):
            raise OutputError(
                f"{target}: holds {how_many(found, 'frame')} in the place of {len(times)}, and is not kept"
            )
        lost = _lost_metadata(source.metadata, temporary)
    return len(times), lost


def _add_streams(
    out: Any, source: Any, template: Any, film: Film, encoding: Encoding, kept: Sequence[int], kind: str
) -> tuple[Any, dict[int, Any]]:
    """The stream of enlarged pictures, and those that are copied by their index in the source, in its order."""
    video, copies = None, {}
    for stream in source.streams:
        if stream.index == film.stream:
            video = _video(out, template, stream, film, encoding, kind)
        elif stream.index in kept and is_cover(stream) and kind == "matroska":
            attach_cover(out, film.path, stream)
        elif stream.index in kept:
            copies[stream.index] = copied(out, stream)
    return video, copies


def _lost_metadata(metadata: Mapping[str, str], path: Path) -> tuple[str, ...]:
    """What a file has not kept, in words."""
    with open_source(path) as container:
        there = {key.lower() for key in container.metadata}
    lost = [key for key in metadata if key.lower() not in OF_FILES and key.lower() not in there]
    return (f"metadata without a place in such files, left out: {', '.join(lost)}",) if lost else ()


def _is_attachment(source: Any, index: int) -> bool:
    return source.streams[index].type == "attachment"


def _order(records: Sequence[dict[str, Any]]) -> list[int]:
    """The numbers of frames in the order of their packets."""
    order: list[int] = []
    for record in records:
        first = len(order)
        if sorted(record["order"]) != list(range(len(record["times"]))):
            raise OutputError("a segment's record does not fit its frames: remove the folder of parts and start anew")
        order += [first + number for number in record["order"]]
    return order


def _video(out: Any, template: Any, stream: Any, film: Film, encoding: Encoding, kind: str) -> Any:
    video = out.add_stream_from_template(template, opaque=True)
    video.time_base = film.time_base
    video.metadata.update(
        (key, value) for key, value in titled(stream.metadata).items()
        if not key.upper().startswith(STATISTICS) and key.lower() not in ("encoder", "rotate", "alpha_mode")
    )  # fmt: skip
    video.disposition = int(stream.disposition)
    describe_pictures(video, encoding, kind)
    if stream.average_rate:
        video.codec_context.framerate = stream.average_rate
    if film.matrix is not None:
        video.set_display_matrix(film.matrix)
    return video


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

    last: dict[int, int] = {}
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
        if packet.dts is not None and packet.dts < last.get(
            index, packet.dts
        ):  # no format takes that; as ffmpeg does it
            packet.dts = last[index] + 1
            packet.pts = None if packet.pts is None else max(packet.pts, packet.dts)
        if packet.dts is not None:
            last[index] = packet.dts
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

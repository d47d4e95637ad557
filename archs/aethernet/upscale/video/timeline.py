"""When the frames of a film are shown, and the parts that it is computed in."""

import bisect
import hashlib
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aethernet.errors import DataError
from aethernet.upscale.video.library import FrameSequence, decoded, open_source, pyav, reading
from aethernet.wording import how_many

SEGMENT = 120
"""Frames: what a killed run loses at most. Each begins with a frame that stands alone, as films have anyway."""
JUMP = 1
"""Seconds back in a stream's times of decoding from which on they begin anew: damage and bad writers err by less."""
JOIN = "ffmpeg -i {name} -map 0 -c copy joined.mkv"
REORDERED = 64
"""Places that a packet may lie away from where it is shown: more than any codec reorders by."""


@dataclass(frozen=True)
class Segment:
    """Frames from `start` to before `stop`, in units of the stream; None for no bound."""

    number: int
    start: int | None
    stop: int | None
    frames: int


@dataclass(frozen=True)
class Timeline:
    """The times of all frames, in units of the stream.

    Attributes:
        times: in the order in which they are shown.
        keys: those that decoding can begin at.
        seekable: times are those of the packets. Else they were found by decoding everything, and count by place.
        last: how long the last frame is shown.
        counts: packets of each stream.
        digest: of the stream's packets: the same file has the same.
        notes: what the user should know.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]
    seekable: bool
    last: int
    counts: dict[int, int]
    digest: str
    notes: tuple[str, ...] = ()

    def segments(self, length: int = SEGMENT) -> list[Segment]:
        """All frames, in parts of this many."""
        starts = list(range(0, len(self.times), length))
        return [
            Segment(
                number,
                None if number == 0 else self.times[start],
                None if start + length >= len(self.times) else self.times[start + length],
                min(length, len(self.times) - start),
            )
            for number, start in enumerate(starts)
        ]

    def before(self, time: int) -> int | None:
        """A place to begin decoding at, so that the frame of this time is right: one key frame more than needed, since frames
        behind one may still show what was before it. None for the beginning."""
        place = bisect.bisect_right(self.keys, time) - 2
        return self.keys[place] if place > 0 else None

    def time_of(self, count: int, frame: Any) -> int:
        """When a decoded frame is shown, the `count`-th since the beginning or since the place of `before`."""
        if self.seekable and frame.pts is not None:
            return frame.pts
        return self.times[count] if count < len(self.times) else self.times[-1] + 1 + count - len(self.times)


def scan(path: Path | FrameSequence, stream: int) -> Timeline:
    """Reads a file once, without decoding unless its times demand it: AVI has those of decoding alone.

    Raises:
        DataError: no frame, or times that begin anew.
    """
    packets: list[tuple[int | None, bool, int]] = []
    decoding: list[int] = []
    counts: Counter[int] = Counter()
    last_decoded: dict[int, int] = {}
    digest, notes = hashlib.sha256(), []
    av = pyav()
    with open_source(path) as container:
        context = container.streams[stream].codec_context
        guessed = "avi" in container.format.name.split(",") and bool(context.has_b_frames)
        demuxed = container.demux()
        while True:
            try:
                packet = next(demuxed, None)
            except (av.error.FFmpegError, OSError):
                notes.append("is damaged or cut off: what comes behind that place is lost")
                break
            if packet is None:
                break
            if packet.pts is None and packet.dts is None and packet.size == 0:
                continue  # the end of a stream
            counts[packet.stream_index] += 1
            if packet.dts is not None:
                former = last_decoded.get(packet.stream_index, packet.dts)
                if (former - packet.dts) * packet.time_base > JUMP:
                    raise DataError(
                        f"{path}: its times begin anew behind {float(former * packet.time_base):.3f} s, as where recordings were "
                        f"put one behind the other: make one of them first, as by `{JOIN.format(name=path.name)}`"
                    )
                last_decoded[packet.stream_index] = packet.dts
            if packet.stream_index == stream:
                packets.append((packet.pts, packet.is_keyframe, packet.duration or 0))
                decoding += [] if packet.dts is None else [packet.dts]
                digest.update(f"{packet.pts},{packet.dts},{packet.size},{zlib.crc32(packet)};".encode())
    times = sorted(pts for pts, _, _ in packets if pts is not None)
    if times and len(times) == len(packets) and not guessed and _is_sound(packets, times):
        keys = tuple(sorted(pts for pts, key, _ in packets if key and pts is not None))
        durations = {pts: duration for pts, _, duration in packets}
        last = durations[times[-1]] or (times[-1] - times[-2] if len(times) > 1 else 1)
        return Timeline(tuple(times), keys, True, last, dict(counts), digest.hexdigest(), tuple(notes))
    shown, last, changed = _decoded_times(path, stream)
    if not shown:
        raise DataError(f"{path}: no frame of its video can be decoded: damaged, empty or encrypted")
    if guessed and len(decoding) == len(
        shown
    ):  # a grid, and the same times but for those that FFmpeg guesses at the ends
        decoding.sort()
        shown = rising([shown[0] + time - decoding[0] for time in decoding])
        notes.append("AVI has times of decoding alone: frames get them in the order in which they are shown")
    elif changed:
        notes.append(
            f"{how_many(changed, 'frame')} without a time, or with one that is not behind the last: shown in the order of the file"
        )
    return Timeline(tuple(shown), (), False, last, dict(counts), digest.hexdigest(), tuple(notes))


def rising(times: list[int]) -> list[int]:
    """Times that every format takes: none twice."""
    for place in range(1, len(times)):
        times[place] = max(times[place], times[place - 1] + 1)
    return times


def _is_sound(packets: list[tuple[int | None, bool, int]], times: list[int]) -> bool:
    """Whether every packet has a time of its own, near its place."""
    places = {time: place for place, time in enumerate(times)}
    return len(places) == len(times) and all(
        pts is not None and abs(places[pts] - place) <= REORDERED for place, (pts, _, _) in enumerate(packets)
    )


def _decoded_times(path: Path | FrameSequence, index: int) -> tuple[list[int], int, int]:
    """Times of all frames, rising; the duration of the last one; and how many had to be set."""
    found: list[int] = []
    missing, step = 0, 1
    with open_source(path) as container, reading(path):
        stream = container.streams[index]
        rate = stream.average_rate or stream.guessed_rate
        if rate and stream.time_base:
            step = max(1, round(1 / (rate * stream.time_base)))
        for frame in decoded(container, stream):
            time = frame.pts if frame.pts is not None else frame.dts
            missing += time is None
            found.append((found[-1] + step if found else 0) if time is None else time)
    times = sorted(found)  # as many as frames, but given to the wrong ones, where a file has those of decoding alone
    if any(abs(bisect.bisect_left(times, time) - place) > REORDERED for place, time in enumerate(found)):
        times = list(found)
    rising(times)
    changed = sum(mine != its for mine, its in zip(found, times, strict=True))
    return times, step, max(missing, changed)

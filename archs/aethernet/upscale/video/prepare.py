"""What is to be done with a film, settled and checked before any work."""

import hashlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from aethernet.checkpoint import pretrained
from aethernet.errors import DataError, UsageError
from aethernet.machine import cores
from aethernet.runtimes.models import Model
from aethernet.upscale.processes import Process
from aethernet.upscale.upscaler import Upscaler, check_target
from aethernet.upscale.video.codecs import Encoding, plan_encoding
from aethernet.upscale.video.encode import check_encoder
from aethernet.upscale.video.film import Assumptions, Film
from aethernet.upscale.video.library import FrameSequence, pyav
from aethernet.upscale.video.plan import Parts, as_read
from aethernet.upscale.video.probe import probe
from aethernet.upscale.video.resize import result_size
from aethernet.upscale.video.streams import FORMATS, format_of, plan_streams
from aethernet.upscale.video.timeline import SEGMENT, Segment, Timeline, scan
from aethernet.version import __version__

MOST_THREADS = 16


@dataclass(frozen=True)
class Coding:
    """How a result is encoded, and what of the source goes into it.

    Attributes:
        codec: h264, hevc, av1, vp9, ffv1 (without loss), prores, or an encoder of FFmpeg; by default h264, for more than
            8 bits hevc, in WebM av1.
        crf: the quality, where 0 is best; by default one at which the loss is hard to see.
        preset: how much time the encoder takes.
        to_height: rows of the result; by default those that the network gives.
        drop: indices of streams to leave out, or `unfit`: those that the file cannot hold.
        segment: frames of a part that a killed run loses at most.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    to_height: int | None = None
    drop: tuple[int, ...] | Literal["unfit"] = ()
    segment: int = SEGMENT


@dataclass(frozen=True)
class Opened:
    """A film that is to be enlarged, and where to. `since` is when it was opened, as `time.time()` counts."""

    film: Film
    timeline: Timeline
    target: Path
    parts: Parts
    since: float

    @property
    def pixels(self) -> int:
        """Of all frames."""
        width, height = self.film.size
        return width * height * len(self.timeline.times)


@dataclass(frozen=True)
class Prepared:
    """What is done with an opened film, checked before any work.

    Attributes:
        size: width and height of the result, before rows are added for the codec.
        kept: the streams of the source that go into the result.
        threads: of coders and converters.
        notes: what the user should know.
    """

    opened: Opened
    coding: Coding
    scale: int
    size: tuple[int, int]
    encoding: Encoding
    kept: tuple[int, ...]
    segments: tuple[Segment, ...]
    threads: int
    notes: tuple[str, ...]


def target_of(path: Path, out: str | Path | None, scale: int, suffix: str | None = None) -> Path:
    """Where a result goes: a file, a folder, or by default beside the source, as in film_x2.mkv.

    Args:
        suffix: between name and ending; by default `_x2`, by scale, beside the source, and none in a folder.
    """
    ending = path.suffix if path.suffix.lower() in FORMATS else ".mkv"
    if out is None:
        return path.with_name(f"{path.stem}{f'_x{scale}' if suffix is None else suffix}{ending}")
    if os.path.isdir(out) or str(out).endswith(("/", os.sep)):
        return Path(out) / f"{path.stem}{suffix or ''}{ending}"
    return Path(out)


def open_film(
    path: str | Path | FrameSequence,
    target: str | Path,
    *,
    assume: Assumptions | None = None,
    stream: int | None = None,
    force: bool = False,
    film: Film | None = None,
) -> Opened:
    """Looks at a film and at where its result goes; computes nothing.

    Args:
        film: what `probe` has given for it already.

    Raises:
        AetherError: the subclass that fits, with what to do.
    """
    target = Path(target)
    if not isinstance(path, FrameSequence):
        path = Path(path)
        if not path.exists():
            raise DataError(f"{path}: there is no such file")
    format_of(target)
    if not isinstance(path, FrameSequence) and target.exists() and os.path.samefile(path, target):
        raise UsageError(f"{path} would be overwritten by its own result: give another place with -o")
    check_target(target, force=force)
    since = time.time()
    film = film or probe(path, assume, stream)
    return Opened(film, scan(path, film.stream), target, Parts(target), since)


def prepare(
    opened: Opened, scale: int, coding: Coding | None = None, *, process: Process | None = None, force: bool = False
) -> Prepared:
    """Chooses how a film is encoded, and checks that the file can hold all of it. Raises as `upscale_film`."""
    film, coding = opened.film, coding or Coding()
    size = result_size(film.size, scale, coding.to_height, turned=film.is_turned)
    threads = min(MOST_THREADS, (process or Process()).threads or cores())
    former = None if force else opened.parts.read_plan()
    try:
        coders = int(former["encoding"]["options"]["threads"]) if former else threads  # frames depend on them
    except (KeyError, TypeError, ValueError):
        coders = threads
    encoding = plan_encoding(
        film, size, coding.codec, coding.crf, coding.preset, ending=opened.target.suffix.lower(), threads=coders
    )
    check_encoder(encoding)
    streams = plan_streams(film, opened.target, encoding, coding.drop)
    notes = [*film.notes, *opened.timeline.notes, *encoding.notes, *streams.notes]
    segments = tuple(opened.timeline.segments(coding.segment))
    return Prepared(opened, coding, scale, size, encoding, streams.kept, segments, threads, tuple(notes))


def plan_of(prepared: Prepared, upscaler: Upscaler) -> dict[str, Any]:
    """What must be equal for a run to go on with the parts of another."""
    choice, opened, encoding = upscaler.choice, prepared.opened, prepared.encoding
    return {
        "version": f"{__version__}, PyAV {pyav().__version__}",
        "source": [opened.timeline.digest, len(opened.timeline.times), opened.film.stream],
        "model": fingerprint(upscaler.model),
        "engine": choice.session.engine,
        "precision": choice.precision,
        "device": choice.session.device.split(":")[0],
        "size": list(prepared.size),
        "tags": asdict(encoding.tags),
        "segment": prepared.coding.segment,
        "encoding": {"encoder": encoding.encoder, "layout": encoding.layout.name, "options": dict(encoding.options)},
    }


def fingerprint(model: Model) -> str:
    """Of a network's weights: the checksum of their file."""
    source = pretrained.path(model.spec) if model.spec in pretrained.available() else Path(model.spec)
    content = source.read_bytes() if source.is_file() else str(model.spec).encode()
    return hashlib.sha256(content).hexdigest()


def present_frames(prepared: Prepared, upscaler: Upscaler) -> int:
    """Frames that a former run has left; none of one that differs."""
    parts = prepared.opened.parts
    if parts.read_plan() != as_read(plan_of(prepared, upscaler)):
        return 0
    return sum(segment.frames for segment in prepared.segments if parts.is_done(segment))

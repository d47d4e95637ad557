"""Segments of a film computed: the next frames are decoded and the last ones encoded while one is enlarged."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aethernet.files import atomic_path
from aethernet.upscale.claims import Claims
from aethernet.upscale.upscaler import Upscaler
from aethernet.upscale.video.channels import Channel, overlap
from aethernet.upscale.video.codecs import Encoding
from aethernet.upscale.video.decode import FrameReader
from aethernet.upscale.video.encode import SegmentWriter
from aethernet.upscale.video.enlarger import Decoded, Enlarger, Tally
from aethernet.upscale.video.film import Film
from aethernet.upscale.video.plan import Parts
from aethernet.upscale.video.timeline import Segment, Timeline


@dataclass(frozen=True)
class Begin:
    segment: Segment


@dataclass(frozen=True)
class End:
    segment: Segment


class FilmPipeline:
    """Computes segments that are not there yet, each held by a claim meanwhile.

    Args:
        size: width and height of the result, before rows are added for a codec.
        threads: of decoder and converter.
        progress: called after each frame with the frames encoded so far by this process.
    """

    def __init__(
        self,
        film: Film,
        timeline: Timeline,
        parts: Parts,
        encoding: Encoding,
        upscaler: Upscaler,
        size: tuple[int, int],
        *,
        threads: int = 1,
        progress: Callable[[Tally], None] | None = None,
    ) -> None:
        self._film, self._timeline, self._parts, self._encoding = film, timeline, parts, encoding
        self._upscaler, self._size, self._threads = upscaler, size, threads
        self._progress = progress or (lambda tally: None)
        self.tally = Tally()

    def run(self, segments: Sequence[Segment], claims: Claims) -> None:
        """Those that others hold are left. Raises what any of the threads raises, after all have ended."""
        stop = threading.Event()
        decoded, enlarged = Channel(stop), Channel(stop)

        def network() -> None:
            for item in Enlarger(self._upscaler, self._size, self.tally).through(decoded):
                enlarged.put(item)
                del item
            enlarged.put(None)

        overlap(stop, lambda: self._decode(segments, claims, decoded), network, lambda: self._encode(enlarged, claims))

    def _decode(self, segments: Sequence[Segment], claims: Claims, out: Channel) -> None:
        reader = FrameReader(self._film, self._timeline, self._threads)
        held: Segment | None = None
        try:
            for segment in segments:
                path = self._parts.path(segment)
                if self._parts.is_done(segment) or claims.others_hold(path) or not claims.take(path):
                    continue
                held = segment
                if self._parts.is_done(segment):  # by who had the claim before
                    claims.release(path)
                    continue
                out.put(Begin(segment))
                before = len(reader.damaged)
                for frame in reader.frames(segment):
                    out.put(Decoded(frame.time, frame, frame.rgb()))
                self.tally.damaged += len(reader.damaged) - before
                out.put(End(segment))
                held = None
            out.put(None)
        finally:
            reader.close()
            if held is not None:
                claims.release(self._parts.path(held))

    def _encode(self, items: Channel, claims: Claims) -> None:
        workers = ThreadPoolExecutor(self._threads, "convert") if self._threads > 1 else contextlib.nullcontext()
        with workers as pool:
            stream = iter(items)
            for item in stream:
                assert isinstance(item, Begin)
                path = self._parts.path(item.segment)
                try:
                    self._write(item.segment, stream, pool)
                finally:
                    claims.release(path)

    def _write(self, segment: Segment, items: Iterator[Any], pool: ThreadPoolExecutor | None) -> None:
        inverse = self._size == self._film.size
        with (
            atomic_path(self._parts.path(segment)) as temporary,
            SegmentWriter(temporary, self._encoding, inverse=inverse, pool=pool) as writer,
        ):
            for item in items:
                if isinstance(item, End):
                    break
                writer.write(item.rgb, item.time)
                self.tally.frames += 1
                self._progress(self.tally)
                del item
            writer.finish()
            self._parts.write_record(
                segment, {"times": writer.times, "order": writer.order, "damaged": self.tally.damaged}
            )

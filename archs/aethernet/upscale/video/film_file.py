"""A film file of frames that have no source to copy from."""

import secrets
from fractions import Fraction
from pathlib import Path

import numpy as np

from aethernet.files import TOKEN, atomic_path
from aethernet.upscale.video.codecs import Encoding
from aethernet.upscale.video.encode import SegmentWriter
from aethernet.upscale.video.library import address, pyav
from aethernet.upscale.video.muxing import decode_times, describe_pictures, keep_aspect, muxer_options, writing
from aethernet.upscale.video.streams import MILLISECONDS, check_codec, format_of


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
        check_codec(target, self._kind, encoding)
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
            av.open(address(temporary), "w", format=self._kind, options=muxer_options(self._kind)) as out,
        ):
            video = out.add_stream_from_template(part.streams.video[0], opaque=True)
            video.time_base = base
            describe_pictures(video, self._encoding, self._kind)
            video.codec_context.framerate = self._rate
            with writing(self._target):
                for place, packet in enumerate(each for each in part.demux(part.streams.video[0]) if each.size):
                    packet.pts, packet.dts, packet.duration = times[order[place]], decoded[place], 1
                    packet.time_base, packet.stream = base, video
                    out.mux(packet)
                out.close()
            encoding = self._encoding
            if encoding.aspect not in (None, 1) and self._kind in MILLISECONDS and not encoding.carries_aspect:
                keep_aspect(temporary, self._target, 0, encoding)

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__()
        self._part.unlink(missing_ok=True)

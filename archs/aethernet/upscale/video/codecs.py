"""Codecs that results are written in: what they are called, and how they are told what is wanted."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from aethernet.checks import near
from aethernet.errors import UsageError
from aethernet.upscale.video.colours import Layout, layout_of
from aethernet.upscale.video.film import Film, Tags
from aethernet.upscale.video.library import pyav

X26X = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
NARROW = 64
"""Pixels: at 48 wide x265 4.2 writes over memory that is not its own."""


@dataclass(frozen=True)
class Codec:
    """One that is known by name.

    Attributes:
        encoder: FFmpeg's.
        crf: the default quality, and the least quality; None where it has none.
        presets: from fast to good; the default is `preset`.
        even: whether it takes even sizes alone.
        carries_aspect: whether the aspect of samples is in its own header.
    """

    encoder: str
    crf: float | None
    most: float
    presets: tuple[str, ...]
    preset: str
    even: bool = True
    carries_aspect: bool = False


CODECS = {
    "h264": Codec("libx264", 17, 51, X26X, "fast", carries_aspect=True),
    "hevc": Codec("libx265", 19, 51, X26X, "fast", carries_aspect=True),
    "av1": Codec("libsvtav1", 24, 63, tuple(str(each) for each in range(13, -1, -1)), "8"),
    "vp9": Codec("libvpx-vp9", 24, 63, tuple(str(each) for each in range(8, -1, -1)), "4"),
    "ffv1": Codec("ffv1", None, 0, (), "", even=False),
    "prores": Codec("prores_ks", None, 0, ("proxy", "lt", "standard", "hq"), "hq"),
}
ALIASES = {"x264": "h264", "avc": "h264", "x265": "hevc", "h265": "hevc", "265": "hevc", "264": "h264"}


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded: the same for all segments, so that they fit together.

    Attributes:
        codec: one of `CODECS`, or an encoder of FFmpeg.
        layout: of the samples, which the encoder takes.
        options: of the encoder.
        size: width and height, even where the codec needs that.
    """

    codec: str
    encoder: str
    layout: Layout
    options: Mapping[str, str]
    size: tuple[int, int]
    tags: Tags
    aspect: Fraction | None
    rate: Fraction
    carries_aspect: bool
    notes: tuple[str, ...] = ()


def plan_encoding(
    film: Film,
    size: tuple[int, int],
    codec: str | None,
    crf: float | None,
    preset: str | None,
    *,
    ending: str,
    threads: int,
) -> Encoding:
    """Chooses what was not asked for, and checks what was; `check_encoder` does the rest.

    Args:
        size: of the result: width and height.
        ending: of the file.

    Raises:
        UsageError: no such codec, quality or preset, or a size that it does not take.
    """
    wanted = film.layout
    if wanted.kind == "rgb" and film.is_frames and codec is None:
        wanted = Layout("yuv", (True, True), 8 if wanted.depth == 8 else 10)
    name = ALIASES.get(codec or "", codec) or default_codec(wanted, ending)
    known = CODECS.get(name)
    encoder = known.encoder if known else name
    formats = _formats(encoder, name)
    layout, notes = _fitting(wanted, formats, encoder)
    if wanted is not film.layout:
        notes.append("RGB becomes BT.709 in 4:2:0, which players take; --codec ffv1 keeps it")
    options = _options(name, known, crf, preset, threads, film)
    width, height = size
    if (known is None or known.even) and layout.kind != "grey" and (width % 2 or height % 2):
        width, height = width + width % 2, height + height % 2
        notes.append(
            f"{width}x{height} in the place of {size[0]}x{size[1]}, with the last row or column twice: {name} takes even sizes"
        )
    if encoder == "libx265" and width < NARROW:
        raise UsageError(
            f"libx265 breaks off at pictures narrower than {NARROW} pixels, and {width}x{height} is asked for: give another --codec"
        )
    if film.light and encoder not in ("libx265", "libsvtav1"):
        notes.append(f"{encoder} does not write the light levels of HDR10, which the source has: --codec hevc does")
    tags = film.tags
    if layout.kind == "yuv" and film.layout.kind != "yuv":
        matrix = 1 if tags.matrix in (0, 2) else tags.matrix
        tags = replace(tags, matrix=matrix, range=1 if film.layout.kind == "rgb" else tags.range)
    if layout.kind == "rgb":
        tags = replace(tags, matrix=0, range=2)
    encoding = Encoding(
        name, encoder, layout, options, (width, height), tags, film.aspect, film.rate,
        bool(known and known.carries_aspect), tuple(notes),
    )  # fmt: skip
    return encoding


def default_codec(layout: Layout, ending: str) -> str:
    """H.264 plays everywhere, but more than 8 bits nearly nowhere; WebM holds neither."""
    if ending == ".webm":
        return "av1" if layout.halved == (True, True) else "vp9"
    return "h264" if layout.depth == 8 and layout.kind != "rgb" else "hevc"


def _formats(encoder: str, name: str) -> list[str]:
    av = pyav()
    try:
        codec = av.Codec(encoder, "w")
    except (av.error.FFmpegError, ValueError) as error:
        lacks = "this FFmpeg has no encoder for it" if name in CODECS else f"there is no such codec{_like(name)}"
        raise UsageError(
            f"--codec {name}: {lacks}: give {', '.join(CODECS)}, or an encoder of FFmpeg by its name"
        ) from error
    if codec.type != "video":
        raise UsageError(f"--codec {name}: encodes {codec.type}, not video: known: {', '.join(CODECS)}")
    return [each.name for each in codec.video_formats or []]


def _like(name: str) -> str:
    """As `, but h264, h265`: names that are near, of codecs and of FFmpeg's encoders; empty where none is."""
    av = pyav()
    known = [each for each in (*CODECS, *ALIASES) if not each.isdigit()]

    def encodes(codec: str) -> bool:
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            return av.Codec(codec, "w").type == "video"
        return False

    found = near(name, [*known, *av.codecs_available], most=9)
    found = [each for each in found if each in known or encodes(each)][:3]
    return f", but {', '.join(found)}" if found else ""


def _fitting(wanted: Layout, formats: list[str], encoder: str) -> tuple[Layout, list[str]]:
    """The layout nearest to that of the source which an encoder takes."""
    found = [each for each in map(layout_of, formats) if each is not None]
    if not found:
        raise UsageError(f"--codec {encoder}: takes none of the pixel formats that are written here")

    def distance(layout: Layout) -> tuple:
        kind = 0 if layout.kind == wanted.kind else 1 + ("yuv", "rgb", "grey").index(layout.kind) * 2
        lost = [mine and not its for mine, its in zip(layout.halved, wanted.halved, strict=True)]
        more = [its and not mine for mine, its in zip(layout.halved, wanted.halved, strict=True)]
        if wanted.kind == "grey":
            lost, more = [False, False], [not each for each in layout.halved]
        return kind, layout.depth < wanted.depth, sum(lost), sum(more), abs(layout.depth - wanted.depth)

    best = min(found, key=distance)
    notes = []
    if best.depth < wanted.depth:
        notes.append(f"{encoder} takes {best.depth} bits: the {wanted.depth} bits of the source are rounded")
    kind, _, lost, _, _ = distance(best)
    if lost or (kind and wanted.kind != "grey"):
        notes.append(f"{encoder} takes {best.name} in the place of {wanted.name}, which is less")
    return best, notes


def _options(
    name: str, known: Codec | None, crf: float | None, preset: str | None, threads: int, film: Film
) -> dict[str, str]:
    options = {"threads": str(threads)}
    if known is not None:
        if crf is not None and known.crf is None:
            raise UsageError(f"--crf: {name} has no such quality: leave it out")
        if crf is not None and not 0 <= crf <= known.most:
            raise UsageError(f"--crf must be from 0 (best) to {known.most:g} for {name}, not {crf:g}")
        if preset is not None and preset not in known.presets:
            allowed = ", ".join(known.presets) or "none at all"
            raise UsageError(f"--preset for {name} must be one of {allowed}, not {preset!r}")
    else:
        options |= _of_others(name, crf, preset)
    preset = preset or (known.preset if known else None)
    quality = None if known is None else crf if crf is not None else known.crf
    encoder = known.encoder if known else name
    if quality is not None:
        options["crf"] = f"{quality:g}"
    if encoder in ("libx264", "libx265") and preset:
        options["preset"] = preset
    if encoder == "libx265":
        light = "".join(f":{key}={value}" for key, value in film.light.items())
        repeat = ":hdr10=1:repeat-headers=1" if film.light else ""
        options["x265-params"] = f"log-level=none:pools={threads}:frame-threads={min(threads, 4)}{light}{repeat}"
    elif encoder == "libsvtav1":
        options["preset"] = preset or "8"
        parameters = [f"lp={threads}"]
        if "max-cll" in film.light:
            parameters.append(f"content-light={film.light['max-cll']}")
        if "master-display" in film.light:
            parameters.append(f"mastering-display={_as_fractions(film.light['master-display'])}")
        options["svtav1-params"] = ":".join(parameters)
    elif encoder == "libvpx-vp9":
        options |= {"b": "0", "deadline": "good", "cpu-used": preset or "4", "row-mt": "1"}
    elif encoder == "ffv1":
        options |= {"level": "3", "slices": "4", "slicecrc": "1"}
    elif encoder == "prores_ks":
        options["profile"] = preset or "hq"
    return options


def _of_others(encoder: str, crf: float | None, preset: str | None) -> dict[str, str]:
    """Quality and preset for an encoder that is given by FFmpeg's name, by the names that it has for them."""
    names = {each.name for each in pyav().CodecContext.create(encoder, "w").supported_options.private}
    options = {}
    if crf is not None:
        if "crf" in names:
            options["crf"] = f"{crf:g}"
        elif "cq" in names:  # of NVIDIA
            options |= {"rc": "vbr", "cq": f"{crf:g}", "b": "0"}
        else:
            raise UsageError(f"--crf: {encoder} has no such quality: leave it out")
    if preset is not None:
        if "preset" not in names:
            raise UsageError(f"--preset: {encoder} has none: leave it out")
        options["preset"] = preset
    return options


def _as_fractions(display: str) -> str:
    """x265's whole numbers as SVT-AV1's fractions."""

    def point(match: re.Match[str]) -> str:
        unit = 10000 if match[1] == "L" else 50000
        return f"{match[1]}({int(match[2]) / unit:.4f},{int(match[3]) / unit:.4f})"

    return re.sub(r"([A-Z]+)\((\d+),(\d+)\)", point, display)

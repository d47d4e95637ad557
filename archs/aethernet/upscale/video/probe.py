"""What a video file says of its pictures, and what would stop the work in it, looked at before anything is computed."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from aethernet.data.picture.reading import MOST_PIXELS
from aethernet.errors import DataError, UsageError
from aethernet.upscale.video.colours import FULL, WEIGHTS, Layout, layout_of
from aethernet.upscale.video.film import (
    MATRICES,
    RANGES,
    STANDARD_HEIGHT,
    Assumptions,
    Film,
    Tags,
    is_cover,
    plausible,
)
from aethernet.upscale.video.library import FrameSequence, decoded, open_source, pyav, reading

UNKNOWN = 2
"""Of matrices, primaries and transfers, in ITU-T H.273."""
TITLES = {
    0: "RGB", 1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M", 8: "YCgCo", 9: "BT.2020",
    10: "BT.2020 with constant luminance", 14: "ICtCp", 15: "IPT-C2 (Dolby Vision)",
}  # fmt: skip
TRANSFERS = {16: "PQ", 18: "HLG"}
DEINTERLACE = "ffmpeg -i {name} -vf bwdif -c:a copy -c:s copy -map 0 -crf 12 progressive.mkv"
MICROSECONDS = 10**6
GLANCES = 6
"""Places of a film that are looked at before the work."""
INTERLACED = (2, 3, 4, 5)
"""FFmpeg's numbers of orders of fields; 0 is unknown and 1 progressive."""


def probe(path: str | Path | FrameSequence, assume: Assumptions | None = None, stream: int | None = None) -> Film:
    """Opens a video and decodes its first frame.

    Args:
        stream: the index of the stream of pictures, where there are several.

    Raises:
        DataError: no video, or one that cannot be enlarged, with what to do.
        UsageError: a `stream` that is none.
    """
    assume = assume or Assumptions()
    if isinstance(path, str):
        path = Path(path)
    with open_source(path) as container:
        chosen = choose_stream(path, container, stream)
        width, height = chosen.codec_context.width, chosen.codec_context.height
        if width * height > MOST_PIXELS:
            raise DataError(f"{path}: frames of {width}x{height} are more than {MOST_PIXELS} pixels")
        said = (chosen.codec_context.colorspace, chosen.codec_context.color_primaries, chosen.codec_context.color_trc)
        frame = first_frame(path, container, chosen)
        order = chosen.codec_context.field_order
        if not assume.progressive and (frame.interlaced_frame or order in INTERLACED):
            raise DataError(interlaced(path))
        _look_ahead(path, container, chosen, frame, assume)
        layout, notes = usable_layout(path, frame.format)
        if chosen.metadata.get("alpha_mode") == "1" and not any(each.is_alpha for each in frame.format.components):
            notes.append("transparency is not kept")  # of WebM, beside the frames
        tags, more = _tags(path, frame, said, layout, assume)
        rate = chosen.average_rate or chosen.guessed_rate or Fraction(25)
        return Film(
            path, chosen.index, chosen.codec_context.name, (frame.width, frame.height), layout, tags,
            chosen.sample_aspect_ratio or None, _display_matrix(frame), chosen.time_base, plausible(rate),
            _light(frame), tuple(notes + more + _losses(frame)), assume.progressive,
            max(Fraction(0), Fraction(container.start_time or 0, MICROSECONDS)),
        )  # fmt: skip


def choose_stream(path: Path | FrameSequence, container: Any, wanted: int | None) -> Any:
    """The stream of pictures; covers are none."""
    videos = [each for each in container.streams if each.type == "video"]
    films = [each for each in videos if not is_cover(each)]
    if wanted is not None:
        found = [each for each in films if each.index == wanted]
        if not found:
            has = ", ".join(str(each.index) for each in films) or "none"
            raise UsageError(f"{path}: stream {wanted} is no video stream; those are: {has}")
        films = found
    if not films:
        kinds = sorted({each.type for each in container.streams if each.type}) or ["nothing"]
        what = "only a cover picture" if videos else f"only {' and '.join(kinds)}"
        raise DataError(f"{path}: has no video stream, {what}")
    if len(films) > 1:
        listed = ", ".join(f"{each.index} ({_size(each)})" for each in films)
        raise DataError(
            f"{path}: has {len(films)} video streams: say with --stream which one is to be enlarged: {listed}; the others are "
            "copied"
        )
    if films[0].codec_context is None:
        raise DataError(f"{path}: its video is of a codec that this FFmpeg does not know")
    return films[0]


def _size(stream: Any) -> str:
    context = stream.codec_context
    return "unknown" if context is None else f"{context.name}, {context.width}x{context.height}"


def first_frame(path: Path | FrameSequence, container: Any, stream: Any) -> Any:
    with reading(path):
        for frame in decoded(container, stream):
            return frame
    raise DataError(f"{path}: no frame of its video can be decoded: damaged, empty or encrypted")


def _look_ahead(path: Path | FrameSequence, container: Any, stream: Any, first: Any, assume: Assumptions) -> None:
    """Looks at some later frames for what would stop the work there, hours later: other sizes, and fields."""
    av, length = pyav(), container.duration
    if not length or isinstance(path, FrameSequence):
        return
    for part in range(1, GLANCES + 1):
        try:
            container.seek((container.start_time or 0) + length * part // (GLANCES + 1))
            frame = next(decoded(container, stream), None)
        except (av.error.FFmpegError, OSError, OverflowError):
            return
        if frame is None:
            return
        check_frame(path, frame, (first.width, first.height), assume.progressive, stream.time_base)


def check_frame(
    path: Path | FrameSequence, frame: Any, size: tuple[int, int], progressive: bool, time_base: Fraction
) -> None:
    """Raises `DataError` for a frame that is interlaced or of another size than the first one."""
    at = "" if frame.pts is None else f" at {float(frame.pts * time_base):.3f} s"
    if (frame.width, frame.height) != size:
        raise DataError(
            f"{path}: frames change from {size[0]}x{size[1]} to {frame.width}x{frame.height}{at}: cut it there, and enlarge the "
            "parts one by one"
        )
    if frame.interlaced_frame and not progressive:
        raise DataError(f"{interlaced(path)} (as the frame{at})")


def interlaced(path: Path | FrameSequence) -> str:
    command = DEINTERLACE.format(name=path.name)
    return (
        f"{path}: is interlaced: its frames are two fields of different moments each, which a network would smear. Make it "
        f"progressive first, as by `{command}`; or say --assume-progressive if it is marked so by mistake"
    )


def usable_layout(path: Path | FrameSequence, format: Any) -> tuple[Layout, list[str]]:
    """What frames of one of FFmpeg's formats are converted to, without loss; and what is lost nevertheless."""
    layout = layout_of(format.name)
    if layout is not None:
        return layout, []
    names = [component.is_alpha for component in format.components]
    notes = ["transparency is not kept"] if any(names) else []
    if format.name.startswith(("xyz", "bayer", "vaapi", "cuda")) or not format.components:
        raise DataError(f"{path}: pixels of format {format.name} cannot be enlarged")
    bits = max(component.bits for component in format.components)
    depth = next((each for each in (8, 9, 10, 12, 14, 16) if each >= bits), 16)
    if format.name.startswith("mono"):
        return Layout("grey"), notes
    if format.is_rgb or format.has_palette:
        return Layout("rgb", depth=depth if depth in (8, 9, 10, 12, 14, 16) else 16), notes
    if len(format.components) - any(names) == 1:
        return Layout("grey", depth=depth), notes
    halved = (format.chroma_width(64) < 64, format.chroma_height(64) < 64)
    if format.chroma_width(64) < 32 or format.chroma_height(64) < 32:
        halved = (False, False)  # a quarter of the columns, as DV has it: FFmpeg enlarges chroma
    return Layout("yuv", halved, depth), notes


def _tags(
    path: Path | FrameSequence, frame: Any, said: Sequence[int], layout: Layout, assume: Assumptions
) -> tuple[Tags, list[str]]:
    """The tags that the result gets, and in words what was assumed. The stream's header counts where frames say nothing."""
    found = [int(value) for value in (frame.colorspace, frame.color_primaries, frame.color_trc)]
    matrix, primaries, transfer = (
        int(own) if value == UNKNOWN else value for value, own in zip(found, said, strict=True)
    )
    range_, notes = int(frame.color_range), []
    if frame.format.name.startswith("yuvj"):
        range_ = FULL
    if layout.kind == "yuv":
        if matrix in (UNKNOWN, 3):
            rows = min(frame.width, frame.height)
            name = assume.matrix or ("bt601" if rows <= STANDARD_HEIGHT else "bt709")
            matrix = MATRICES[name]
            if assume.matrix is None:
                notes.append(
                    f"says nothing of its colour matrix: taken for {TITLES[matrix]}, as usual for {rows} rows; --assume-matrix "
                    "sets it"
                )
        elif matrix == 0:
            raise DataError(f"{path}: says that its luma and chroma are RGB: such streams cannot be converted")
        if matrix not in WEIGHTS:
            raise DataError(
                f"{path}: colours coded as {TITLES.get(matrix, f'matrix {matrix}')} cannot be enlarged: convert it to BT.709 or "
                "BT.2020 first"
            )
    else:
        matrix = found[0]
    if range_ not in (1, FULL) and layout.kind != "rgb":
        range_ = RANGES[assume.range or "tv"]
        if assume.range is None:
            notes.append("says nothing of its range: taken for 16 to 235 (tv); --assume-range sets it")
    if transfer in TRANSFERS:
        notes.append(
            f"is HDR ({TRANSFERS[transfer]}): its values are enlarged as they are coded, by a network that knows SDR pictures, "
            "and its tags are kept"
        )
    return Tags(matrix, primaries, transfer, range_), notes


def _side_data(frame: Any) -> dict[str, bytes]:
    return {each.type.name: bytes(each) for each in frame.side_data}


def _display_matrix(frame: Any) -> tuple[int, ...] | None:
    data = _side_data(frame).get("DISPLAYMATRIX", b"")
    return tuple(int(value) for value in np.frombuffer(data, np.int32)) if len(data) == 36 else None


def _light(frame: Any) -> dict[str, str]:
    """From the side data of a frame, see `Film`."""
    data, found = _side_data(frame), {}
    if len(display := data.get("MASTERING_DISPLAY_METADATA", b"")) >= 88:
        numbers = struct.unpack_from("=20i2i", display)
        values = [numbers[place] / (numbers[place + 1] or 1) for place in range(0, 20, 2)]
        if numbers[20] and numbers[21]:
            red, green, blue, white = (values[place : place + 2] for place in range(0, 8, 2))
            chromaticities = zip("GBR", (green, blue, red), strict=True)
            points = [f"{name}({round(x * 50000)},{round(y * 50000)})" for name, (x, y) in chromaticities]
            points.append(f"WP({round(white[0] * 50000)},{round(white[1] * 50000)})")
            found["master-display"] = f"{''.join(points)}L({round(values[9] * 10000)},{round(values[8] * 10000)})"
    if len(level := data.get("CONTENT_LIGHT_LEVEL", b"")) >= 8:
        found["max-cll"] = "{},{}".format(*struct.unpack_from("=2I", level))
    return found


def _losses(frame: Any) -> list[str]:
    names = {"DOVI_RPU_BUFFER": "Dolby Vision", "DOVI_METADATA": "Dolby Vision", "DYNAMIC_HDR_PLUS": "HDR10+",
             "DYNAMIC_HDR_VIVID": "HDR Vivid", "A53_CC": "closed captions inside the pictures", "FILM_GRAIN_PARAMS": "film grain"}  # fmt: skip
    lost = sorted({names[name] for name in _side_data(frame) if name in names})
    return [f"not kept: {' and '.join(lost)}, which the frames carry"] if lost else []

"""Small films of every kind, made by PyAV, and what is in a film, for the tests of video."""

from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from aethernet.upscale.video.colours import layout_of
from aethernet.upscale.video.decode import planes_of
from aethernet.upscale.video.film import is_cover
from aethernet.upscale.video.library import decoded

STEPS = (3600, 3003, 7200, 1501)
"""Between frames of variable rate, in 90,000ths of a second; in Matroska whole milliseconds."""
CHAPTERS = [
    {"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}},
    {"id": 2, "start": 400, "end": 900, "time_base": Fraction(1, 1000), "metadata": {"title": "Zwei ä"}},
]
QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def noise(size: tuple[int, int], format: str, count: int, seed: int = 0) -> list[list[np.ndarray]]:
    """Planes of frames: smooth noise that moves."""
    generator, layout = np.random.default_rng(seed), layout_of(format)
    width, height = size
    top = 2**layout.depth
    frames = []
    for _ in range(count):
        shapes = [layout.plane_shape(plane, height, width) for plane in range(layout.channels)]
        frames.append([generator.integers(top // 8, top - top // 8, shape).astype(layout.dtype) for shape in shapes])
    return frames


def video_frame(planes: list[np.ndarray], format: str, time: int, time_base: Fraction) -> Any:
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], format)
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, samples.dtype).reshape(-1, plane.line_size // samples.itemsize)
        rows[: samples.shape[0], : samples.shape[1]] = samples
    frame.pts, frame.time_base = time, time_base
    return frame


def write_film(
    path: Path,
    count: int = 12,
    size: tuple[int, int] = (32, 24),
    *,
    codec: str = "libx264",
    format: str = "yuv420p",
    options: dict[str, str] | None = None,
    steps: tuple[int, ...] = (3600,),
    tags: tuple[int, int, int, int] = (1, 1, 1, 1),
    aspect: Fraction | None = None,
    turned: bool = False,
    audio: int = 0,
    subtitles: tuple[str, ...] = (),
    chapters: bool = False,
    attachment: bytes = b"",
    frames: list[list[np.ndarray]] | None = None,
    metadata: dict[str, str] | None = None,
    container: str | None = None,
) -> list[int]:
    """Writes a film; gives the times of its frames in 90,000ths of a second.

    Args:
        steps: between frames, again and again.
        tags: matrix, primaries, transfer, range.
    """
    base, layout = Fraction(1, 90000), layout_of(format)
    options = {"bf": "3", "crf": "12"} if options is None and codec == "libx264" else options or {}
    if codec == "libx265":
        options = {"x265-params": "log-level=none", **options}
    frames = noise(size, format, count) if frames is None else frames
    assert layout is not None
    with av.open(str(path), "w", format=container) as out:
        video = out.add_stream(codec, rate=25, options=options)
        video.width, video.height, video.pix_fmt = size[0], size[1], format
        context = video.codec_context
        context.time_base = video.time_base = base
        if codec in ("mpeg4", "mpeg2video"):
            context.time_base = Fraction(1, 25)
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
        if aspect:
            context.sample_aspect_ratio = aspect
        if turned:
            video.set_display_matrix(QUARTER_TURN)
        video.metadata.update(language="ger", title="Bild")
        sounds = [out.add_stream("aac", rate=48000) for _ in range(audio)]
        for number, sound in enumerate(sounds):
            sound.layout = "stereo"
            sound.metadata.update(language=("deu", "eng", "fra")[number])
        texts = [out.add_mux_stream(each, time_base=Fraction(1, 1000)) for each in subtitles]
        for text in texts:
            text.metadata["language"] = "swe"
        if attachment:
            out.add_attachment("type.ttf", "application/x-truetype-font", attachment)
        out.metadata.update({"title": "A film", **(metadata or {})})
        if chapters:
            out.set_chapters(CHAPTERS)
        times, time = [], 0
        for number, planes in enumerate(frames):
            frame = video_frame(planes, format, time, base)
            frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = tags
            out.mux(video.encode(frame))
            times.append(time)
            time += steps[number % len(steps)]
        out.mux(video.encode(None))
        generator = np.random.default_rng(1)
        for sound in sounds:
            for block in range(max(2, time * 48 // 90 // 1024)):
                samples = generator.standard_normal((2, 1024)).astype(np.float32) / 8
                frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48000, block * 1024, Fraction(1, 48000)
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
        for number, (text, kind) in enumerate(zip(texts, subtitles, strict=True)):
            for line in range(3):
                words = f"line {line} of {number}"
                content = f"{line},0,Default,,0,0,0,,{words}" if kind == "ass" else words
                packet = av.Packet(content.encode())
                packet.pts = packet.dts = 50 + 120 * line
                packet.duration, packet.time_base, packet.stream = 100, Fraction(1, 1000), text
                out.mux(packet)
    return times


def read_film(path: Path) -> dict[str, Any]:
    """What a file holds: packets, streams, chapters, tags, and the frames of its film in the order in which they are shown."""
    with av.open(f"file:{path}", metadata_errors="surrogateescape") as container:
        packets = defaultdict(list)
        for packet in container.demux():
            if packet.size:
                times = [
                    None if time is None else time * packet.time_base
                    for time in (packet.pts, packet.dts, packet.duration)
                ]
                packets[packet.stream_index].append((*times, bytes(packet)))
        streams = [
            (each.type, None if each.codec_context is None else each.codec_context.name,
             {key: value for key, value in each.metadata.items() if key not in ("DURATION", "encoder")},
             None if each.type == "attachment" else int(each.disposition), getattr(each, "data", None))
            for each in container.streams
        ]  # fmt: skip
        chapters = [
            (each["start"] * each["time_base"], each["end"] * each["time_base"], each["metadata"])
            for each in container.chapters()
        ]
        metadata = {key.lower(): value for key, value in container.metadata.items()}
    with av.open(f"file:{path}", metadata_errors="surrogateescape") as container:
        video = next(each for each in container.streams.video if not is_cover(each))
        frames = list(decoded(container, video))
        first = frames[0]
        layout = layout_of(first.format.name)
        return {
            "packets": dict(packets), "streams": streams, "chapters": chapters, "metadata": metadata, "index": video.index,
            "times": [frame.pts * video.time_base for frame in frames],
            "frames": [[plane.copy() for plane in planes_of(frame, layout)] for frame in frames],
            "size": (first.width, first.height), "format": first.format.name,
            "tags": (first.colorspace, first.color_primaries, first.color_trc, first.color_range),
            "aspect": video.sample_aspect_ratio, "rotation": first.rotation,
            "side data": {each.type.name: bytes(each) for each in first.side_data},
        }  # fmt: skip

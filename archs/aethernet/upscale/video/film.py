"""What a video file is: its stream of pictures, and what of it has to be kept."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from aethernet.upscale.video.colours import FULL, Layout
from aethernet.upscale.video.library import FrameSequence

ENDINGS = (
    ".mkv", ".mk3d", ".mp4", ".m4v", ".mov", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".m2v", ".vob", ".wmv",
    ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".mxf", ".nut", ".y4m", ".h264", ".h265", ".264", ".265", ".hevc", ".ivf",
    ".dv", ".rm", ".rmvb", ".divx",
)  # fmt: skip
"""Of files that are taken for videos."""
MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
RANGES = {"tv": 1, "pc": FULL}
STANDARD_HEIGHT = 576
"""Untagged pictures of no more rows are taken for BT.601, as players do."""


@dataclass(frozen=True)
class Assumptions:
    """What is taken where the stream says nothing.

    Attributes:
        matrix: `bt601`, `bt709` or `bt2020`; by default by the number of rows.
        range: `tv` (16 to 235) or `pc` (0 to 255).
        progressive: frames that are marked as interlaced are none.
    """

    matrix: Literal["bt601", "bt709", "bt2020"] | None = None
    range: Literal["tv", "pc"] | None = None
    progressive: bool = False


@dataclass(frozen=True)
class Tags:
    """How samples mean colours, in the numbers of ITU-T H.273; the range in FFmpeg's (1: 16 to 235, 2: full)."""

    matrix: int
    primaries: int
    transfer: int
    range: int


@dataclass(frozen=True)
class Film:
    """The pictures of a video file.

    Attributes:
        stream: its index in the file.
        size: width and height in samples.
        layout: what frames are converted to first, without loss.
        tags: as they are written: those of the stream, with what was assumed.
        aspect: of a sample; None where it is not known.
        matrix: that players turn the picture by, nine whole numbers; None for none.
        light: of the display that it was mastered on, and of the lightest frames, as x265 and SVT-AV1 are told of them.
        rate: frames a second, on average; for encoders.
        begins: the time of the file's beginning in seconds: recordings of broadcasts count from anywhere.
        notes: what the user should know.
    """

    path: Path | FrameSequence
    stream: int
    codec: str
    size: tuple[int, int]
    layout: Layout
    tags: Tags
    aspect: Fraction | None
    matrix: tuple[int, ...] | None
    time_base: Fraction
    rate: Fraction
    light: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    progressive: bool = False
    begins: Fraction = Fraction(0)

    @property
    def is_frames(self) -> bool:
        """Whether they are pictures, one by one, and no film yet: of a folder, or raw."""
        return isinstance(self.path, FrameSequence) or not self.codec

    @property
    def is_turned(self) -> bool:
        """Whether rows are shown as columns."""
        return self.matrix is not None and abs(self.matrix[1]) > abs(self.matrix[0])

    @property
    def shown_rows(self) -> int:
        return self.size[0 if self.is_turned else 1]


def is_cover(stream: Any) -> bool:
    av_attached = 1 << 10
    return bool(int(stream.disposition) & av_attached)


def plausible(rate: Fraction) -> Fraction:
    """A rate that encoders take."""
    rate = Fraction(rate).limit_denominator(1001)
    return min(max(rate, Fraction(1)), Fraction(1000))

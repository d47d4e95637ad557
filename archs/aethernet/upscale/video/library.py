"""PyAV, FFmpeg's libraries in Python: imported where it is used, its errors as ours."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

from aethernet.errors import DataError, one_line
from aethernet.optional import optional_package

FRAMES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
"""Of pictures that are read as frames."""
INSTALL = '"av>=18.1"'


def pyav() -> ModuleType:
    """Raises `MissingDependencyError` where it is not installed."""
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 else tells its settings at every start
    av = optional_package("av", "video", INSTALL)
    kinds = av.sidedata.sidedata.Type
    if "_missing_" not in vars(kinds):
        kinds._missing_ = classmethod(_unknown_side_data)
    return av


def _unknown_side_data(kinds: Any, value: int) -> Any:
    """A kind that FFmpeg has and PyAV does not know yet, as EXIF in 18.1: it breaks off at all that such a frame carries."""
    kind = object.__new__(kinds)
    kind._name_, kind._value_ = f"UNKNOWN_{value}", value
    return kinds._value2member_map_.setdefault(value, kind)


@dataclass(frozen=True)
class FrameSequence:
    """Pictures that are the frames of a film, by the pattern of their names, such as frames/%06d.png.

    Attributes:
        first: the number of the first frame.
        count: frames, in one row of numbers.
    """

    pattern: Path
    rate: Fraction
    first: int
    count: int

    def __str__(self) -> str:
        return str(self.pattern)

    @property
    def name(self) -> str:
        return self.pattern.name


def open_source(path: "str | Path | FrameSequence") -> Any:
    """A file opened for reading, as a context; raises `DataError` for what is none that FFmpeg reads.

    Text in other encodings than UTF-8 is read as it is and written back so.
    """
    with reading(path):
        if isinstance(path, FrameSequence):
            options = {"framerate": str(path.rate), "start_number": str(path.first)}
            return pyav().open(str(path), "r", format="image2", options=options)
        # A playlist in a file must not lead elsewhere.
        options = {"protocol_whitelist": "file"}
        return pyav().open(address(path), "r", options=options, metadata_errors="surrogateescape")


def address(path: str | Path) -> str:
    """A file for FFmpeg, which takes what stands before a colon in a bare name for a protocol."""
    return f"file:{os.fspath(path)}"


@contextlib.contextmanager
def reading(path: str | Path | FrameSequence) -> Iterator[None]:
    """PyAV's errors of a file that is read as `DataError`."""
    av = pyav()
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"{path}: {reason(error)}") from error
    except (ValueError, OverflowError, UnicodeError) as error:
        raise DataError(f"{path}: is no sound video ({one_line(error)})") from error


def reason(error: BaseException) -> str:
    """In words, without names and numbers of FFmpeg's."""
    av = pyav()
    if isinstance(error, av.error.InvalidDataError):
        return "is no video that FFmpeg reads, or damaged"
    text = getattr(error, "strerror", None) or one_line(error)
    return f"cannot be read: {text}" if isinstance(error, OSError) else f"is no sound video ({text})"


def decoded(container: Any, stream: Any, damaged: list[int] | None = None) -> Iterator[Any]:
    """Frames in the order in which they are shown, to the last one; packets that cannot be decoded are left out.

    Args:
        damaged: gets a number for each of these.
    """
    av = pyav()
    packets = container.demux(stream)
    ended = False
    while not ended:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            packet = None  # damaged from here on
            if damaged is not None:
                damaged.append(-1)
        ended = packet is None or packet.size == 0
        try:
            frames = stream.codec_context.decode(None if ended else packet)
        except av.error.EOFError:
            frames = []
        except (av.error.FFmpegError, ValueError):
            if damaged is not None:
                damaged.append(0)
            continue
        yield from frames


NUMBERED = re.compile(r"(.*?)(\d+)(\.[^.]+)")


def frame_sequence(folder: Path, rate: Fraction) -> FrameSequence:
    """The pictures of a folder as the frames of a film.

    Raises:
        DataError: no pictures, names that are not one row of numbers, or a number that is missing.
    """
    names = sorted(
        each.name for each in folder.iterdir() if each.suffix.lower() in FRAMES and not each.name.startswith(".")
    )
    found = [NUMBERED.fullmatch(name) for name in names]
    if not names or not all(found):
        what = (
            f"{names[[each is None for each in found].index(True)]} has no number" if names else "no picture is in it"
        )
        raise DataError(f"{folder}: {what}: frames are named by numbers, as 000001.png, {' '.join(FRAMES)}")
    parts = [match.groups() for match in found if match]
    kinds = {(before, ending) for before, _, ending in parts}
    if len(kinds) > 1:
        raise DataError(
            f"{folder}: {names[0]} and {names[-1]} are named differently: give a folder with the frames of one film"
        )
    ((before, ending),) = kinds
    numbers = sorted(int(number) for _, number, _ in parts)
    gap = next((place for place, number in enumerate(numbers, start=numbers[0]) if number != place), None)
    if gap is not None:
        raise DataError(f"{folder}: frame {gap} is missing, or there twice")
    width = len(parts[0][1])
    padded = all(len(number) == max(width, len(str(int(number)))) for _, number, _ in parts)
    if not padded:
        raise DataError(f"{folder}: numbers are written with {width} digits and with others: name them all in one way")
    name = f"{before.replace('%', '%%')}%0{width}d{ending}"
    return FrameSequence(Path(str(folder).replace("%", "%%")) / name, rate, numbers[0], len(numbers))

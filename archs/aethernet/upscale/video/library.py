"""PyAV, FFmpeg's libraries in Python: imported where it is used, its errors as ours."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from aethernet.errors import DataError, one_line
from aethernet.optional import optional_package

INSTALL = '"aethernet[video]"'


def pyav() -> ModuleType:
    """Raises `MissingDependencyError` where it is not installed."""
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 else tells its settings at every start
    return optional_package("av", "video", INSTALL)


def open_source(path: str | Path) -> Any:
    """A file opened for reading, as a context; raises `DataError` for what is none that FFmpeg reads.

    Text in other encodings than UTF-8 is read as it is and written back so.
    """
    with reading(path):
        return pyav().open(os.fspath(path), "r", metadata_errors="surrogateescape")


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
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

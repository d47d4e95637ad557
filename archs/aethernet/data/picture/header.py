"""What a picture file says of itself at its beginning: `read_header` decodes nothing."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

from aethernet.data.picture.animation import frame_count
from aethernet.data.picture.decoding import format_name, open_header


@dataclass(frozen=True)
class Header:
    """`format` is Pillow's name, as in `Picture`; `size` is (width, height) as it lies in the file, not yet turned."""

    format: str
    size: tuple[int, int]
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.size[0] * self.size[1] * self.frames


def read_header(file: Path | io.BytesIO) -> Header | None:
    """The header of a file; None where only `read_picture` can tell what it is, or that it is none."""
    if isinstance(file, Path) and not os.path.isfile(file):  # what is read from a pipe is gone
        return None
    try:
        with open_header(file) as image:
            return Header(format_name(image), image.size, frame_count(image))
    except Exception:  # damaged files make Pillow raise anything
        return None

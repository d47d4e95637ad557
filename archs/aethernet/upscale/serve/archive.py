"""Several results as one ZIP file, made while it is sent."""

import contextlib
import io
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

AT_ONCE = 2**18


class Pipe(io.RawIOBase):
    """What is written, until it is taken."""

    def __init__(self) -> None:
        self.parts = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, part) -> int:
        self.parts += part
        return len(part)

    def taken(self) -> bytes:
        part, self.parts = bytes(self.parts), bytearray()
        return part


def zipped(files: Sequence[tuple[str, BinaryIO]]) -> Iterator[bytes]:
    """The parts of a ZIP file of open files, which are closed at the end; pictures are packed already, and stored as they are."""
    with contextlib.ExitStack() as opened:
        for _, file in files:
            opened.enter_context(file)
        pipe, names = Pipe(), set[str]()
        with zipfile.ZipFile(pipe, "w") as archive:
            for name, file in files:
                entry = zipfile.ZipInfo(distinct(name, names), time.localtime()[:6])
                with archive.open(entry, "w", force_zip64=True) as target:
                    while part := file.read(AT_ONCE):
                        target.write(part)
                        yield pipe.taken()
                yield pipe.taken()
        yield pipe.taken()


def distinct(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken, also in other capitals; and takes it."""
    path, number, found = Path(name), 1, name
    while found.casefold() in taken:
        number += 1
        found = f"{path.stem}_{number}{path.suffix}"
    taken.add(found.casefold())
    return found

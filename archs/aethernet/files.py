"""Writing files whole or not at all, and their checksums."""

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

TOKEN = 12  # hexadecimal digits that tell temporary files apart
TEMPORARY = re.compile(rf"(\..*\.)[0-9a-f]{{{TOKEN}}}((?:\.[^.]*)?)", re.DOTALL)
LONGEST_NAME = 255  # bytes, on every common file system


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced and renamed over `path`, else removed.

    A reader sees the old file or the new one, never a part, also when the process is killed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_temporary_name(path, secrets.token_hex(TOKEN // 2)))
    # Made by open(), not by mkstemp: the file gets the rights that the user's umask gives to any new file. Kept, since
    # safetensors puts a file of its own in its place, which nobody else may read.
    temporary.touch(exist_ok=False)
    mode = stat.S_IMODE(temporary.stat().st_mode)
    try:
        yield temporary
        with open(temporary, "rb+") as file:  # Windows syncs only what is open for writing
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def temporaries(folder: Path, names: Iterable[str]) -> list[Path]:
    """What `atomic_path` made for files of these names in `folder`: left where its process was killed, or in use."""
    wanted = {_temporary_name(Path(name), "") for name in names}
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            parts = TEMPORARY.fullmatch(entry.name)
            if parts and parts[1] + parts[2] in wanted:
                found.append(Path(entry.path))
    return found


def name_problem(path: Path) -> str:
    """Why a file cannot have this name, nor its folder, which need not be there yet, have its own; "" if they can.

    The system tells it of a long one only when the file is renamed, after all work.
    """
    folder, names = path.parent, [path.name, _temporary_name(path, "0" * TOKEN)]
    while not os.path.isdir(folder) and folder != folder.parent:
        names.append(folder.name)
        folder = folder.parent
    try:
        most = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        most = LONGEST_NAME
    longest = max(len(os.fsencode(name)) for name in names)
    return "" if longest <= most else f"the name of its result would have {longest} bytes, and {most} are allowed there"


def _temporary_name(path: Path, token: str) -> str:
    """Hidden, of the same ending; of a long stem the checksum, since names end at 255 bytes."""
    stem = path.stem
    if len(os.fsencode(path.name)) > LONGEST_NAME - TOKEN - 2:
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()[: 2 * TOKEN]
    return f".{stem}.{token}{path.suffix}"


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sync_folder(folder: Path) -> None:
    """Makes a renaming in `folder` last through a loss of power, where the file system can."""
    if os.name != "posix":
        return  # folders cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse; the file itself is synced
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Writing files whole or not at all, and their checksums."""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from aethernet.errors import OutputError, one_line

TOKEN = 12  # hexadecimal digits that tell temporary files apart
TEMPORARY = re.compile(rf"(\..*\.)[0-9a-f]{{{TOKEN}}}((?:\.[^.]*)?)", re.DOTALL)
BLOCK = 2**20  # bytes that are read at once
LONGEST_NAME = 255  # bytes, on every common file system
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced and renamed over `path`, else removed.

    A reader sees the old file or the new one, never a part, also when the process is killed. A link is written through: what
    it points to is replaced. What is no file, such as a pipe or a device, gets the bytes as they are, and so does a file that
    this process's own output goes to (`/dev/stdout`): who replaced it would lose what is said later.

    Raises:
        OutputError: the place does not take a file, or the disk is full.
    """
    path = Path(path)
    with _translated(path):
        if path.is_dir():
            raise OutputError(f"{path} is a folder: give a file")
        if _takes_bytes(path):
            with tempfile.TemporaryDirectory() as folder:
                temporary = Path(folder) / path.name
                yield temporary
                stream_of = _own_output(path)
                if stream_of is not None:
                    sys.stdout.flush()
                with (
                    temporary.open("rb") as file,
                    open(path if stream_of is None else os.dup(stream_of), "wb", 0) as stream,
                ):
                    shutil.copyfileobj(file, stream)
            return
        place = _place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(_temporary_name(place, secrets.token_hex(TOKEN // 2)))
        try:
            # Made by open(), not by mkstemp: the file gets the rights that the user's umask gives to any new file. Kept,
            # since safetensors puts a file of its own in its place, which nobody else may read.
            temporary.touch(exist_ok=False)
            mode = stat.S_IMODE(temporary.stat().st_mode)
            yield temporary
            with open(temporary, "rb+") as file:  # Windows syncs only what is open for writing
                os.fsync(file.fileno())
            os.chmod(temporary, mode)
            os.replace(temporary, place)
            _sync_folder(place.parent)
        finally:
            with contextlib.suppress(OSError):  # the error that came before says more
                temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes a file whole or not at all, as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """The same of a text, in UTF-8 and with the line ends that it has."""
    write_bytes(path, text.encode())


def check_writable(path: Path) -> None:
    """Tries whether a file of this name can be written, before the work whose outcome it is to hold.

    Raises:
        OutputError: it cannot.
    """
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder: give a file")
        if _takes_bytes(path):
            return  # opening it could wait for its reader
        place = _place(path)
        folder = next(folder for folder in place.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise unwritable(path, error) from error


def real_path(path: str | Path) -> Path:
    """An absolute path without links; where links lead in a circle, as far as they do, while `Path.resolve` breaks off."""
    return Path(os.path.realpath(path))


def _place(path: Path) -> Path:
    """The file that is replaced where `path` is written: what it points to, if it is a link.

    Raises:
        OSError: links that lead in a circle.
    """
    if not path.is_symlink():
        return path
    with contextlib.suppress(FileNotFoundError):  # what it points to is made
        path.stat()
    return real_path(path)


def _takes_bytes(path: Path) -> bool:
    """Whether it is there and is not to be replaced: a pipe, a device, or what this process's own output goes to."""
    return path.exists() and (not path.is_file() or _own_output(path) is not None)


def _own_output(path: Path) -> int | None:
    """Which of this process's streams goes to it: 1, 2 or None."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):  # one that is closed
            if os.path.samestat(path.stat(), os.fstat(stream)):
                return stream
    return None


def unwritable(path: str | Path, error: OSError) -> OutputError:
    """The system's error in writing to a place as ours."""
    in_a_file = error.errno in (errno.EEXIST, errno.ENOTDIR)
    reason = "a folder in its path is a file" if in_a_file else error.strerror or one_line(error)
    help = "free some space, or give another place" if error.errno in FULL else "give another place"
    return OutputError(f"{path} cannot be written: {reason}: {help}")


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Errors in writing to `path` as ours; those of other files pass."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            name = Path(os.fsdecode(error.filename)).absolute()
            if (
                name.parent not in (path.absolute().parent, real_path(path).parent)
                and name not in path.absolute().parents
            ):
                raise
        raise unwritable(path, error) from error


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
    """Why a file cannot have this name, nor its folder, which need not be there yet, have its own, or be one; "" if they can.

    The system tells it of a long one only when the file is renamed, after all work.
    """
    folder, names = path.parent, [path.name, _temporary_name(path, "0" * TOKEN)]
    while not os.path.isdir(folder) and folder != folder.parent:
        if os.path.lexists(folder):
            return f"{folder} is no folder: give another place"
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
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


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

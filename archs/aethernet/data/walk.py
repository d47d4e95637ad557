"""What lies below a folder, links followed."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aethernet.files import real_path


@dataclass(frozen=True)
class Found:
    """A file below a folder, or a folder that cannot be read: `problem` is why."""

    path: Path
    problem: str = ""


def walk(root: Path, wanted: Callable[[Path], bool], leave_out: Path | None = None) -> Iterator[Found]:
    """Files that are wanted, and folders that cannot be read; nothing hidden.

    Links are followed, also those that lead nowhere, which are given as files; every folder is searched once, so that loops
    end. Folders themselves come before those that links lead to, so that files have the names of where they lie.

    Args:
        leave_out: a folder in which nothing is searched.
    """
    known = {_identity(leave_out)} if leave_out is not None and leave_out.is_dir() else set()
    folders, links = deque([root]), deque[Path]()
    while folders or links:
        folder = (folders or links).popleft()
        identity = _identity(folder)
        if identity in known:
            continue
        known.add(identity)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield Found(folder, f"cannot be read: {error.strerror or error}")
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                continue
            if path.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            elif (wanted(path) and (path.is_file() or entry.is_symlink())) or (
                entry.is_symlink() and not path.suffix and not path.exists()
            ):
                yield Found(path)


def _identity(folder: Path) -> tuple[int, int] | Path:
    """What is the same for all names of a folder."""
    try:
        status = folder.stat()
    except OSError:
        return folder
    return (status.st_dev, status.st_ino) if status.st_ino else real_path(folder)

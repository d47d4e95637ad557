"""The pictures that are meant by files, folders and patterns."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aethernet.data.picture.decoding import ENDINGS
from aethernet.data.walk import walk
from aethernet.errors import DataError, UsageError
from aethernet.files import real_path


@dataclass(frozen=True)
class Input:
    """One picture file.

    Attributes:
        place: its path below `root`, or its name.
        root: the folder that it was found in, or that its pattern begins with; None for a file that was named itself.
        is_folder: whether `root` was given as a folder.
        problem: why it cannot be read, where that is known already; of a folder, too.
    """

    path: Path
    place: Path
    root: Path | None = None
    is_folder: bool = False
    problem: str = ""

    @property
    def named(self) -> bool:
        return self.root is None


def find_inputs(given: Iterable[str | Path], leave_out: Path | None = None) -> list[Input]:
    """The pictures of files, of folders and all that is below them, and of patterns such as `photos/**/*.jpg`.

    Folders give what has an ending of a picture, in alphabetical order, but nothing hidden. Links are followed, and every
    folder is searched once. A file that is named is taken whatever its ending; one that does not exist has a problem.

    Args:
        leave_out: a folder of results, in which nothing is searched where it lies in another one.

    Raises:
        UsageError: an empty text.
        DataError: a folder or a pattern without any picture, or nothing but files that do not exist.
    """
    found: dict[tuple[Path, Path | None], Input] = {}
    for each in given:
        for picture in _found(each, leave_out):
            found.setdefault((picture.path, picture.root), picture)
    inputs = list(found.values())
    if inputs and all(each.named and each.problem for each in inputs):
        others = f"; nor can any of the {len(inputs)} that were given" if len(inputs) > 1 else ""
        raise DataError(f"{inputs[0].path}: {inputs[0].problem}{others}")
    return inputs


def _films(folder: Path) -> str:
    """What to do where a folder has videos in the place of pictures."""
    from aethernet.upscale.video.film import ENDINGS as films

    endings = sorted({file.suffix for file in folder.iterdir() if file.suffix.lower() in films})
    return (
        f", but videos, which are given by name: {' '.join(str(folder / f'*{each}') for each in endings)}"
        if endings
        else ""
    )


def _found(given: str | Path, leave_out: Path | None) -> Iterator[Input]:
    if not str(given):
        raise UsageError("an input is empty: give a picture, a folder or a pattern")
    path = Path(given)
    if os.path.isdir(path):
        files = walk(path, lambda file: file.suffix.lower() in ENDINGS, _strictly_in(leave_out, path))
        pictures = [Input(file.path, file.path.relative_to(path), path, True, file.problem) for file in files]
        pictures.sort(key=lambda picture: picture.place.parts)
        if not pictures:
            raise DataError(f"no picture below {path}{_films(path)}; known endings: {' '.join(sorted(ENDINGS))}")
        yield from pictures
    elif glob.has_magic(str(given)) and not os.path.lexists(path):
        root = _fixed_part(path)
        inside = _strictly_in(leave_out, root)
        matches = [Path(match) for match in sorted(glob.glob(str(given), recursive=True))]
        matches = [match for match in matches if os.path.isfile(match) and _strictly_in(match, inside) is None]
        if not matches:
            raise DataError(f"no file matches {given}")
        yield from (Input(match, match.relative_to(root), root) for match in matches)
    else:
        yield Input(path, Path(path.name), problem=_problem(path))


def _problem(path: Path) -> str:
    """Why nothing is there, or ""."""
    try:
        os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return ""


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before its first special character."""
    parts = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def _strictly_in(path: Path | None, folder: Path | None) -> Path | None:
    """The path, if it lies anywhere in the folder and is not that itself."""
    if path is None or folder is None:
        return None
    place, around = real_path(path), real_path(folder)
    return path if place != around and place.is_relative_to(around) else None

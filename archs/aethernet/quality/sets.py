"""Folders of test pictures, read when they are looked at."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from aethernet.data.damaged import Damaged, DamagedPicture
from aethernet.data.pictures import find_pictures, read_rgb
from aethernet.errors import DataError, UsageError
from aethernet.files import real_path
from aethernet.machine import cores
from aethernet.progress import Progress
from aethernet.wording import how_many

logger = logging.getLogger(__name__)

READERS = 8
"""Pictures that are opened at once to see whether they can be read."""


class PictureFolder(Mapping[str, np.ndarray]):
    """The pictures right inside a folder by file name without its ending, in alphabetical order.

    A colour picture is (H, W, 3) RGB uint8, a grey one (H, W) uint8. Nothing is kept in memory.

    Raises:
        DataError: no such folder, no picture in it, two pictures of one name, or (on access) an unreadable one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.paths: dict[str, Path] = {}
        self.left_out: list[Path] = []
        self.damaged: dict[str, DamagedPicture] = {}
        found = find_pictures(self.folder)
        for path in found:
            if path.parent != self.folder:
                self.left_out.append(path)
                continue  # a subfolder holds another set, or this one at low resolution
            if path.stem in self.paths:
                raise DataError(f"{self.folder} holds {self.paths[path.stem].name} and {path.name}: names must differ")
            self.paths[path.stem] = path
        if not self.paths:
            below = sorted({str(path.parent) for path in found})
            raise DataError(f"no picture right inside {self.folder}; give the folder itself: {', '.join(below[:5])}")

        folder = real_path(self.folder)
        is_role = folder.name.lower().startswith(("hr", "gt", "original"))
        self.name = f"{folder.parent.name}/{folder.name}" if is_role else folder.name
        """The folder's name; for a folder named HR, GTmod12 and the like, with its parent's."""

    @property
    def label(self) -> str:
        """What its figures stand under: the name, and of how many pictures they are where some are damaged."""
        return (
            f"{self.name} ({len(self.paths)} of {len(self.paths) + len(self.damaged)})" if self.damaged else self.name
        )

    def leave_out(self, name: str, problem: str) -> None:
        """Takes a damaged picture out of the set."""
        self.damaged[name] = DamagedPicture(f"{self.name}/{self.paths.pop(name).name}", problem)

    def __getitem__(self, name: str) -> np.ndarray:
        path = self.paths[name]
        try:
            picture, notices = read_rgb(path)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return picture[:, :, 0] if "grey made RGB" in notices else picture

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def picture_folders(folders: Sequence[str | Path | PictureFolder]) -> list[PictureFolder]:
    """Several sets. Those of one name are told apart by the folders above them; what lies in folders below is logged.
    A `PictureFolder` is taken as it is.

    Raises:
        DataError: as `PictureFolder` does. UsageError: one folder is given twice.
    """
    found = [each if isinstance(each, PictureFolder) else PictureFolder(each) for each in folders]
    places = [real_path(each.folder) for each in found]
    for each, place in zip(found, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"{each.folder} is given twice: its figures would be counted twice; give each set once")
        if each.left_out:
            below = sorted({str(path.relative_to(each.folder).parent) for path in each.left_out})
            more = f" and {len(below) - 3} more" if len(below) > 3 else ""
            logger.warning(
                "%s: %d of %s; those in folders below it (%s%s) are not part of the set: give such a folder as a set "
                "of its own",
                *(
                    each.folder,
                    len(each),
                    how_many(len(each) + len(each.left_out), "picture"),
                    ", ".join(below[:3]),
                    more,
                ),
            )
    for depth in range(2, max((len(place.parts) for place in places), default=0) + 1):
        names = Counter(each.name for each in found)
        for each, place in zip(found, places, strict=True):
            if names[each.name] > 1:
                each.name = "/".join(place.parts[-depth:])
    return found


class PictureFolders:
    """The pictures of several folders in turn, as pairs of `FOLDER/NAME` and the picture; at most `number`, spread evenly.

    All are opened here, and those that cannot be read are left out.

    Args:
        max_damaged: pictures that may be left out; None for none, where no option says so.

    Raises:
        DataError: as `PictureFolder` and `leave_out_damaged` do. UsageError: `number` below 1, or one folder given twice.
    """

    def __init__(
        self,
        folders: Sequence[str | Path],
        number: int | None = None,
        *,
        max_damaged: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        if number is not None and number < 1:
            raise UsageError(f"at least one picture is needed, not {number}")
        self.folders = picture_folders(folders)
        found = [(folder, name) for folder in self.folders for name in folder]
        last = len(found) - 1
        chosen = np.linspace(0, last, min(number or len(found), len(found))).round().astype(int)
        wanted = [found[index] for index in chosen]
        leave_out_damaged(self.folders, wanted, max_damaged, progress)
        self.entries = [(folder, name) for folder, name in wanted if name in folder]

    @property
    def damaged(self) -> list[DamagedPicture]:
        """Those that are left out."""
        return [each for folder in self.folders for each in folder.damaged.values()]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        for folder, name in self.entries:
            yield f"{folder.name}/{name}", folder[name]


def leave_out_damaged(
    folders: Sequence[PictureFolder],
    wanted: Sequence[tuple[PictureFolder, str]],
    max_damaged: int | None,
    progress: Progress | None = None,
    inputs: Sequence[tuple[PictureFolder, Mapping[str, Path]]] = (),
    option: str = "--max-damaged",
) -> None:
    """Opens pictures before anything is measured, and takes those that cannot be read out of their folders, so that all
    networks are measured on the same ones.

    Args:
        wanted: the pictures, as a folder of `folders` and a name in it.
        max_damaged: that may be left out, of all folders together; None for none, where no option says so.
        option: what sets `max_damaged`.
        inputs: files of ready-made inputs by name, with the folder that they belong to; a picture goes with its input.

    Raises:
        DataError: there are more, or every picture of a folder is damaged.
    """
    files = [(folder, name, folder.paths[name]) for folder, name in wanted]
    files += [(folder, name, paths[name]) for folder, paths in inputs for name in folder]
    problems: dict[tuple[int, str], tuple[Path, str]] = {}
    with ThreadPoolExecutor(min(READERS, cores())) as threads:
        read = threads.map(_problem, [path for *_, path in files])
        for done, ((folder, name, path), problem) in enumerate(zip(files, read, strict=True), start=1):
            if problem:
                problems.setdefault((folders.index(folder), name), (path, problem))
            if progress is not None:
                progress(done, len(files), name)
    option = option if max_damaged is not None else ""
    Damaged(max_damaged or 0, "the figures", option).leave_out(problems.values())
    for (place, name), (_, problem) in problems.items():
        folders[place].leave_out(name, problem)
    for folder in folders:
        if not folder:
            raise DataError(f"every picture of {folder.folder} is damaged: give another folder")


def damage_notes(folders: Sequence[PictureFolder]) -> list[str]:
    """What stands at figures of which damaged pictures are no part, a sentence for each folder."""
    notes = []
    for folder in folders:
        if folder.damaged:
            files = "; ".join(f"{each.file} ({each.problem})" for each in folder.damaged.values())
            total = how_many(len(folder) + len(folder.damaged), "picture")
            notes.append(f"{folder.name}: {len(folder)} of {total}; damaged and left out for all: {files}")
    return notes


def _problem(path: Path) -> str:
    try:
        read_rgb(path)
    except DataError as error:
        return str(error)
    return ""

"""The pictures that a data set section names, found as BasicSR will find them: folders, lists of names, or lmdb.

Only names and headers are read, and headers of `SAMPLES` pictures at most.
"""

import contextlib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aethernet.data.pictures import SUFFIXES, picture_size
from aethernet.errors import OptionError
from aethernet.integrations.basicsr.data.memory_dataset import folders, paired_files
from aethernet.wording import how_many

ROOTS = {
    "PairedImageDataset": ("dataroot_gt", "dataroot_lq"),
    "RealESRGANPairedDataset": ("dataroot_gt", "dataroot_lq"),
    "SingleImageDataset": ("dataroot_lq",),
    "RealESRGANDataset": ("dataroot_gt",),
}
LISTS = {
    "PairedImageDataset": "meta_info_file",
    "RealESRGANPairedDataset": "meta_info",
    "SingleImageDataset": "meta_info_file",
    "RealESRGANDataset": "meta_info",
}
"""The key of the text file with the names, where there is one."""

SYNTHETIC_COUNT = 10_000
"""The default of AetherSyntheticDataset."""

SAMPLES = 64
NAMED = 3
"""How many names a message lists."""

MAKE_PAIRS = "make pairs with `aethernet data prepare HR_DIR OUT`, or a small set with `aethernet data embedded DIR`"
LIST_NAMES = "name the list that `aethernet data prepare HR_DIR OUT` writes, OUT/meta_info_HR_sub.txt"
LMDB_LINE = re.compile(r"(?P<key>[^.]*)\S* \((?P<height>\d+), ?(?P<width>\d+)")

Size = tuple[int, int]
"""Width and height."""


@dataclass
class Pictures:
    """What was found for one data set: how many (None: not known), what is wrong, (name, HR size, LR size), and the names
    that BasicSR gives to results, without endings. `files` are all that it will open, those of an item together, if they are
    on disk; else they are the entries `names` of each of `lmdbs`. `damaged` are files whose headers cannot be read, and why; `below` are
    folders of pictures below those that are read, which are no part of the set."""

    count: int | None = None
    problems: list[str] = field(default_factory=list)
    sizes: list[tuple[str, Size, Size]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    files: list[tuple[Path, ...]] = field(default_factory=list)
    damaged: dict[Path, str] = field(default_factory=dict)
    below: list[Path] = field(default_factory=list)
    lmdbs: list[Path] = field(default_factory=list)

    def size(self, path: Path) -> Size | None:
        """Of a file, from its header; None where that does not tell, or is `damaged`."""
        try:
            return picture_size(path)
        except OSError as error:
            self.damaged[path] = f"cannot be read ({error})"
            return None


def look(place: str, section: Mapping) -> Pictures:
    """Finds the pictures of the section at `place`. Keys that are missing are left to other checks."""
    kind = section["type"].removesuffix("_basicsr")
    if kind == "AetherSyntheticDataset":
        count = section.get("num_images", SYNTHETIC_COUNT)
        return Pictures(count if isinstance(count, int) else None)
    if kind == "AetherMemoryDataset":
        return _look_into_memory_set(place, section)
    roots = ROOTS.get(kind, tuple(key for key in section if key.startswith("dataroot_")))
    lists = (LISTS[kind],) if kind in LISTS else ("meta_info_file", "meta_info")
    found = Pictures(problems=[*_missing(place, section, roots, lists, any_value=kind not in ROOTS)])
    backend = (section.get("io_backend") or {}).get("type")
    if found.problems or kind not in ROOTS or any(not isinstance(section.get(key), str) for key in roots):
        return found
    folders = [Path(section[key]) for key in roots]
    names = section.get(lists[0])
    if backend == "lmdb":
        _look_into_lmdb(found, place, roots, folders)
    elif backend == "disk" and names is not None:
        _look_at_list(found, f"{place}: {lists[0]}", Path(names), kind, folders, section)
    elif backend == "disk" and kind != "RealESRGANDataset":  # that one needs a list
        _look_into_folders(found, place, roots, folders, section)
    return found


def _missing(
    place: str, section: Mapping, roots: tuple[str, ...], lists: tuple[str, ...], *, any_value: bool
) -> Iterator[str]:
    for key in (*roots, *lists):
        value = section.get(key)
        if value is None or (any_value and not isinstance(value, str)):
            continue  # a missing root is told as a missing key; types from elsewhere may take lists of folders
        is_list = key in lists
        if not isinstance(value, str) or not (os.path.isfile(value) if is_list else os.path.isdir(value)):
            below = "" if os.path.isabs(str(value)) else f" (below the current folder {os.getcwd()})"
            remedy = MAKE_PAIRS
            if is_list:
                needed = section["type"].removesuffix("_basicsr") == "RealESRGANDataset"
                remedy = LIST_NAMES if needed else f"remove {key} to use whole folders"
            yield f"{place}: {key}: {value} is not a {'file' if is_list else 'folder'}{below}; correct it, or {remedy}"


def _look_into_memory_set(place: str, section: Mapping) -> Pictures:
    """All headers are read, since the pictures that are smaller than a patch do not count."""
    if section.get("dataroot_gt") is None:
        return Pictures()  # told as a missing key
    try:
        files = paired_files(section)
    except OptionError as error:
        return Pictures(problems=[f"{place}: {error}"])
    found = Pictures()
    patch = section.get("gt_size") if place.endswith(" train") else None
    least = patch if isinstance(patch, int) else 0
    smaller = 0
    for gt, lq in files:
        sizes = [found.size(path) for path in (gt, lq) if path is not None]
        if found.damaged.keys() & {gt, lq}:
            continue
        if sizes[0] and min(sizes[0]) < least:
            smaller += 1
        elif len(sizes) == 2 and sizes[0] and sizes[1]:
            found.sizes.append((gt.name, sizes[0], sizes[1]))
    found.count = len(files) - smaller - sum(bool(found.damaged.keys() & {*pair}) for pair in files)
    found.names = [gt.stem for gt, _ in files]
    found.files = [tuple(path for path in pair if path is not None) for pair in files]
    found.below = [path for folder in folders(section, "dataroot_gt") for path in _picture_folders(folder)]
    if smaller and not found.count:
        found.problems.append(
            f"{place}: gt_size: every picture of dataroot_gt ({smaller} in all) is smaller than {least}x{least}; use a smaller "
            "gt_size, or larger pictures"
        )
    return found


def _look_into_folders(
    found: Pictures, place: str, roots: tuple[str, ...], folders: list[Path], section: Mapping
) -> None:
    names = [_files(folder) for folder in folders]
    for key, folder, files in zip(roots, folders, names, strict=True):
        if not files:
            inside = "holds folders only, and BasicSR does not look into them" if _has_folders(folder) else "is empty"
            found.problems.append(f"{place}: {key}: {folder} {inside}; {MAKE_PAIRS}")
        others = [name for name in files if Path(name).suffix.lower() not in SUFFIXES]
        if others:
            found.problems.append(
                f"{place}: {key}: {folder} holds {_some(others)}, which BasicSR would open as a picture; "
                "move everything else out of the folder"
            )
    found.count = len(names[0])
    found.names = [os.path.splitext(name)[0] for name in names[-1]]
    found.files = [(folders[0] / name,) for name in names[0]]
    found.below = list(_picture_folders(folders[0]))
    if len(names) == 1 or found.problems:
        return
    template = section.get("filename_tmpl", "{}")
    if not isinstance(template, str) or template.replace("{}", "", 1) == template or "{" in template.replace("{}", ""):
        found.problems.append(f"{place}: filename_tmpl: must hold one {{}} for the name, not {template!r}")
        return
    partners = {name: _partner(name, template) for name in names[0]}
    present = set(names[1])
    lonely = sorted(name for name, partner in partners.items() if partner not in present)
    rest = sorted(present - set(partners.values()))
    if lonely or rest:
        parts = [f"no LR picture for {_some(lonely)}"] if lonely else []
        parts += [f"no HR picture for {_some(rest)}"] if rest else []
        found.problems.append(
            f"{place}: {roots[1]}: {len(names[0])} HR and {len(names[1])} LR pictures do not pair: {', '.join(parts)}. "
            f"Names and suffixes must agree (filename_tmpl: {template!r}); {MAKE_PAIRS}"
        )
        return
    found.files = [(folders[0] / name, folders[1] / partners[name]) for name in sorted(partners)]
    _measure(found, found.files)


def _look_at_list(found: Pictures, place: str, listing: Path, kind: str, folders: list[Path], section: Mapping) -> None:
    lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
    found.count = len(lines)
    if not lines:
        found.problems.append(f"{place}: {listing} is empty; it has one line for each picture")
    rows: list[tuple[Path, ...]] = []
    for number, line in enumerate(lines, start=1):
        names = [line.strip().split(" ")[0]]
        if kind == "RealESRGANPairedDataset":
            names = line.strip().split(", ")
        elif kind == "PairedImageDataset":
            names.append(_partner(names[0], str(section.get("filename_tmpl", "{}"))))
        if not names[0] or len(names) != len(folders):
            found.problems.append(
                f"{place}: line {number} of {listing} does not name {how_many(len(folders), 'file')}: {line!r}"
            )
            return
        rows.append(tuple(folder / name for folder, name in zip(folders, names, strict=True)))
    found.names = [row[-1].stem for row in rows]
    found.files = rows
    missing = [str(path) for row in rows for path in row if not path.is_file()]
    if missing:
        found.problems.append(f"{place}: {listing} names files that are not there: {_some(missing)}; correct the list")
    elif len(folders) == 2:
        _measure(found, rows)


def _look_into_lmdb(found: Pictures, place: str, roots: tuple[str, ...], folders: list[Path]) -> None:
    if importlib.util.find_spec("lmdb") is None:
        found.problems.append(f"{place}: io_backend: type: lmdb needs a package: pip install lmdb")
    tables = []
    for key, folder in zip(roots, folders, strict=True):
        absent = [name for name in ("data.mdb", "meta_info.txt") if not (folder / name).is_file()]
        if folder.suffix != ".lmdb" or absent:
            lack = f"lacks {' and '.join(absent)}" if absent else "does not end in .lmdb"
            found.problems.append(f"{place}: {key}: {folder} {lack}; give an .lmdb folder, or set io_backend: disk")
            continue
        table: dict[str, Size | None] = {}
        try:
            lines = (folder / "meta_info.txt").read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            found.problems.append(
                f"{place}: {key}: {folder}/meta_info.txt is no text in UTF-8 ({error}); write it anew"
            )
            continue
        for line in lines:
            match = LMDB_LINE.match(line)
            size = (int(match["width"]), int(match["height"])) if match else None
            table[line.split(".")[0]] = size
        tables.append(table)
    if found.problems:
        return
    found.count = len(tables[0])
    found.names = list(tables[-1])
    found.lmdbs = folders
    differing = sorted(set(tables[0]) ^ set(tables[-1]))
    if not found.count or differing:
        what = f"do not hold the same keys: {_some(differing)}" if differing else "are empty"
        found.problems.append(f"{place}: {' and '.join(roots)} {what}; create both anew from the same pictures")
    elif len(tables) == 2:
        rows = [(key, tables[0][key], tables[1][key]) for key in _sample(sorted(tables[0]))]
        found.sizes += [(key, gt, lq) for key, gt, lq in rows if gt and lq]


def _measure(found: Pictures, pairs: list[tuple[Path, ...]]) -> None:
    for gt, lq in _sample(pairs):
        sizes = found.size(gt), found.size(lq)
        if sizes[0] and sizes[1]:
            found.sizes.append((gt.name, sizes[0], sizes[1]))


def _partner(name: str, template: str) -> str:
    stem, suffix = os.path.splitext(os.path.basename(name))
    return template.replace("{}", stem, 1) + suffix


def _files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())


def _picture_folders(folder: Path) -> Iterator[Path]:
    """Folders right below it, links to such among them, that hold pictures."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            with contextlib.suppress(OSError), os.scandir(path) as entries:
                if any(Path(entry.name).suffix.lower() in SUFFIXES for entry in entries):
                    yield path


def _has_folders(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.is_dir() for entry in entries)


def _sample(items: list) -> list:
    """All items, or `SAMPLES` of them at even distances."""
    return [items[index * len(items) // SAMPLES] for index in range(SAMPLES)] if len(items) > SAMPLES else items


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more

"""What a prepared folder remembers: its parameters and every finished source, one JSON object a line.

A line is appended once all outputs of a source are in place. So a run that was stopped, even by a power cut, goes
on where it was: the next one redoes only what has no line.
"""

import dataclasses
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aethernet.errors import DataError, OutputError
from aethernet.files import write_text

FILE_NAME = "manifest.jsonl"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished source.

    `source` is its path below the HR folder with forward slashes, `size` in bytes and `mtime_ns` tell whether it
    changed since, `name` is the start of its outputs' names, `outputs` their stems, `smallest_side` that of the
    HR outputs in pixels, `notices` what was done to make it 8-bit RGB.
    """

    source: str
    size: int
    mtime_ns: int
    name: str
    outputs: tuple[str, ...]
    smallest_side: int
    notices: tuple[str, ...]


class Manifest:
    """The manifest of one folder: reads it or starts it, and appends to it.

    Raises:
        OutputError: the folder holds files but no manifest, or was made with other parameters.
        DataError: the manifest is damaged.
    """

    def __init__(self, directory: Path, parameters: dict) -> None:
        self.path = directory / FILE_NAME
        self.records: dict[str, Record] = {}
        head = {"format": FORMAT, "parameters": parameters}
        lines = _read_lines(directory)
        if lines:
            _check_parameters(directory, lines[0], head)
            for line in lines[1:]:
                record = Record(**{**line, "outputs": tuple(line["outputs"]), "notices": tuple(line["notices"])})
                self.records[record.source] = record
        self._head = head
        self._write()  # also drops a last line that was cut off

    def is_finished(self, source: str, size: int, mtime_ns: int) -> bool:
        record = self.records.get(source)
        return record is not None and (record.size, record.mtime_ns) == (size, mtime_ns)

    def drop(self, sources: Iterable[str]) -> None:
        """Forgets sources whose outputs are removed."""
        self.records = {source: record for source, record in self.records.items() if source not in set(sources)}
        self._write()

    def _write(self) -> None:
        lines = [self._head, *map(dataclasses.asdict, self.records.values())]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def add(self, record: Record) -> None:
        self.records[record.source] = record
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(record)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def name_sources(self, sources: list[str]) -> dict[str, str]:
        """A name for each source: its stem, led by its folders or followed by a number where that is taken.

        Finished sources keep theirs. Names hold only what BasicSR's file lists and LMDB keys can: ASCII letters,
        digits, `_` and `-`; and they differ by more than case, as some disks need.
        """
        names = {source: self.records[source].name for source in sources if source in self.records}
        taken = {record.name.lower() for record in self.records.values()}
        for source in sources:
            if source in names:
                continue
            path = Path(source)
            short, long = (_plain(text) for text in (path.stem, "_".join([*path.parent.parts, path.stem])))
            candidates = [short, long, *(f"{long}_{number}" for number in range(2, len(sources) + len(taken) + 2))]
            names[source] = next(name for name in candidates if name.lower() not in taken)
            taken.add(names[source].lower())
        return names


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[-150:]  # an LMDB key has at most 511 bytes, a file name 255


def _read_lines(directory: Path) -> list[dict]:
    """The manifest's objects; none if the folder is new or empty."""
    path = directory / FILE_NAME
    if directory.exists() and not directory.is_dir():
        raise OutputError(f"{directory} is a file: give an empty or a new folder")
    if not path.exists():
        if directory.is_dir() and any(not entry.name.startswith(".") for entry in directory.iterdir()):
            raise OutputError(
                f"{directory} is not empty and holds no {FILE_NAME}, so `aethernet data prepare` did not make it: "
                "give an empty or a new folder"
            )
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    objects = []
    for number, line in enumerate(lines, 1):
        try:
            objects.append(json.loads(line))
        except json.JSONDecodeError:
            if 1 < number == len(lines):  # the run was killed while it wrote this line
                break
            raise DataError(f"{path}, line {number} is damaged: delete {directory} and run again") from None
    return objects


def _check_parameters(directory: Path, found: dict, wanted: dict) -> None:
    if found.get("format") != FORMAT:
        raise OutputError(f"{directory} was made by another release of aethernet: prepare into a new folder")
    old, new = found["parameters"], wanted["parameters"]
    changed = [f"{key} {old.get(key)} there, {new[key]} now" for key in new if old.get(key) != new[key]]
    if changed:
        raise OutputError(
            f"{directory} was prepared with other parameters ({'; '.join(changed)}): "
            "give the same ones to go on with it, or another folder"
        )

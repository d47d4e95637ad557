"""A folder of PNG files as one LMDB in BasicSR's layout, which spares slow disks thousands of small files.

NAME.lmdb/ holds data.mdb, lock.mdb and meta_info.txt with a line `NAME.png (h,w,c) compress_level` for each
picture. The key of a picture is its file name without `.png`, and the value the file's bytes.
"""

import hashlib
import os
import shutil
from pathlib import Path

from aethernet.data.picture.png import SIGNATURE
from aethernet.data.pictures import PNG_COMPRESSION
from aethernet.optional import optional_package

SOURCE_FILE = "source.txt"  # a digest of the PNG files that the LMDB was made from
COMMIT_EVERY = 1000
PAGE = 4096


def write_lmdb(folder: str | Path, destination: str | Path) -> bool:
    """Packs all PNG files of a flat folder, atomically. Returns False if `destination` is up to date already.

    Raises:
        MissingDependencyError: the `lmdb` package is not installed.
    """
    folder, destination = Path(folder), Path(destination)
    files, digest = _contents(folder)
    if _holds(destination, digest):
        return False
    temporary = destination.with_name(f".{destination.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _pack(files, temporary)
        (temporary / SOURCE_FILE).write_text(digest, encoding="ascii")
        _replace_folder(temporary, destination)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def is_stale(folder: str | Path, destination: str | Path) -> bool:
    """Whether there is an LMDB that `write_lmdb` made, and it holds other pictures than the folder by now."""
    source_file = Path(destination) / SOURCE_FILE
    return source_file.is_file() and not _holds(Path(destination), _contents(Path(folder))[1])


def _contents(folder: Path) -> tuple[list[Path], str]:
    """The PNG files of a flat folder, and a digest of them."""
    files = sorted(path for path in folder.glob("*.png") if not path.name.startswith("."))
    return files, _digest(files)


def _holds(destination: Path, digest: str) -> bool:
    source_file = destination / SOURCE_FILE
    return source_file.is_file() and source_file.read_text(encoding="ascii") == digest


def _pack(files: list[Path], destination: Path) -> None:
    lmdb = optional_package("lmdb", "writing LMDB")
    # Every value starts on a page of its own; the rest is room for keys and the tree.
    map_size = sum(path.stat().st_size + 2 * PAGE for path in files) + (1 << 20)
    destination.mkdir(parents=True)
    environment = lmdb.open(str(destination), map_size=map_size)
    transaction = environment.begin(write=True)
    try:
        with open(destination / "meta_info.txt", "w", encoding="ascii") as meta_info:
            for number, path in enumerate(files, 1):
                data = path.read_bytes()
                transaction.put(path.stem.encode("ascii"), data)
                height, width = _png_size(data)
                meta_info.write(f"{path.name} ({height},{width},3) {PNG_COMPRESSION}\n")
                if number % COMMIT_EVERY == 0:
                    transaction.commit()
                    transaction = environment.begin(write=True)
        transaction.commit()
    finally:
        environment.close()


def _png_size(data: bytes) -> tuple[int, int]:
    """Height and width, which stand right behind the signature and the name of a PNG's first chunk."""
    start = len(SIGNATURE) + 8
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (start, start + 4))
    return height, width


def _replace_folder(new: Path, old: Path) -> None:
    """Puts `new` in the place of `old`. A folder cannot be renamed over another, so the old one steps aside first."""
    aside = old.with_name(f".{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        os.replace(old, aside)
    os.replace(new, old)
    shutil.rmtree(aside, ignore_errors=True)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()

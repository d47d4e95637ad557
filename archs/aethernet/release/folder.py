"""A folder that is built beside its place and put there as a whole, or not at all."""

import contextlib
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from aethernet.errors import OutputError
from aethernet.files import check_writable, sha256
from aethernet.release.records import KIND

logger = logging.getLogger(__name__)

REPORT, CARD, PAGE, SUMS, LOG = "report.json", "README.md", "report.html", "SHA256SUMS", "release.log"
FAILED = ".failed"
"""Behind the name of a bundle that could not replace a whole one."""


def read_report(folder: Path) -> dict | None:
    """report.json of a bundle; None for a folder that is none."""
    try:
        content = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(content, dict) and content.get("kind") == KIND and {"files", "passed"} <= content.keys()
    return content if is_ours else None


def check_replaceable(out: Path) -> None:
    """Refuses a place that holds anything but a bundle as it was written.

    Raises:
        OutputError: a file, a folder that is no bundle, or a bundle with files of somebody else or with a changed card.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise OutputError(f"{out} is not a folder of its own: give another -o")
    entries = {path.name for path in out.iterdir()}
    if not entries:
        return
    report = read_report(out)
    if report is None:
        raise OutputError(
            f"{out} holds files, but no bundle of `aethernet release` (no {REPORT} of one): give another -o"
        )
    pairs = ((record["file"], record.get("weights")) for record in report["files"])
    own = {name for pair in pairs for name in pair if name} | {REPORT, CARD, PAGE, SUMS, LOG}
    foreign = sorted(entries - own)
    if foreign:
        raise OutputError(
            f"{out} holds {', '.join(foreign[:5])}, which no release wrote: move that away, or give another -o"
        )
    if (out / CARD).is_file() and (out / SUMS).is_file() and sha256(out / CARD) not in (out / SUMS).read_text():
        raise OutputError(f"{out / CARD} was changed since it was written: move it away, or give another -o")


def check_free(out: Path, paths: Sequence[Path], force: bool) -> None:
    """Refuses files of the folder `out` that exist, unless by `force`, or cannot be written, before any work is done."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"-o {out} is a file: give a folder")
    existing = [path.name for path in paths if path.exists()]
    if existing and not force:
        raise OutputError(
            f"{out} holds {', '.join(existing)} already: give another -o or --name, or --force to overwrite"
        )
    for path in paths:
        check_writable(path)


@contextlib.contextmanager
def built_beside(out: Path) -> Iterator[Path]:
    """Yields a new hidden folder beside `out`, on the same disk; what is left of it in the end is removed."""
    _recover(out)
    folder = out.with_name(f".{out.name}.{secrets.token_hex(6)}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def folder_inside(out: Path) -> Iterator[Path]:
    """A temporary folder inside `out`, which is made for it and removed again if nothing came into it."""
    missing = [path for path in (out, *out.parents) if not path.exists()]
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as folder:
            yield Path(folder)
    finally:
        with contextlib.suppress(OSError):  # what holds something stays
            for path in missing:
                path.rmdir()


def put_in_place(folder: Path, out: Path) -> None:
    """Renames `folder` to `out`; a bundle that stands there goes away only once that is done."""
    check_replaceable(out)
    old = out.with_name(f".{out.name}.{secrets.token_hex(6)}.old")
    existed = out.exists()
    try:
        if existed:
            os.replace(out, old)
        os.replace(folder, out)
    except BaseException:  # an interrupt, too: the old bundle goes back
        if old.exists() and not out.exists():
            os.replace(old, out)
        raise
    finally:
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)


def remove_bundle(folder: Path) -> None:
    """Removes a bundle as it was written; anything else stays."""
    try:
        check_replaceable(folder)
    except OutputError:
        return
    shutil.rmtree(folder, ignore_errors=True)


def write_sums(folder: Path) -> None:
    """Writes SHA256SUMS of everything in the folder, for `sha256sum -c`."""
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != SUMS]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def _recover(out: Path) -> None:
    """Puts back a bundle that a run moved aside and could not, because it was killed between two renames."""
    if not out.exists():
        for old in sorted(out.parent.glob(f".{out.name}.*.old")):
            os.replace(old, out)
            logger.info("%s was left by a run that was killed: put back", out)
            return

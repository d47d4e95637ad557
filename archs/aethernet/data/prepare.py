"""A user's folder of pictures made into training pairs, as BasicSR's scripts lay them out.

OUT/HR_sub/*.png and OUT/LR_bicubic_sub/X{scale}/*.png hold overlapping sub-images of the same names, because
reading a whole 2K picture for a small patch is what slows training down. `NAME_s001.png` numbers them row by row.
OUT/meta_info_HR_sub.txt lists the names, one a line, as BasicSR's RealESRGANDataset wants them.
"""

import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from aethernet.data.lmdb_folder import is_stale, write_lmdb
from aethernet.data.manifest import Manifest, Record
from aethernet.data.pictures import find_pictures, read_rgb, write_png
from aethernet.data.subimages import Parameters, cut_pairs
from aethernet.errors import DataError, OutputError
from aethernet.files import real_path, write_text
from aethernet.machine import cores
from aethernet.progress import Progress
from aethernet.wording import how_many

logger = logging.getLogger(__name__)


@dataclass
class Summary:
    """What a run did. `listing` is the list of the HR pictures, `skipped` counts sources finished before; `failures` are (source, reason); `removed` are sources whose
    pictures went, since the source is gone or can no longer be used."""

    folders: dict[int, Path]
    listing: Path | None = None
    written: int = 0
    skipped: int = 0
    pictures: int = 0
    smallest_side: int = 0
    notices: Counter = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """One source and all it takes to prepare it."""

    path: Path
    source: str
    size: int
    mtime_ns: int
    name: str
    out: Path
    parameters: Parameters


def prepare_folder(
    hr_dir: str | Path,
    out: str | Path,
    parameters: Parameters,
    *,
    lmdb: bool = False,
    workers: int = 1,
    progress: Progress = lambda *_: None,
) -> Summary:
    """Makes training pairs of all pictures below `hr_dir`; a second run goes on where the first one stopped.

    Args:
        lmdb: also packs each folder into an LMDB.
        workers: pictures prepared at the same time, each in a thread.
        progress: called after each source, with its path below `hr_dir`.

    Raises:
        DataError: nothing could be prepared. A picture that cannot be used is no error: it is listed in the summary's
            `failures`.
        OutputError: `out` holds something else or was made with other parameters, or the disk refuses.
    """
    hr_dir, out = real_path(hr_dir), real_path(out)
    if out.is_relative_to(hr_dir):
        raise OutputError(
            f"{out} lies inside {hr_dir}, where its pictures would be taken for sources: move it elsewhere"
        )
    paths = find_pictures(hr_dir)
    try:
        return _prepare(hr_dir, out, parameters, paths, lmdb, workers, progress)
    except OSError as error:
        raise OutputError(f"cannot write below {out}: {error}; run again once that is mended") from error


def _prepare(
    hr_dir: Path,
    out: Path,
    parameters: Parameters,
    paths: list[Path],
    lmdb: bool,
    workers: int,
    progress: Progress,
) -> Summary:
    recorded = {"hr_dir": str(hr_dir), "scales": list(parameters.scales), "crop_size": parameters.crop_size}
    recorded |= {"step": parameters.step if parameters.crop_size else None, "min_size": parameters.min_size}
    manifest = Manifest(out, recorded)
    summary = Summary(parameters.folders(out))
    for folder in summary.folders.values():
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.png"):  # temporary files of a run that was killed
            leftover.unlink()
    jobs = list(_jobs(manifest, hr_dir, out, parameters, paths))
    summary.skipped = len(paths) - len(jobs)
    progress(summary.skipped, len(paths), "")
    with contextlib.closing(_results(jobs, workers)) as results:
        for done, (job, result) in enumerate(results, summary.skipped + 1):
            if isinstance(result, Record):
                _remove_outputs(summary.folders, _stale_outputs(manifest, result))
                manifest.add(result)
                summary.written += 1
            else:
                summary.failures.append((job.source, result))
            progress(done, len(paths), job.source)
    summary.failures.sort()
    sources = {path.relative_to(hr_dir).as_posix() for path in paths}
    usable = sources - {source for source, _ in summary.failures}
    records = [record for record in manifest.records.values() if record.source in usable]
    if not records:
        reasons = "".join(f"\n  {source}: {reason}" for source, reason in summary.failures[:10])
        raise DataError(f"none of {how_many(len(paths), 'picture')} below {hr_dir} can be used:{reasons}")
    stale = [record for record in manifest.records.values() if record.source not in usable]
    if stale:
        _remove_outputs(summary.folders, itertools.chain.from_iterable(record.outputs for record in stale))
        summary.removed = sorted(record.source for record in stale)
        manifest.drop(summary.removed)
    summary.pictures = sum(len(record.outputs) for record in records)
    summary.smallest_side = min(record.smallest_side for record in records)
    summary.notices.update(itertools.chain.from_iterable(record.notices for record in records))
    summary.listing = _list_names(summary.folders[0], (name for record in records for name in record.outputs))
    if lmdb:
        for scale, destination in parameters.lmdbs(out).items():
            logger.info("%s: %s", destination, "written" if write_lmdb(summary.folders[scale], destination) else "kept")
    else:
        old = [each for scale, each in parameters.lmdbs(out).items() if is_stale(summary.folders[scale], each)]
        if old:
            logger.warning(
                "not written anew without --lmdb, and of other pictures than the folders now: %s",
                ", ".join(map(str, old)),
            )
    return summary


def _jobs(manifest: Manifest, hr_dir: Path, out: Path, parameters: Parameters, paths: list[Path]) -> Iterator[_Job]:
    """The sources that are not finished, or whose file or outputs changed since."""
    present = [{path.stem for path in folder.iterdir()} for folder in parameters.folders(out).values()]
    sources = {path.relative_to(hr_dir).as_posix(): path for path in paths}
    for source, name in manifest.name_sources(list(sources)).items():
        status = sources[source].stat()
        finished = manifest.is_finished(source, status.st_size, status.st_mtime_ns)
        if not finished or not all(stems.issuperset(manifest.records[source].outputs) for stems in present):
            yield _Job(sources[source], source, status.st_size, status.st_mtime_ns, name, out, parameters)


def _results(jobs: list[_Job], workers: int) -> Generator[tuple[_Job, Record | str], None, None]:
    """Runs the jobs, in this thread or in several, and yields each with its result as it is done."""
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, _run(job)
        return
    # Threads suffice: encoding, decoding, resizing and waiting for the disk all release the interpreter's lock.
    executor = ThreadPoolExecutor(min(workers, len(jobs)))
    try:
        futures = {executor.submit(_run, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:  # on Ctrl-C the pictures at hand are finished, the others are dropped
        executor.shutdown(cancel_futures=True)


def _run(job: _Job) -> Record | str:
    """Prepares one source. Returns its record, or the reason why it cannot be used."""
    try:
        img, notices = read_rgb(job.path)
        pictures = cut_pairs(img, job.parameters)
    except DataError as error:
        return str(error)
    suffixes = [""] if job.parameters.crop_size is None else [f"_s{index:03d}" for index in range(1, len(pictures) + 1)]
    outputs = tuple(job.name + suffix for suffix in suffixes)
    folders = job.parameters.folders(job.out)
    try:
        for output, pair in zip(outputs, pictures, strict=True):
            for scale, picture in pair.items():
                write_png(folders[scale] / f"{output}.png", picture)
    except BaseException:  # an interrupt too: an HR picture without its LR would stop BasicSR
        _remove_outputs(folders, outputs)
        raise
    return Record(
        source=job.source,
        size=job.size,
        mtime_ns=job.mtime_ns,
        name=job.name,
        outputs=outputs,
        smallest_side=min(min(pair[0].shape[:2]) for pair in pictures),
        notices=tuple(notices),
    )


def _list_names(folder: Path, outputs: Iterable[str]) -> Path:
    """Writes the list of a folder's pictures beside it, if it is another one than before."""
    path = folder.with_name(f"meta_info_{folder.name}.txt")
    text = "".join(f"{output}.png\n" for output in sorted(outputs))
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return path


def _stale_outputs(manifest: Manifest, record: Record) -> set[str]:
    """Outputs of an earlier version of this source that the new one no longer has."""
    earlier = manifest.records.get(record.source)
    return set(earlier.outputs) - set(record.outputs) if earlier else set()


def _remove_outputs(folders: dict[int, Path], outputs: Iterable[str]) -> None:
    for output in outputs:
        for folder in folders.values():
            (folder / f"{output}.png").unlink(missing_ok=True)


def default_workers() -> int:
    """As many threads as there are cores for this process, at most 16: beyond that the disk is the limit."""
    return min(cores(), 16)

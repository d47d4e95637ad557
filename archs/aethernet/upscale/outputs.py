"""Where the results of pictures go, and in which format: settled for all of them before any work starts."""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aethernet.data.picture.decoding import ENDINGS
from aethernet.data.picture.formats import FORMATS, Format, check_quality, output_format, unused_quality
from aethernet.data.picture.header import Header
from aethernet.errors import DataError, UsageError
from aethernet.files import name_problem, real_path
from aethernet.upscale.inputs import Input
from aethernet.wording import how_many

WRITTEN: dict[str, Format] = {
    ".png": "png", ".apng": "png", ".jpg": "jpg", ".jpeg": "jpg", ".jpe": "jpg", ".jfif": "jpg", ".webp": "webp",
    ".tif": "tiff", ".tiff": "tiff", ".avif": "avif", ".gif": "gif",
}  # fmt: skip
"""The formats of endings, in lower case."""

COMPARED = "_compare"
"""What the name of a comparison has behind that of the result."""


@dataclass(frozen=True)
class Task:
    """One picture and where its result goes.

    Attributes:
        header: what is known of the source; None where only reading tells.
        named: it was given by its own name, not found in a folder or by a pattern.
        notice: how the format differs from what was asked for, in words, or "".
        problem: why nothing can be done, or "".
    """

    source: Path
    target: Path
    format: Format
    header: Header | None = None
    named: bool = False
    notice: str = ""
    problem: str = ""

    @property
    def pixels(self) -> int:
        return 0 if self.header is None else self.header.pixels


def plan_outputs(
    inputs: Sequence[Input],
    headers: Sequence[Header | None],
    scale: int,
    out: str | Path | None = None,
    *,
    format: str = "same",
    depth: int | str = "same",
    quality: int | None = None,
    suffix: str | None = None,
    force: bool = False,
) -> list[Task]:
    """Gives every picture a target of its own.

    Without `out`, the result of a file lies beside it (`photo_x4.jpg`), those of a folder in one beside it (`photos_x4/`).
    In `out` they have the places that they had in their folder; of several folders each gets one of its name. A result has
    its source's name and, where the format stays, its ending. Of two that would have the same name, also where capitals
    do not count, the one whose ending changes is called by its former one as well: `photo_jpg.png`.

    What is the result of another picture of them, or the comparison of one, is left out, so that `*.jpg` can be given again.

    Args:
        out: a folder, or for a single file also a file with an ending that is written; a text that ends with / is a folder.
        format, depth, quality: as in `write_picture`.
        force: whether what exists will be overwritten.
        suffix: between name and ending; by default `_x4`, by scale, beside a file, and none in other folders.

    Raises:
        UsageError: what does not fit together, or would overwrite a picture by its own result.
    """
    if out is not None and not str(out):
        raise UsageError("the place of the results is empty: give a folder, or a file")
    if suffix is not None and (os.sep in suffix or "/" in suffix or "\0" in suffix):
        raise UsageError(f"a suffix is a part of a file's name, not {suffix!r}")
    file = Path(out) if out is not None and _is_file(out, inputs) else None
    if file is not None:
        format = _single(inputs, file, format, suffix)
    check_quality(quality, format)
    several = len({each.root for each in inputs if each.is_folder}) > 1
    tasks, suffixes = [], {}
    for each, header in zip(inputs, headers, strict=True):
        kind, notice, problem = _format(each, header, scale, format, depth, quality)
        task = Task(each.path, file or each.path, kind, header, each.named, notice, each.problem or problem)
        if not each.problem and file is None:
            added = suffix if suffix is not None else f"_x{scale}" if out is None and not each.is_folder else ""
            folder = _folder(each, scale, None if out is None else Path(out), several)
            task = replace(task, target=folder / result_name(each.place, kind, added))
            suffixes[task.source] = added
        tasks.append(task)
    return [_checked(task) for task in _without_results(_distinct(tasks, suffixes), suffixes, force)]


def is_picture_name(out: str | Path) -> bool:
    """Whether it names a file rather than a folder, which may have such an ending too, and / behind it."""
    return Path(out).suffix.lower() in {*WRITTEN, *ENDINGS} and not _is_folder(out)


def format_of(target: Path) -> Format:
    """The format that an ending asks for; raises `UsageError` where none is written by it."""
    kind = WRITTEN.get(target.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{target}: {target.suffix or 'no ending'} is not written: give one of {' '.join(WRITTEN)}, or a folder with / "
            "behind it"
        )
    return kind


def result_name(source: Path, kind: Format, added: str, former: str = "") -> str:
    """The name of a result: that of its source with `former` and `added` behind it, with its ending where that is right."""
    ending = source.suffix if WRITTEN.get(source.suffix.lower()) == kind else f".{kind}"
    return f"{source.stem}{former}{added}{ending}"


def comparison_path(result: str | Path) -> Path:
    """Where the comparison of a result belongs."""
    result = Path(result)
    return result.with_name(f"{result.stem}{COMPARED}.png")


def _is_folder(out: str | Path) -> bool:
    return os.path.isdir(out) or str(out).endswith(("/", os.sep))


def _is_file(out: str | Path, inputs: Sequence[Input]) -> bool:
    """As `is_picture_name`; for a single picture every ending names a file, also one that is not written."""
    is_single = len(inputs) == 1 and inputs[0].named
    return is_picture_name(out) or (is_single and bool(Path(out).suffix) and not _is_folder(out))


def _checked(task: Task) -> Task:
    """With the problem of its target, if that has one; raises `UsageError` where it is the source itself."""
    if task.problem:
        return task
    if _is_same_file(task.source, task.target):
        raise UsageError(
            f"{task.source} would be overwritten by its own result: give another folder with -o, or a --suffix"
        )
    return replace(task, problem=name_problem(task.target))


def _single(inputs: Sequence[Input], out: Path, format: str, suffix: str | None) -> str:
    """The format of the one file `out`."""
    if len(inputs) != 1 or not inputs[0].named:
        raise UsageError(f"-o {out} is one file, but {how_many(len(inputs), 'picture')} were found: give a folder")
    if suffix is not None:
        raise UsageError(f"-o {out} names the file whole: leave --suffix out")
    kind = format_of(out)
    if format not in ("same", kind):
        raise UsageError(f"-o {out} is {FORMATS[kind].name}, but --format {format} was given: leave one of them out")
    return kind


def _format(
    each: Input, header: Header | None, scale: int, format: str, depth: int | str, quality: int | None
) -> tuple[Format, str, str]:  # format, notice, problem
    if header is None:
        guess = WRITTEN.get(each.path.suffix.lower(), "png") if format == "same" else format
        return guess, "", ""  # type: ignore[return-value]
    width, height = (scale * side for side in header.size)
    try:
        output = output_format((width, height), source=header.format, frames=header.frames, format=format, depth=depth)
    except DataError as error:
        return "png", "", str(error)
    notices = [output.notice, unused_quality(quality, output.format)]
    return output.format, "; ".join(filter(None, notices)), ""


def _folder(each: Input, scale: int, out: Path | None, several: bool) -> Path:
    if out is not None:
        inside = each.place.parent
        if each.is_folder and several:
            inside = Path(_folder_name(each.root)) / inside
        return out / inside
    if each.is_folder:
        assert each.root is not None
        name = _folder_name(each.root)
        beside = each.root if each.root.name == name else real_path(each.root)
        return beside.with_name(f"{name}_x{scale}") / each.place.parent
    return each.path.parent


def _folder_name(root: Path | None) -> str:
    assert root is not None
    name = root.name if root.name not in ("", "..") else real_path(root).name
    if not name:
        raise UsageError(f"the results of {root} need a place: give a folder with -o")
    return name


def _distinct(tasks: Iterable[Task], suffixes: Mapping[Path, str]) -> list[Task]:
    """Each with a target of its own; those who keep their ending choose first. A picture given twice is taken once."""
    once: dict[tuple[str, str], Task] = {}
    for task in tasks:
        once.setdefault((_place(task.source), _place(task.target)), task)
    taken: set[str] = set()
    chosen: dict[int, Task] = {}
    numbered = sorted(enumerate(once.values()), key=lambda pair: pair[1].source.suffix != pair[1].target.suffix)
    for number, task in numbered:
        target, count = task.target, 1
        while _key(target) in taken:
            former = "_".join(["", task.source.suffix.removeprefix("."), *([str(count)] if count > 1 else [])])
            target = target.with_name(result_name(task.source, task.format, suffixes.get(task.source, ""), former))
            count += 1
        taken.add(_key(target))
        chosen[number] = replace(task, target=target)
    return [chosen[number] for number in sorted(chosen)]


def _without_results(tasks: list[Task], suffixes: Mapping[Path, str], force: bool) -> list[Task]:
    makers = {_place(task.target): task for task in tasks}
    made = {
        _bare(task.target) for task in tasks if suffixes.get(task.source)
    }  # also of another format, by a former run
    compared = {
        f"{_bare(path)}{former}" for task in tasks for path in (task.source, task.target)
        for former in ("", f"_{path.suffix.removeprefix('.')}")
    }  # fmt: skip
    kept = []
    for task in tasks:
        maker, bare = makers.get(_place(task.source), task), _bare(task.source)
        is_comparison = task.source.suffix == ".png" and bare.endswith(COMPARED)
        if maker is task:
            if bare not in made and not (is_comparison and bare.removesuffix(COMPARED) in compared):
                kept.append(task)
        elif force and maker.source.stem == maker.target.stem:  # perhaps no result, but another picture of that name
            raise UsageError(
                f"the result of {maker.source} would overwrite {task.source}, which is given as well: give another folder "
                "with -o, or a --suffix"
            )
    return kept


def _place(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))


def _bare(path: Path) -> str:
    return _place(path.with_suffix(""))


def _key(path: Path) -> str:
    """Equal for paths that may be one file, also on systems that do not tell capitals apart, or compose accents."""
    return unicodedata.normalize("NFC", os.path.abspath(path)).casefold()


def _is_same_file(source: Path, target: Path) -> bool:
    try:
        return os.path.samefile(source, target)
    except OSError:
        return False

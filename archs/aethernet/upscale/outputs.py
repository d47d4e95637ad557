"""Where the results of pictures go, and in which format: settled for all of them before any work starts."""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aethernet.data.picture.formats import FORMATS, Format, output_format
from aethernet.data.picture.header import Header
from aethernet.errors import DataError, UsageError
from aethernet.upscale.inputs import ENDINGS, Input

WRITTEN: dict[str, Format] = {
    ".png": "png", ".apng": "png", ".jpg": "jpg", ".jpeg": "jpg", ".jpe": "jpg", ".jfif": "jpg", ".webp": "webp",
    ".tif": "tiff", ".tiff": "tiff", ".avif": "avif", ".gif": "gif",
}  # fmt: skip
"""The formats of endings, in lower case."""


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
    out: Path | None = None,
    *,
    format: str = "same",
    depth: int | str = "same",
    suffix: str | None = None,
    force: bool = False,
) -> list[Task]:
    """Gives every picture a target of its own.

    Without `out`, the result of a file lies beside it (`photo_x4.jpg`), those of a folder in one beside it (`photos_x4/`).
    In `out` they have the places that they had in their folder; of several folders each gets one of its name. A result has
    its source's name and, where the format stays, its ending. Of two that would have the same name, also where capitals
    do not count, the one whose ending changes is called by its former one as well: `photo_jpg.png`.

    A picture that is the result of another one of them is left out, so that `*.jpg` can be given again.

    Args:
        out: a folder, or for a single file also a file with an ending that is written.
        format: as in `output_format`.
        force: whether what exists will be overwritten.
        suffix: between name and ending; by default `_x4`, by scale, beside a file, and none in other folders.

    Raises:
        UsageError: what does not fit together, or would overwrite a picture by its own result.
    """
    if suffix is not None and (os.sep in suffix or "/" in suffix or "\0" in suffix):
        raise UsageError(f"a suffix is a part of a file's name, not {suffix!r}")
    to_file = out is not None and is_picture_name(out)
    if to_file:
        assert out is not None
        format = _single(inputs, out, format, suffix)
    folders = list(dict.fromkeys(each.root for each in inputs if each.is_folder and each.root is not None))
    tasks, suffixes = [], {}
    for each, header in zip(inputs, headers, strict=True):
        kind, notice, problem = _format(each, header, scale, format, depth)
        task = Task(each.path, each.path, kind, header, each.named, notice, each.problem or problem)
        if each.problem or to_file:
            tasks.append(replace(task, target=out if out is not None and to_file else each.path))
            continue
        folder = _folder(each, scale, out, len(folders) > 1)
        added = suffix if suffix is not None else f"_x{scale}" if out is None and not each.is_folder else ""
        tasks.append(replace(task, target=folder / result_name(each.place, kind, added)))
        suffixes[task.source] = added
    tasks = _without_results(_distinct(tasks, suffixes), force)
    for task in tasks:
        if not task.problem and _is_same_file(task.source, task.target):
            raise UsageError(
                f"{task.source} would be overwritten by its own result: give another folder with -o, or a --suffix"
            )
    return tasks


def is_picture_name(out: Path) -> bool:
    """Whether it names a file rather than a folder."""
    return out.suffix.lower() in {*WRITTEN, *ENDINGS} and not out.is_dir()


def format_of(target: Path) -> Format:
    """The format that an ending asks for; raises `UsageError` where none is written by it."""
    kind = WRITTEN.get(target.suffix.lower())
    if kind is None:
        raise UsageError(f"{target}: {target.suffix or 'no ending'} is not written: give one of {' '.join(WRITTEN)}")
    return kind


def result_name(source: Path, kind: Format, added: str, former: str = "") -> str:
    """The name of a result: that of its source with `former` and `added` behind it, with its ending where that is right."""
    ending = source.suffix if WRITTEN.get(source.suffix.lower()) == kind else f".{kind}"
    return f"{source.stem}{former}{added}{ending}"


def _single(inputs: Sequence[Input], out: Path, format: str, suffix: str | None) -> str:
    """The format of the one file `out`."""
    if len(inputs) != 1 or not inputs[0].named:
        raise UsageError(f"-o {out} is one file, but {len(inputs)} pictures were found: give a folder")
    if suffix is not None:
        raise UsageError(f"-o {out} names the file whole: leave --suffix out")
    kind = format_of(out)
    if format not in ("same", kind):
        raise UsageError(f"-o {out} is {FORMATS[kind].name}, but --format {format} was given: leave one of them out")
    return kind


def _format(
    each: Input, header: Header | None, scale: int, format: str, depth: int | str
) -> tuple[Format, str, str]:  # format, notice, problem
    if header is None:
        guess = WRITTEN.get(each.path.suffix.lower(), "png") if format == "same" else format
        return guess, "", ""  # type: ignore[return-value]
    width, height = (scale * side for side in header.size)
    try:
        output = output_format((width, height), source=header.format, frames=header.frames, format=format, depth=depth)
    except DataError as error:
        return "png", "", str(error)
    return output.format, output.notice, ""


def _folder(each: Input, scale: int, out: Path | None, several: bool) -> Path:
    if out is not None:
        inside = each.place.parent
        if each.is_folder and several:
            inside = Path(_folder_name(each.root)) / inside
        return out / inside
    if each.is_folder:
        assert each.root is not None
        name = _folder_name(each.root)
        beside = each.root if each.root.name == name else each.root.resolve()
        return beside.with_name(f"{name}_x{scale}") / each.place.parent
    return each.path.parent


def _folder_name(root: Path | None) -> str:
    assert root is not None
    name = root.name if root.name not in ("", "..") else root.resolve().name
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


def _without_results(tasks: list[Task], force: bool) -> list[Task]:
    makers = {_place(task.target): task for task in tasks}
    kept = []
    for task in tasks:
        maker = makers.get(_place(task.source), task)
        if maker is task:
            kept.append(task)
        elif force and maker.source.stem == maker.target.stem:  # perhaps no result, but another picture of that name
            raise UsageError(
                f"the result of {maker.source} would overwrite {task.source}, which is given as well: give another folder "
                "with -o, or a --suffix"
            )
    return kept


def _place(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))


def _key(path: Path) -> str:
    """Equal for paths that may be one file, also on systems that do not tell capitals apart, or compose accents."""
    return unicodedata.normalize("NFC", os.path.abspath(path)).casefold()


def _is_same_file(source: Path, target: Path) -> bool:
    try:
        return os.path.samefile(source, target)
    except OSError:
        return False

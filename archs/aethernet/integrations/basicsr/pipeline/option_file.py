"""What must hold of an option file and of `--force_yml` before BasicSR reads them.

BasicSR answers a missing file, a typing error or a missing section with a traceback, and `--force_yml` writes new
entries without a word. What the values mean is the pre-flight check's business, once BasicSR has read them.
"""

import ast
import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import yaml

from aethernet import yaml_files
from aethernet.checks import near
from aethernet.errors import OptionError
from aethernet.integrations.basicsr.preflight import report, shape

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


def read(path: str | Path, *, is_train: bool) -> dict:
    """Reads an option file and checks the parts that BasicSR uses while it reads.

    Raises:
        OptionError: no such file, not YAML, not a mapping, or without a section that is always needed.
    """
    path = Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise OptionError(f"the option file {path} {found}: give a .yml, such as one that `aethernet options` writes")
    try:
        text = path.read_text(encoding="utf-8")
        yaml_files.lines(text)  # for sections that contain themselves, which nothing below may meet
        opt = yaml_files.parse(text)
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is no text in UTF-8 ({error}): is it an option file?") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise OptionError(f"{path}{where}: not plain YAML ({getattr(error, 'problem', None) or error})") from error
    if not isinstance(opt, dict):
        raise OptionError(
            f"{path} holds {'nothing' if opt is None else f'a {type(opt).__name__}'}, not the sections of an option "
            "file (name, num_gpu, datasets, network_g, path, ...): start from one that `aethernet options` writes"
        )
    if problems := list(shape.sections(opt, is_train)):
        places = Places(path)
        raise OptionError(f"{path}: {report([places(problem) + problem for problem in problems])}")
    return opt


class Places:
    """Where the entries of an option file stand, for the problems that are found with them.

    Args:
        path: the file, which `read` takes.
        overrides: the entries of `--force_yml`, whose values stand on the command line.
    """

    def __init__(self, path: str | Path, overrides: Sequence[str] = ()) -> None:
        self.lines = yaml_files.lines(Path(path).read_text(encoding="utf-8"))
        self.forced = {_path(entry) for entry in overrides}

    def __call__(self, problem: str) -> str:
        """`line 43: ` for a text that begins with the place of an entry, as in `datasets: train: gt_size: must be ...`."""
        known: tuple[str, ...] = ()
        rest = problem
        while (found := re.match(r"([^\s:]+)(: | |$)", rest)) and (*known, found[1]) in self.lines:
            known, rest = (*known, found[1]), rest[found.end() :]
            if found[2] != ": ":
                break
        if not known:
            return ""
        if any(known[: len(path)] == path for path in self.forced):
            return "--force_yml: "
        return f"line {self.lines[known]}: "


def check_overrides(opt: Mapping, entries: Sequence[str]) -> None:
    """Checks every `section:key=value` of `--force_yml`: the entry must stand in the file and be given once, a list must be plain.

    Raises:
        OptionError: with the entries that come near.
    """
    given: dict[tuple[str, ...], str] = {}
    for entry in entries:
        keys, equals, value = entry.partition("=")
        if not equals or "=" in value:
            raise OptionError(f"--force_yml {entry!r} must read section:key=value, with one '='")
        path = list(_path(entry))
        if tuple(path) in given:
            raise OptionError(
                f"--force_yml gives {keys!r} twice, as {given[tuple(path)]!r} and {entry!r}: keep one of them"
            )
        given[tuple(path)] = entry
        section: object = opt
        for depth, key in enumerate(path):
            if not isinstance(section, Mapping) or key not in section:
                raise OptionError(_unknown(opt, section, path, depth))
            section = section[key]
        if value.strip().startswith("["):
            try:
                ast.literal_eval(value.strip())
            except (ValueError, SyntaxError) as error:
                raise OptionError(
                    f"--force_yml {entry!r}: {value.strip()!r} is no list of plain values such as [1, 2] or ['a', 'b']"
                ) from error


def check_overridden(
    opt: Mapping, entries: Sequence[str], parse_value: Callable[[str], object], *, is_train: bool, debug: bool = False
) -> None:
    """Checks what `--force_yml` makes of the options, as far as BasicSR uses it while it reads them.

    Args:
        entries: those that `check_overrides` took.
        parse_value: how a value is read.
        debug: `--debug` is given.

    Raises:
        OptionError: a value that cannot be read, or a section that is none any more.
    """
    changed = copy.deepcopy(dict(opt))
    for entry in entries:
        value = entry.partition("=")[2].strip()
        section, path = changed, _path(entry)
        for key in path[:-1]:
            section = section[key]
        try:
            section[path[-1]] = parse_value(value)
        except ValueError as error:
            raise OptionError(
                f"--force_yml {entry!r}: {value!r} cannot be read ({error}); give a plain value"
            ) from error
    if problems := list(shape.sections(changed, is_train)):
        raise OptionError(report([f"--force_yml: {problem}" for problem in problems]))
    if is_train and changed.get("val", {}) is None and (debug or "debug" in changed["name"]):
        raise OptionError("val: is ~, and BasicSR writes into it in a run for debugging (--debug): remove the line")


def with_numbers(parse_value: Callable[[str], object]) -> Callable[[str], object]:
    """BasicSR's reading of a `--force_yml` value leaves `-1` and `1e-4` as text; this one makes them numbers."""

    def parse(text: str) -> object:
        value = parse_value(text)
        if isinstance(value, str) and NUMBER.fullmatch(value):
            return int(value) if value.lstrip("+-").isdigit() else float(value)
        return value

    return parse


def with_lists_of_folders(paths: ModuleType) -> SimpleNamespace:
    """BasicSR expands `~` in `dataroot_gt`, for which its data sets allow one folder; ours take a list as well."""

    def expanduser(path: str | list) -> object:
        return [expanduser(each) for each in path] if isinstance(path, list) else paths.expanduser(path)

    return SimpleNamespace(**{**vars(paths), "expanduser": expanduser})


def _path(entry: str) -> tuple[str, ...]:
    """The keys of an entry of `--force_yml`, from the top."""
    return tuple(key.strip() for key in entry.partition("=")[0].split(":"))


def _unknown(opt: Mapping, section: object, path: list[str], depth: int) -> str:
    """The message for an entry that does not exist, with those that its author may have meant."""
    siblings = [str(key) for key in section] if isinstance(section, Mapping) else []
    entries = list(_entries(opt))
    meant = (
        [":".join([*path[:depth], key]) for key in near(path[depth], siblings)]
        or [entry for entry in entries if entry.split(":")[-1] == path[-1]]
        or near(":".join(path), entries, likeness=0.8)
    )
    hint = f"did you mean {' or '.join(meant[:3])}?" if meant else "an entry that is new must be written into the file"
    return f"--force_yml {':'.join(path)}: the option file has no entry {':'.join(path[: depth + 1])}; {hint}"


def _entries(section: Mapping, prefix: str = "") -> Iterator[str]:
    """The paths of all entries in the form that `--force_yml` takes."""
    for key, value in section.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _entries(value, f"{prefix}{key}:")

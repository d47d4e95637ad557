"""Drop-in files for a framework's source tree, so that its own unmodified `train.py` knows this package."""

import os
import subprocess
import sys
from pathlib import Path

import aethernet
from aethernet.errors import OutputError, UsageError
from aethernet.files import write_text
from aethernet.integrations.frameworks import TREES, Framework

MARKER = "# Written by `aethernet install`; `aethernet install --into TREE --remove` removes it."
"""First line of every file; what does not begin with it is somebody else's."""


def recognise(tree: Path) -> Framework:
    """The framework whose source tree this is.

    Raises:
        UsageError: none of them.
    """
    lacking = []
    for framework in TREES:
        missing = [name for name in framework.landmarks if not (tree / name).is_file()]
        if not missing:
            return framework
        lacking.append(f"{framework.name} (it has no {missing[0]})")
    raise UsageError(
        f"{tree} is no source tree of {', '.join(lacking[:-1])} or {lacking[-1]}. Give the folder that holds the folder "
        "basicsr, traiNNer, neosr or realesrgan, such as a clone of the repository"
    )


def install(tree: Path) -> dict[Path, str]:
    """Writes the drop-in files and returns, for each, `written`, `updated` or `unchanged`.

    Raises:
        UsageError: not a known tree.
        OutputError: a foreign file stands in the way; nothing has been written then.
    """
    framework = recognise(tree)
    source = source_to_add()
    contents = {tree / name: _content(line, source) for name, line in framework.files.items()}
    foreign = [path for path in contents if path.exists() and not is_ours(path)]
    if foreign:
        raise OutputError(
            f"{', '.join(map(str, foreign))} was not written by `aethernet install` and is left as it is: "
            "rename or remove it first"
        )
    outcome = {}
    for path, content in contents.items():
        former = path.read_text(encoding="utf-8") if path.exists() else None
        outcome[path] = "unchanged" if former == content else "updated" if former else "written"
        write_text(path, content)
    return outcome


def remove(tree: Path) -> dict[Path, str]:
    """Removes the drop-in files and returns, for each, `removed`, `not there` or `not ours, left alone`."""
    outcome = {}
    for path in (tree / name for name in recognise(tree).files):
        if path.exists() and not is_ours(path):
            outcome[path] = "not ours, left alone"
            continue
        outcome[path] = "removed" if path.exists() else "not there"
        path.unlink(missing_ok=True)
    return outcome


def is_ours(path: Path) -> bool:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().rstrip("\n") == MARKER


def source_to_add() -> Path | None:
    """The folder that a framework's Python must add to its path to find this package; None if it is installed.

    What this process imports may come from PYTHONPATH or the current folder, which another one may not have.
    """
    folder = Path(aethernet.__file__).resolve().parents[1]
    code = "import importlib.util as u; s = u.find_spec('aethernet'); print(s.origin if s else '')"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    elsewhere = Path(sys.executable).parent  # `python -c` looks into the current folder first
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=elsewhere, capture_output=True, text=True, check=True
    ).stdout.strip()
    return None if found and Path(found).resolve().parents[1] == folder else folder


def _content(line: str, source: Path | None) -> str:
    lines = [MARKER]
    if source is not None:
        lines += [
            "# This package runs from its source folder, which is found by this path; write the file anew if it moves.",
            f"import sys; sys.path.insert(0, {str(source)!r})  # noqa",
        ]
    return "\n".join([*lines, line, ""])

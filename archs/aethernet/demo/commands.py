"""Running `aethernet` commands as a user would, with their output in a log and their progress read from it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from aethernet.errors import EnvironmentProblem

ITERATION = re.compile(r"iter:\s*([\d,]+)")
LAST_LINES = 12


def run_command(
    folder: Path,
    title: str,
    *arguments: str,
    progress: Callable[[str, float], None],
    iterations: int | None = None,
) -> None:
    """Runs `python -m aethernet ARGUMENTS` in `folder`; its output goes to `folder/logs/TITLE.txt`.

    Args:
        title: names the log and the step for `progress`.
        progress: called with the title and the part that is done, 0 to 1.
        iterations: of a training, whose lines `iter: N` then give the progress.

    Raises:
        EnvironmentProblem: the command failed; the message holds its last lines and the log's path.
    """
    log = folder / "logs" / f"{title.replace(' ', '_')}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    progress(title, 0.0)
    command = [sys.executable, "-m", "aethernet", *arguments]
    with (
        open(log, "w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},  # or the log and the progress come in blocks
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                found = ITERATION.search(line)
                if found and iterations:
                    progress(title, int(found.group(1).replace(",", "")) / iterations)
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode:
        last = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-LAST_LINES:])
        raise EnvironmentProblem(
            f"`aethernet {' '.join(arguments)}` ended with exit code {process.returncode}; the last lines of {log}:\n{last}"
        )
    progress(title, 1.0)

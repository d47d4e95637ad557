"""An `aethernet` command in a process of its own, as a user would start it, with its output in a log."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from aethernet.errors import ProcessError

LAST_LINES = 12


def run_command(
    *arguments: str,
    folder: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    watch: Callable[[str], None] = lambda line: None,
    succeeded: Callable[[int], bool] = lambda code: code == 0,
) -> None:
    """Runs `python -m aethernet ARGUMENTS` in `folder` and waits for its end.

    Args:
        log: file to which the output is added, line by line.
        environment: variables to change.
        watch: called with each line.
        succeeded: whether an exit code is that of a command that did its work.

    Raises:
        ProcessError: the command failed; the message holds its last lines and the log's path.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    last: deque[str] = deque(maxlen=LAST_LINES)
    with (
        open(log, "a", encoding="utf-8") as file,
        subprocess.Popen(
            [sys.executable, "-m", "aethernet", *arguments],
            cwd=folder,
            # Unbuffered, or the log and the progress come in blocks.
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
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
                last.append(line)
                watch(line)
        except BaseException:  # Ctrl-C above all: the process must not go on alone
            process.terminate()
            raise
    if not succeeded(process.returncode):
        raise ProcessError(
            f"`aethernet {arguments[0]}` ended with exit code {process.returncode}; the last lines of {log}:\n{''.join(last)}"
        )

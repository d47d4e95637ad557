"""Running `aethernet` commands as a user would, with their output in a log and their progress read from it."""

from collections.abc import Callable
from pathlib import Path

from aethernet.integrations.basicsr.pipeline import process
from aethernet.integrations.basicsr.pipeline.log import reached_iterations


def run_command(
    folder: Path,
    title: str,
    *arguments: str,
    progress: Callable[[str, float], None],
    iterations: int | None = None,
    succeeded: Callable[[int], bool] = lambda code: code == 0,
) -> None:
    """Runs `python -m aethernet ARGUMENTS` in `folder`; its output goes to `folder/logs/TITLE.txt`.

    Args:
        title: names the log and the step for `progress`.
        progress: called with the title and the part that is done, 0 to 1.
        iterations: of a training, whose lines `iter: N` then give the progress.
        succeeded: whether an exit code is that of a command that did its work.

    Raises:
        ProcessError: the command failed; the message holds its last lines and the log's path.
    """

    def watch(line: str) -> None:
        reached = reached_iterations(line)
        if reached and iterations:
            progress(title, reached[0] / iterations)

    progress(title, 0.0)
    log = folder / "logs" / f"{title.replace(' ', '_')}.txt"
    process.run_command(*arguments, folder=folder, log=log, watch=watch, succeeded=succeeded)
    progress(title, 1.0)

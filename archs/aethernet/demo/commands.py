"""Running `aethernet` commands as a user would, with their output in a log and their progress read from it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from aethernet.integrations.basicsr.pipeline import process
from aethernet.integrations.basicsr.pipeline.log import reached_iterations
from aethernet.progress import Titled


def run_command(
    folder: Path,
    title: str,
    *arguments: str,
    progress: Titled,
    iterations: int | None = None,
    succeeded: Callable[[int], bool] = lambda code: code == 0,
) -> None:
    """Runs `python -m aethernet ARGUMENTS` in `folder`; its output goes to `folder/logs/TITLE.txt`.

    Args:
        title: names the log and the step for `progress`.
        iterations: of a training, whose lines `iter: N` then give the progress.
        succeeded: whether an exit code is that of a command that did its work.

    Raises:
        ProcessError: the command failed; the message holds its last lines and the log's path.
    """

    step, steps = progress(title, "iteration" if iterations else "step"), iterations or 1

    def watch(line: str) -> None:
        reached = reached_iterations(line)
        if reached and iterations:
            step(reached[0], steps, "")

    step(0, steps, "")
    log = folder / "logs" / f"{title.replace(' ', '_')}.txt"
    process.run_command(*arguments, folder=folder, log=log, watch=watch, succeeded=succeeded)
    step(steps, steps, "")


@contextlib.contextmanager
def one_step(progress: Titled, title: str) -> Iterator[None]:
    """Work that tells nothing but its beginning and its end."""
    step = progress(title, "step")
    step(0, 1, "")
    yield
    step(1, 1, "")

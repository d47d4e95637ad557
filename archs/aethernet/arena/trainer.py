"""Starting `aethernet train` on an option file, with progress read from what it prints."""

import os
from pathlib import Path

from aethernet.arena.curves import PSNR
from aethernet.files import write_text
from aethernet.integrations.basicsr.pipeline.log import reached_iterations
from aethernet.integrations.basicsr.pipeline.process import run_command
from aethernet.progress import Progress

OPTION_FILE, LOG = "train.yml", "log.txt"


def train_in(folder: Path, options: str, iterations: int, threads: int, progress: Progress | None = None) -> None:
    """Writes the option file into `folder` and trains there; a training that stopped half-way goes on.

    Raises:
        ProcessError: the training failed; the message holds the last lines of its log.
    """
    write_text(folder / OPTION_FILE, options)
    psnr = ""

    def watch(line: str) -> None:
        nonlocal psnr
        if found := PSNR.search(line):
            psnr = f"{float(found[1]):.2f} dB"
        if progress is not None and (reached := reached_iterations(line)):
            progress(min(iterations, reached[0]), iterations, psnr)

    command = ("train", "-opt", OPTION_FILE, "--auto_resume")
    run_command(*command, folder=folder, log=folder / LOG, environment=environment(threads), watch=watch)


def environment(threads: int) -> dict[str, str]:
    """Threads of torch; and the current folder's modules, among which a network may be."""
    paths = [os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in paths if path),
    }

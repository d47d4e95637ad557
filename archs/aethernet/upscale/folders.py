"""Files, folders and patterns, enlarged in one call."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aethernet.data.picture.header import read_header
from aethernet.progress import Progress
from aethernet.upscale.inputs import find_inputs
from aethernet.upscale.outputs import Task, is_picture_name, plan_outputs
from aethernet.upscale.pipeline import Result, settle, upscale_tasks
from aethernet.upscale.upscaler import Saving, Upscaler

THREADS = 8
"""That read headers: on a file server each takes some milliseconds of waiting."""


def upscale_files(
    upscaler: Upscaler,
    inputs: Iterable[str | Path],
    out: str | Path | None = None,
    *,
    saving: Saving | None = None,
    suffix: str | None = None,
    progress: Callable[[Task], Progress] | None = None,
) -> Iterator[Result]:
    """Enlarges files, folders with all that is below them, and patterns, as `aethernet upscale` does.

    What exists is not made again. A picture that fails does not stop the others: its result says why.

    Args:
        inputs, out: see `find_inputs` and `plan_outputs`.

    Raises:
        AetherError: nothing to do, or arguments that do not fit together; before any work starts.

    Example:
        >>> from aethernet.upscale import Upscaler, upscale_files  # doctest: +SKIP
        >>> for result in upscale_files(Upscaler(), ["photos"], "large"):  # doctest: +SKIP
        ...     print(result.task.target, result.outcome, result.problem)
    """
    tasks = plan_tasks(inputs, upscaler.scale, None if out is None else Path(out), saving=saving, suffix=suffix)
    results, rest = settle(tasks)
    yield from results
    yield from upscale_tasks(upscaler, rest, saving=saving, progress=progress)


def plan_tasks(
    inputs: Iterable[str | Path],
    scale: int,
    out: Path | None = None,
    *,
    saving: Saving | None = None,
    suffix: str | None = None,
    force: bool = False,
) -> list[Task]:
    """`find_inputs` and `plan_outputs`, with the headers of all files read in between."""
    saving = saving or Saving()
    found = find_inputs(inputs, None if out is None or is_picture_name(out) else out)
    with ThreadPoolExecutor(THREADS, "headers") as threads:
        headers = list(threads.map(read_header, [each.path for each in found]))
    return plan_outputs(
        found, headers, scale, out, format=saving.format, depth=saving.depth, suffix=suffix, force=force
    )

"""Files, folders and patterns, enlarged in one call."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aethernet.data.picture.header import read_header
from aethernet.progress import Progress
from aethernet.upscale.inputs import Input, find_inputs
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
    tasks = plan_tasks(find(inputs, out), upscaler.scale, out, saving=saving, suffix=suffix)
    results, rest = settle(tasks)
    yield from results
    yield from upscale_tasks(upscaler, rest, saving=saving, progress=progress)


def find(inputs: Iterable[str | Path], out: str | Path | None = None) -> list[Input]:
    """`find_inputs`, without the results that lie in a folder `out`."""
    return find_inputs(inputs, None if out is None or is_picture_name(out) else Path(out))


def plan_tasks(
    found: Sequence[Input],
    scale: int,
    out: str | Path | None = None,
    *,
    saving: Saving | None = None,
    suffix: str | None = None,
    force: bool = False,
) -> list[Task]:
    """`plan_outputs` of what `find` found, with the headers of all files read first."""
    saving = saving or Saving()
    with ThreadPoolExecutor(THREADS, "headers") as threads:
        headers = list(threads.map(read_header, [each.path for each in found]))
    return plan_outputs(
        found, headers, scale, out,
        format=saving.format, depth=saving.depth, quality=saving.quality, suffix=suffix, force=force,
    )  # fmt: skip

"""A look at the options before BasicSR starts: what would fail late, or silently train something else, is refused.

BasicSR ignores unknown keys, trains no iteration if the batch is larger than the set, and renames a former run away.
Every check here is a generator of problems. `check` runs them all, so that one start shows all that is wrong.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from aethernet.errors import OptionError
from aethernet.integrations.basicsr.preflight import (
    classes,
    datasets,
    degradation,
    keys,
    networks,
    schedule,
    shape,
    surroundings,
    values,
    weights,
)
from aethernet.integrations.basicsr.preflight.context import Context
from aethernet.wording import how_many

__all__ = ["Context", "check", "report"]

logger = logging.getLogger(__name__)

Check = Callable[[Context], Iterator[str]]

CHECKS: tuple[Check, ...] = (
    keys.unknown_keys,
    keys.missing_keys,
    classes.model_type,
    classes.dataset_types,
    classes.metrics,
    classes.ground_truth,
    networks.arguments,
    networks.scale,
    networks.channels,
    values.wrong,
    values.patches,
    datasets.pictures,
    datasets.damaged,
    datasets.sizes,
    datasets.loading,
    datasets.results,
    weights.pretrained,
    weights.ranges,
    surroundings.devices,
)
"""What holds for training and for testing."""

TRAIN_CHECKS: tuple[Check, ...] = (
    classes.losses,
    classes.optimizers,
    classes.scheduler,
    networks.processes,
    values.numbers_as_text,
    values.aether_options,
    degradation.inputs,
    degradation.settings,
    datasets.validation,
    schedule.iterations,
    schedule.reporting,
    schedule.restarts,
    schedule.warm_up,
    weights.resumed,
    weights.perceptual,
    weights.teacher,
    surroundings.loggers,
    surroundings.former_run,
)
"""What holds for training only."""


Place = Callable[[str], str]
"""Where in the file a problem's entry stands, such as `line 43: `; nothing where that is not known."""


def check(
    opt: Mapping[str, object],
    root: str | Path,
    is_train: bool,
    resuming: bool = False,
    place: Place = lambda problem: "",
) -> None:
    """Looks at everything that the options name. It creates nothing and changes nothing.

    Args:
        opt: what BasicSR's `parse_options` returned.
        root: the folder that holds `experiments`, `results` and `tb_logger`.
        is_train: training, or testing.
        resuming: a former run of this name is going to be continued if it saved a state.
        place: says where the entry of a problem stands.

    Raises:
        OptionError: its text lists every problem that was found.
    """
    context = Context(opt, Path(root), is_train, resuming)
    problems = list(shape.sections(opt, is_train))
    if not problems:  # the other checks rely on the shape
        checks = (*CHECKS, *TRAIN_CHECKS) if is_train else CHECKS
        problems = [problem for each in checks for problem in each(context)]
    if problems:
        raise OptionError(report([place(problem) + problem for problem in problems]))
    logger.debug("no problem found in the options of %s", opt["name"])


def report(problems: list[str]) -> str:
    """The problems as a text: one alone, several with numbers."""
    if len(problems) == 1:
        return problems[0]
    lines = [f"{number:2}. {problem}" for number, problem in enumerate(problems, start=1)]
    return "\n".join([f"{how_many(len(problems), 'problem')} in the options:", *lines])

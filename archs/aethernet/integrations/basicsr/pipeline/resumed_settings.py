"""A run that goes on by another option file than it began with: what is changed takes effect, or is refused by name.

BasicSR loads the schedulers of the saved run over those of the file, so that a longer run breaks off and another rate, period
or milestone is ignored without a word; another optimiser ends with an error of torch. Here the rates are those that the file
gives: its schedule is gone through from the first iteration to the saved one. Without changes that is where the saved run
stood, bit for bit.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MethodType

from basicsr.models.base_model import BaseModel

from aethernet.errors import CheckpointError, OptionError
from aethernet.integrations.basicsr.preflight import schema
from aethernet.wording import how_many

logger = logging.getLogger(__name__)

TOP = ("model_type", "scale", "manual_seed", "train", "datasets", "network_", *sorted(schema.AETHER_DEGRADATION))
FIXED = ("model_type", "scale", "network_")
"""What a run cannot go on with if it is changed; and every optimiser's `type`."""
PER_PROCESS = ("phase", "scale", "num_gpu", "prefetch_mode", "num_worker_per_gpu", "pin_memory", "persistent_workers")
"""Entries of a data set that change nothing of a training, or that BasicSR puts there."""


def settings(opt: Mapping) -> dict[str, object]:
    """What decides a training, by its place in the option file, such as `train: optim_g: lr`."""
    return dict(_entries(opt))


def _entries(section: Mapping, place: str = "") -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        here = f"{place}: {key}" if place else str(key)
        if not place and not here.startswith(TOP):
            continue
        if place == "datasets" and key != "train":
            continue
        if place == "datasets: train" and key in PER_PROCESS:
            continue
        if isinstance(value, Mapping):
            yield from _entries(value, here)
        else:
            yield here, copy.deepcopy(list(value) if isinstance(value, tuple) else value)


def compare(saved: Mapping[str, object] | None, now: Mapping[str, object], iteration: int) -> None:
    """Names what is changed in the log.

    Args:
        saved: of the run that goes on; None if its state does not tell.

    Raises:
        OptionError: a change that the saved run cannot go on with, or fewer iterations than it has.
    """
    total = now.get("train: total_iter")
    if isinstance(total, int | float) and total < iteration:
        raise OptionError(
            f"train: total_iter: {int(total)} is less than the {how_many(iteration, 'iteration')} of the saved run: give more, or "
            "start under another name"
        )
    if saved is None:
        return
    changed = [place for place in {**saved, **now} if saved.get(place) != now.get(place)]
    refused = [place for place in changed if place.startswith(FIXED) or _is_type_of_optimizer(place)]
    if refused:
        what = "; ".join(f"{place}: {now.get(place)} here, {saved.get(place)} there" for place in refused)
        raise OptionError(
            f"the saved run cannot go on with what is changed in the option file ({what}): give the former value, or start "
            "under another name from its weights, with path: pretrain_network_g"
        )
    for place in changed:
        former, value = saved.get(place), now.get(place)
        if place == "manual_seed":
            logger.warning("%s: the saved run's, %s, goes on, not %s", place, former, value)
        else:
            logger.info("%s: %s from iteration %d on; it was %s", place, value, iteration + 1, former)


def _is_type_of_optimizer(place: str) -> bool:
    return place.startswith("train: optim_") and place.endswith(": type")


def resume_by_file(model: BaseModel) -> Callable[[BaseModel, dict], None]:
    """A `resume_training` that keeps the file's rates and schedule; raises `CheckpointError` for another optimiser."""
    resume = model.resume_training

    def resume_training(model: BaseModel, state: dict) -> None:
        with warnings.catch_warnings():  # torch expects a step of the optimiser between two of a scheduler
            warnings.simplefilter("ignore", UserWarning)
            for iteration in range(1, state["iter"] + 1):
                model.update_learning_rate(iteration, warmup_iter=model.opt["train"].get("warmup_iter", -1))
        groups = [[_without_params(group) for group in optimizer.param_groups] for optimizer in model.optimizers]
        schedulers = [copy.deepcopy(scheduler.state_dict()) for scheduler in model.schedulers]
        _require_same_optimizers(state["optimizers"], groups)
        try:
            resume(state)
        except (ValueError, KeyError, AssertionError) as error:
            raise CheckpointError(f"the saved run's optimiser does not fit this training: {error}") from error
        for optimizer, fresh in zip(model.optimizers, groups, strict=True):
            for group, values in zip(optimizer.param_groups, fresh, strict=True):
                group.update(values)
        for scheduler, values in zip(model.schedulers, schedulers, strict=True):
            scheduler.load_state_dict(values)

    return MethodType(resume_training, model)


def _without_params(group: Mapping) -> dict:
    return {key: copy.deepcopy(value) for key, value in group.items() if key != "params"}


def _require_same_optimizers(saved: list[dict], fresh: list[list[dict]]) -> None:
    there = [[sorted(set(group) - {"params"}) for group in state["param_groups"]] for state in saved]
    here = [[sorted(group) for group in groups] for groups in fresh]
    if there != here:
        raise CheckpointError(
            "the saved run had another optimiser (train: optim_g or optim_d: type or weight_decay from 0 or to 0), whose state "
            "does not fit: give the former one, or start under another name from its weights, with path: pretrain_network_g"
        )

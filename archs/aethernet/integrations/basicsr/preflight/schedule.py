"""Whether the training takes place as long as it should: BasicSR's epochs, and the learning rate's periods."""

import importlib
import inspect
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from aethernet.integrations.basicsr.preflight.classes import SCHEDULERS
from aethernet.integrations.basicsr.preflight.context import Context, positive
from aethernet.integrations.basicsr.preflight.expected import ANYWHERE
from aethernet.integrations.basicsr.preflight.kinds import STEPS
from aethernet.wording import how_many

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochPlan:
    """How BasicSR divides a training into epochs, and how far it comes.

    Args:
        images: pictures of the training set.
        ratio: `dataset_enlarge_ratio`.
        batch_size: `batch_size_per_gpu`.
        world_size: processes of a distributed training.
        devices: GPUs that share one process; each adds a batch, which BasicSR forgets when it counts epochs.
        total_iter: iterations that are wanted.
    """

    images: int
    ratio: float
    batch_size: int
    world_size: int
    devices: int
    total_iter: int

    @property
    def samples(self) -> int:
        """Pictures that one process sees in an epoch (EnlargedSampler)."""
        return math.ceil(self.images * self.ratio / self.world_size)

    @property
    def loaded(self) -> int:
        """Batches that the loader gives in an epoch; it drops the last one if that is not full."""
        return self.samples // (self.batch_size * self.devices)

    @property
    def planned(self) -> int:
        """Iterations in an epoch by BasicSR's own count, which rounds up."""
        return math.ceil(self.images * self.ratio / (self.batch_size * self.world_size))

    @property
    def epochs(self) -> int:
        """Number of the last epoch, counted from 0."""
        return math.ceil(self.total_iter / self.planned)

    @property
    def reached(self) -> int:
        """The iteration in which training ends."""
        return min(self.total_iter, self.loaded * (self.epochs + 1))

    def sufficient_ratio(self) -> int:
        """A whole `dataset_enlarge_ratio` with which training runs to its end, near the smallest one."""
        ratio = 1
        while (plan := replace(self, ratio=ratio)).loaded == 0 or plan.reached < self.total_iter:
            ratio += max(1, ratio // 50)
        return ratio


def iterations(context: Context) -> Iterator[str]:
    """A batch larger than the set trains nothing at all, and dropped batches can end a training early.

    The second does not hold where somebody counts the epochs in BasicSR's place, as `aethernet train` does.
    """
    plan = epoch_plan(context)
    if plan is None:
        return
    place = "datasets: train"
    if plan.loaded == 0:
        batch = plan.batch_size * plan.devices
        each = f" on each of {plan.devices} GPUs, together {batch}," if plan.devices > 1 else ""
        yield (
            f"{place}: batch_size_per_gpu: {plan.batch_size}{each} is more than the {how_many(plan.samples, 'picture')} of an "
            f"epoch ({how_many(plan.images, 'picture')} x dataset_enlarge_ratio {plan.ratio} / {how_many(plan.world_size, 'process', 'processes')}): "
            "BasicSR would train no iteration and save an untrained network. Set "
            f"dataset_enlarge_ratio: {plan.sufficient_ratio()}, or a smaller batch"
        )
        return
    if plan.reached < plan.total_iter and counts_epochs_itself():
        yield (
            f"train: total_iter: training would end after {plan.reached} of {how_many(plan.total_iter, 'iteration')}: BasicSR "
            f"counts {how_many(plan.planned, 'iteration')} an epoch, but the loader drops incomplete batches and gives "
            f"{plan.loaded}. Set {place}: dataset_enlarge_ratio: {plan.sufficient_ratio()} (now {plan.ratio})"
        )


def reporting(context: Context) -> Iterator[str]:
    """A log that no iteration reaches: nothing is wrong with such a training, but nobody sees how it goes."""
    every, total = (
        positive(context.opt[name].get(key)) for name, key in (("logger", "print_freq"), ("train", "total_iter"))
    )
    if every and total and every > total:
        logger.warning(
            "logger: print_freq: %d is more than train: total_iter: %d, so the log is going to name no loss",
            every,
            total,
        )
    yield from ()


def warm_up(context: Context) -> Iterator[str]:
    """A warm-up that outlasts the training: the rate would rise to its end and never reach the one that is asked for."""
    train = context.opt["train"]
    total, warm_up = positive(train.get("total_iter")), positive(train.get("warmup_iter"))
    if total and warm_up and warm_up >= total:
        yield (
            f"train: warmup_iter: {warm_up:g} is not below total_iter: {total:g}, so the learning rate would never be "
            "reached; shorten it with the training, as well as scheduler: periods and norm_freeze_iter"
        )


def restarts(context: Context) -> Iterator[str]:
    """Periods and restarts that do not fit each other, or end before the training does."""
    section = context.opt["train"].get("scheduler") or {}
    name = SCHEDULERS.get(section.get("type", ""))
    if name is None:
        return
    parameters = inspect.signature(getattr(importlib.import_module("basicsr.models.lr_scheduler"), name)).parameters
    lists = {
        key: section.get(key, parameters[key].default)
        for key in ("milestones", "periods", "restarts", "restart_weights")
        if key in parameters and (key in section or parameters[key].default is not inspect.Parameter.empty)
    }
    counted = "periods" if "periods" in parameters else "restarts"
    if counted not in lists or not all(map(STEPS.fits, lists.values())):
        return  # told as wrong values, or as a missing key
    if len(lists[counted]) != len(lists["restart_weights"]):
        yield (
            f"train: scheduler: restart_weights: has {how_many(len(lists['restart_weights']), 'entry', 'entries')} and {counted} has "
            f"{len(lists[counted])}; give one weight for each, such as {[1] * len(lists[counted])}"
        )
    total = positive(context.opt["train"].get("total_iter"))
    # In iteration n the scheduler stands at n - 1.
    if counted == "periods" and total and sum(lists["periods"]) < total - 1:
        yield (
            f"train: scheduler: periods: sum up to {sum(lists['periods'])}, and total_iter is {total}: BasicSR fails "
            "when the periods are over; let them sum up to total_iter"
        )


def counts_epochs_itself() -> bool:
    """Whether BasicSR's own function decides about the number of epochs."""
    function = importlib.import_module("basicsr.train").create_train_val_dataloader
    return function.__module__ == "basicsr.train"


def epoch_plan(context: Context) -> EpochPlan | None:
    """The plan of this training; None if one of its numbers is not known or wrong, which other checks tell."""
    section = context.opt["datasets"]["train"]
    images = context.pictures["datasets: train"].count
    batch_size = positive(section.get("batch_size_per_gpu"))
    total_iter = positive(context.opt["train"].get("total_iter"))
    ratio = section.get("dataset_enlarge_ratio", 1)
    if not images or not batch_size or not total_iter or not ANYWHERE["datasets: *: dataset_enlarge_ratio"].fits(ratio):
        return None
    distributed = bool(context.opt.get("dist"))
    world_size = context.opt.get("world_size", 1) if distributed else 1
    devices = 1 if distributed else max(1, context.opt["num_gpu"])
    return EpochPlan(images, ratio, batch_size, world_size, devices, total_iter)

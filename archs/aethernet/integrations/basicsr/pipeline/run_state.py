"""Where a training stands, beyond what BasicSR saves: the place in the epoch and the random generators.

BasicSR resumes at the beginning of the epoch, with generators in their initial state. With this, a run that was
interrupted and resumed goes through the same samples and the same random numbers as one that was not. It holds for
any number of workers. It does not hold where the machine itself is not repeatable (many CUDA kernels), for BasicSR's
own RealESRNetModel and RealESRGANModel, whose pool of pictures is not saved (AetherRealModel saves it), and with
`prefetch_mode: cpu` without workers, where two threads draw from the same generators.

Import this module after `aethernet.integrations.basicsr.compat.apply()`; it imports BasicSR.
"""

import logging
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.data_sampler import EnlargedSampler
from basicsr.models import build_model
from basicsr.models.base_model import BaseModel
from torch.utils.data import DataLoader, Dataset

from aethernet.errors import OptionError
from aethernet.integrations.basicsr.data.damage import SharedDamage, SoundBatches, SoundPictures, most_damaged
from aethernet.integrations.basicsr.data.samples import Draw, SeededSamples, untouched
from aethernet.integrations.basicsr.pipeline import distributed
from aethernet.integrations.basicsr.pipeline.best_metrics import BestMetrics
from aethernet.integrations.basicsr.pipeline.resumed_settings import compare, resume_by_file
from aethernet.integrations.basicsr.preflight import schema
from aethernet.integrations.basicsr.training.guard import watched_log
from aethernet.wording import how_many

logger = logging.getLogger(__name__)
basicsr_logger = logging.getLogger("basicsr")  # which writes the log file of the run

STATE_KEY = "aethernet"
"""Entry of a `.state` file; BasicSR ignores it."""


class RunState:
    """Follows one run of `basicsr.train.train_pipeline` through the functions that stand in for BasicSR's."""

    def __init__(self) -> None:
        self.seed = 0
        self.samples = 0  # taken by all ranks together in this epoch, those before an interruption included
        self.start_epoch = 0
        self.start_iter = 0
        self.skip = 0  # of these, those of start_epoch that were taken before the interruption
        self.generators: dict | None = None  # to be restored
        self.saved: dict | None = None  # what goes into the next .state
        self.settings: dict = {}  # of the option file
        self.best = BestMetrics()
        self.measured: list[SoundPictures] = []  # the sets to validate or test with

    def resume(self, state: dict) -> None:
        """Takes over what a `.state` file holds; one that BasicSR wrote goes on at the beginning of its epoch."""
        self.start_epoch, self.start_iter = state["epoch"], state["iter"]
        own = state.get(STATE_KEY)
        compare((own or {}).get("settings"), self.settings, self.start_iter)
        if own is None:
            logger.warning("this training state was not written by `aethernet train`: the epoch begins anew")
            return
        self.skip = own["samples"]
        rank, world_size = distributed.get_dist_info()
        if len(own["ranks"]) != world_size:
            logger.warning(
                "the training state is of %s, not %d: random numbers will differ",
                how_many(len(own["ranks"]), "process", "processes"),
                world_size,
            )
            return
        self.generators = own["ranks"][rank]
        self.seed = self.generators["seed"]

    def build_dataset(self, options: dict) -> Dataset:
        dataset = build_dataset(options)
        if options["phase"] != "train":
            self.measured.append(SoundPictures(dataset, options))
            return self.measured[-1]
        return SeededSamples(dataset, self.seed, SharedDamage(len(dataset), most_damaged(options)))

    def build_dataloader(self, dataset: Dataset, options: dict, **others: object) -> DataLoader | SoundBatches:
        loader = build_dataloader(dataset, options, **others)
        return SoundBatches(loader) if isinstance(dataset, SoundPictures) else loader

    def build_sampler(self, dataset: Dataset, num_replicas: int, rank: int, ratio: int = 1) -> "PlacedSampler":
        return PlacedSampler(self, dataset, num_replicas, rank, ratio)

    def counting(self, prefetcher: type) -> type:
        """A subclass of BasicSR's `CPUPrefetcher` or `CUDAPrefetcher` that counts what is given out."""
        state = self

        class CountingPrefetcher(prefetcher):
            def reset(self) -> None:
                super().reset()
                state.samples = state.skipped(self.ori_loader.sampler.epoch)
                if state.generators is not None:  # only now, since loaders draw from them when they start
                    restore(state.generators)
                    state.generators = None

            def next(self) -> dict | None:
                batch = super().next()
                samples = self.ori_loader.dataset
                samples.damaged.require_few(samples.dataset)
                if batch is not None:
                    state.samples += self.ori_loader.batch_size * self.ori_loader.sampler.num_replicas
                return batch

        return CountingPrefetcher

    def build_model(self, opt: dict) -> BaseModel:
        """Builds the model and has its `save` note this state, and its `validation` leave the generators alone."""
        model = build_model(opt)
        save, validation = model.save, model.validation

        def save_with_state(model: BaseModel, epoch: int, current_iter: int) -> None:
            if current_iter != -1:
                self.saved = {
                    "settings": self.settings,
                    "samples": self.samples,
                    "ranks": distributed.gather({"seed": self.seed, **capture()}),
                }
            save(epoch, current_iter)

        total_iter = int(opt["train"]["total_iter"])

        def quiet_validation(model: BaseModel, dataloader: SoundBatches, current_iter: int, *args) -> None:
            # After the last iteration BasicSR counts one more.
            with untouched():
                validation(dataloader, min(current_iter, total_iter), *args)
            say_damaged(dataloader)
            self.best.note(model, dataloader.dataset, min(current_iter, total_iter))

        self.best.restore(model, opt, self.start_iter)
        model.resume_training = resume_by_file(model)
        model.save = MethodType(save_with_state, model)
        kind = opt["model_type"].removesuffix("_basicsr")
        if kind not in schema.AETHER_MODELS:  # those skip such steps
            model.get_current_log = watched_log(kind, model.get_current_log, stops=kind in schema.MODELS)
        model.validation = MethodType(quiet_validation, model)
        return model

    def create_loaders(self, create: Callable) -> Callable:
        """BasicSR's `create_train_val_dataloader` with as many epochs as the iterations need.

        BasicSR counts the last, incomplete batch of each epoch, which its loader drops, and it counts from the
        beginning: a run could end early, or not train at all when resumed with another batch size or data set.
        """

        def create_train_val_dataloader(opt: dict, log: logging.Logger) -> tuple:
            train_loader, sampler, val_loaders, _, total_iters = create(opt, log)
            if len(train_loader) == 0:
                raise OptionError(
                    f"one batch of all processes has more pictures than the training set ({len(train_loader.dataset)}): "
                    "lower datasets: train: batch_size_per_gpu, or raise dataset_enlarge_ratio"
                )
            epochs = math.ceil(max(0, total_iters - self.start_iter) / len(train_loader))
            return train_loader, sampler, val_loaders, self.start_epoch + epochs, total_iters

        return create_train_val_dataloader

    def write_state(self, write_whole: Callable[[dict, Path], None]) -> Callable[[dict, Path], None]:
        """A writer that adds this state to training states."""

        def write(content: dict, path: Path) -> None:
            write_whole({**content, STATE_KEY: self.saved} if path.suffix == ".state" else content, path)

        return write

    def skipped(self, epoch: int) -> int:
        return self.skip if epoch == self.start_epoch else 0


def message_logger(build: Callable) -> Callable:
    """BasicSR's `MessageLogger`, whose time to go is an iteration short: below 0 at the end, `-1 day, 23:59:59`."""

    def built(*arguments: Any, **named: Any) -> Any:
        logger = build(*arguments, **named)
        logger.max_iters += 1  # read by the estimate alone
        return logger

    return built


def build_stating_model(opt: dict) -> BaseModel:
    """A model to test with, which says behind the figures of a set which damaged pictures they leave out."""
    model = build_model(opt)
    validation = model.validation

    def stating(model: BaseModel, dataloader: SoundBatches, *args, **named) -> None:
        validation(dataloader, *args, **named)
        say_damaged(dataloader)

    model.validation = MethodType(stating, model)
    return model


def say_damaged(dataloader: SoundBatches) -> None:
    if statement := dataloader.dataset.statement():
        basicsr_logger.warning(statement)


class PlacedSampler(EnlargedSampler):
    """BasicSR's order of the pictures, as `Draw`s, without those taken before the interruption."""

    def __init__(self, run_state: RunState, dataset: Dataset, num_replicas: int, rank: int, ratio: int) -> None:
        super().__init__(dataset, num_replicas, rank, ratio)
        self.run_state = run_state

    def __iter__(self) -> Iterator[Draw]:
        epoch = self.epoch
        for place, index in enumerate(super().__iter__()):
            place = place * self.num_replicas + self.rank
            if place >= self.run_state.skipped(epoch):
                yield index, epoch, place


def capture() -> dict:
    """The states of all random generators of this process, as plain numbers and tensors."""
    state = np.random.get_state(legacy=True)
    assert isinstance(state, tuple)
    name, keys, *rest = state
    states = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore(states: dict) -> None:
    """Sets the generators to what `capture` returned."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])

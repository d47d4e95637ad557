"""The data sets: are the pictures there, do pairs agree with the scale, can the loader be built, is validation used?"""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from aethernet.checks import is_whole
from aethernet.data.opencv import opencv
from aethernet.integrations.basicsr.data.damage import most_damaged
from aethernet.integrations.basicsr.preflight import lmdb_probe, schema
from aethernet.integrations.basicsr.preflight.context import Context, phase, positive
from aethernet.integrations.basicsr.preflight.pictures import Pictures
from aethernet.machine import cores
from aethernet.wording import how_many

logger = logging.getLogger(__name__)


def pictures(context: Context) -> Iterator[str]:
    """Folders and files that are missing, empty, or do not pair."""
    for place, found in context.pictures.items():
        yield from found.problems
        if found.below and not found.problems:
            logger.warning(
                "%s: pictures in folders below (%s) are no part of the set, which is read flat: name such folders themselves, or "
                "make one set of all with `aethernet data prepare`",
                *(place, ", ".join(map(str, found.below[:3])) + (", ..." if len(found.below) > 3 else "")),
            )


def damaged(context: Context) -> Iterator[str]:
    """More damaged pictures than a set may have. Those to validate and test with are all decoded; of a training set only the
    headers that were read anyway, and an LMDB's entries looked for: the rest is left out when it comes to it."""
    for place, section in context.datasets:
        most = most_damaged(section)
        found = context.pictures[place]
        if found.problems or not is_whole(most, 0):
            continue
        decodes = phase(place) != "train"
        problems: dict[str, str] = {}  # by item, so that a pair counts once
        for folder in found.lmdbs:
            problem, entries = lmdb_probe.look(folder, found.names, decodes=decodes)
            if problem:
                yield f"{place}: {folder} cannot be read ({problem}); write it anew"
            for key in entries:
                problems.setdefault(key, f"{folder}: {key} cannot be decoded")
        for files, broken in zip(found.files, _broken(found, decodes), strict=True):
            if broken:
                problems[str(files)] = broken
        total = len(found.files) or len(found.names)
        if not problems:
            continue
        first, rest = next(iter(problems.values())), len(problems) - 1
        more = f", and {rest} more" if rest else ""
        if len(problems) > most:
            allowed = f"max_damaged: {most} is less than that" if most else "max_damaged: 0 allows none"
            yield f"{place}: {first}{more}; replace or remove {'it, with its partner' if not rest else 'them'} ({allowed})"
        elif len(problems) == total:
            yield f"{place}: every picture is damaged: {first}{more}; give others"
        elif decodes:
            for problem in problems.values():
                logger.warning("%s: %s; it is left out of the figures", place, problem)


def _broken(found: Pictures, decodes: bool) -> Iterator[str]:
    """For each item which of its files is damaged, in words, or an empty text."""
    cv2 = opencv("training")

    def problem(files: tuple[Path, ...]) -> str:
        for path in files:
            if path in found.damaged:
                return f"{path} {found.damaged[path]}"
            if decodes and cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is None:
                return f"{path} cannot be decoded"
        return ""

    if not decodes:
        yield from map(problem, found.files)
        return
    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(problem, found.files)


def sizes(context: Context) -> Iterator[str]:
    """Pairs of another scale, and pictures smaller than a training patch."""
    if context.scale is None:
        return
    for place, section in context.datasets:
        found = context.pictures[place].sizes
        exact = phase(place) == "train"
        wrong = [(name, gt, lq) for name, gt, lq in found if not _agree(gt, lq, context.scale, exact=exact)]
        if wrong:
            name, gt, lq = wrong[0]
            yield (
                f"{place}: dataroot_lq: {name} is {lq[0]}x{lq[1]} and its HR picture {gt[0]}x{gt[1]}, which is not "
                f"{how_many(context.scale, 'time')} as much ({how_many(len(wrong), 'such pair')} of {len(found)} looked at); give pictures "
                f"made for scale: {context.scale}, with HR sizes cut to multiples of it"
            )
        patch = positive(section.get("gt_size"))
        small = [(name, gt) for name, gt, _ in found if exact and patch and min(gt) < patch]
        if small and not wrong:
            name, gt = small[0]
            yield (
                f"{place}: gt_size: {patch} is more than {name} has, which is {gt[0]}x{gt[1]} ("
                f"{how_many(len(small), 'such picture')} of {len(found)} looked at); use a smaller gt_size, or remove small pictures"
            )


def loading(context: Context) -> Iterator[str]:
    """Loader settings that BasicSR or torch refuses after the folders have been made."""
    for place, section in context.datasets:
        training = phase(place) == "train"
        mode = section.get("prefetch_mode")
        if mode == "cpu" and section.get("num_prefetch_queue", 1) is None:
            yield f"{place}: num_prefetch_queue: must be a whole number of at least 1 with prefetch_mode: cpu, not None"
        if training and mode == "cuda":
            if section.get("pin_memory") is not True:
                yield f"{place}: pin_memory: must be true with prefetch_mode: cuda"
            if not torch.cuda.is_available():
                yield f"{place}: prefetch_mode: cuda needs a CUDA device, and torch sees none; set it to ~ or cpu"
        workers = section.get("num_worker_per_gpu") if training else 0  # validation always loads without workers
        if section.get("persistent_workers") and workers == 0:
            remedy = "set num_worker_per_gpu to 1 or more, or " if training else ""
            yield f"{place}: persistent_workers: needs workers, and there are none here; {remedy}remove the line"


def validation(context: Context) -> Iterator[str]:
    """A validation set that is never used, and a validation without a set."""
    sets = {place: section for place, section in context.datasets if phase(place) == "val"}
    if sets and context.opt.get("val") is None:
        yield f"val: is missing, so {next(iter(sets))} would never be used; add val: val_freq, save_img and metrics"
    if context.opt.get("val") is not None and not sets and context.model_type in schema.MODELS:
        yield "val: there is nothing to validate on; add datasets: val, or remove this section"
    training = _folders(context.opt["datasets"]["train"].get("dataroot_gt"))
    for place, section in sets.items():
        if training & _folders(section.get("dataroot_gt")):
            logger.warning(
                "%s: dataroot_gt: is the folder of the training set: metrics say nothing of new pictures", place
            )


def results(context: Context) -> Iterator[str]:
    """Sets and pictures of one name, whose figures or result pictures would take the place of one another."""
    named: dict[object, str] = {}
    pictured: dict[str, str] = {}
    saving = (context.opt.get("val") or {}).get("save_img")
    for place, section in context.datasets:
        if phase(place) == "train":
            continue
        name = section.get("name")
        if not isinstance(name, str):
            continue  # told elsewhere
        folder = os.path.normpath(name)
        if saving and (os.path.isabs(folder) or folder.split(os.sep)[0] == os.pardir):
            yield f"{place}: name: {name!r} would put the results outside of the run's folder; give a plain name"
        if folder in named:
            yield (
                f"{place}: name: {name!r} is that of {named[folder]} as well, and BasicSR keeps figures and pictures by it; "
                "give each set a name of its own"
            )
        named.setdefault(folder, place)
        taken = (
            pictured if context.is_train else {}
        )  # while it trains, BasicSR has one folder for the pictures of all sets
        twice = []
        for stem in context.pictures[place].names if saving else ():
            if stem in taken:
                twice.append((stem, taken[stem]))
            taken[stem] = place
        if twice:
            stem, other = twice[0]
            where = "twice" if other == place else f"also in {other}"
            more = f" ({how_many(len(twice), 'such name')})" if len(twice) > 1 else ""
            yield (
                f"{place}: a picture called {stem} is there {where}{more}, and one result would be written over the other; "
                "give pictures different names, endings aside, or set val: save_img: false"
            )


def _agree(gt: tuple[int, int], lq: tuple[int, int], scale: int, *, exact: bool) -> bool:
    """Training needs exact multiples; validation cuts HR pictures to them, less than one LR pixel."""
    surplus = [large - small * scale for large, small in zip(gt, lq, strict=True)]
    return all(each == 0 if exact else 0 <= each < scale for each in surplus)


def _folders(paths: object) -> set[str]:
    return {os.path.realpath(path) for path in (paths if isinstance(paths, list) else [paths]) if isinstance(path, str)}

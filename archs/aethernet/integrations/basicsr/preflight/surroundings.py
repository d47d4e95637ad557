"""What the options need around them: devices, packages, and a name that no former run has taken."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from aethernet.integrations.basicsr.preflight.context import Context
from aethernet.wording import how_many


def devices(context: Context) -> Iterator[str]:
    """More GPUs than there are. A distributed training counts those of all machines, so it is left alone."""
    wanted, present = context.opt["num_gpu"], torch.cuda.device_count() if torch.cuda.is_available() else 0
    if context.opt.get("dist") or wanted <= present:
        return
    seen = f"torch sees {how_many(present, 'CUDA device')} here" if present else "torch sees no CUDA device here"
    smaller = (
        f"num_gpu: {present}, or num_gpu: auto" if present else "num_gpu: 0 to use the processor, or num_gpu: auto"
    )
    yield f"num_gpu: {wanted} is more than there are: {seen}; set {smaller}"


def loggers(context: Context) -> Iterator[str]:
    """Packages that logging needs. BasicSR opens no logger for names with `debug` in them."""
    section = context.opt["logger"]
    if "debug" in context.opt["name"]:
        return
    if section.get("use_tb_logger") and importlib.util.find_spec("tensorboard") is None:
        yield "logger: use_tb_logger: needs a package: pip install tensorboard, or set it to false"
    if (section.get("wandb") or {}).get("project") is None:
        return
    if section.get("use_tb_logger") is not True:
        yield "logger: wandb: works by way of tensorboard only; set use_tb_logger: true, or wandb: project: ~"
    if importlib.util.find_spec("wandb") is None:
        yield "logger: wandb: project: needs a package: pip install wandb, or set it to ~"


def former_run(context: Context) -> Iterator[str]:
    """A former run of this name, which BasicSR would rename. Only rank 0 looks, since it makes the folders.

    With --auto_resume a run that stopped before it saved anything may begin anew; one that saved weights may not.
    """
    if context.resumes or context.opt.get("rank", 0) != 0:
        return
    name = context.opt["name"]
    experiment = Path(str(context.opt["path"].get("experiments_root") or context.root / "experiments" / name))
    if context.resuming and not _is_used(experiment / "models"):
        return
    resume = "continue it with --auto_resume, " if context.has_states else ""
    if _is_used(experiment):
        kind = "a former run without a state to resume from" if context.resuming else "a former run"
        yield f"name: {name}: {experiment} holds {kind}, which BasicSR would rename; {resume}{_choose(experiment)}"
    events = context.root / "tb_logger" / name
    if context.opt["logger"].get("use_tb_logger") and "debug" not in name and _is_used(events):
        yield f"name: {name}: {events} holds the curves of a former run, which BasicSR would rename; {_choose(events)}"


def _choose(folder: Path) -> str:
    return f"choose another name, or remove {folder}"


def _is_used(folder: Path) -> bool:
    """Whether there is a folder with something in it."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(entries)

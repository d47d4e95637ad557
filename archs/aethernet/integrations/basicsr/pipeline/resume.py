"""From which training state a run goes on.

BasicSR 1.4.2 looks below the current folder instead of the experiment's, takes the file with the highest number
even if a crash cut it short, and loads it to a GPU that may not exist.

Import this module after `aethernet.integrations.basicsr.compat.apply()`; it imports BasicSR.
"""

import collections
import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import torch
from basicsr.utils import check_resume

from aethernet.errors import CheckpointError, one_line
from aethernet.integrations.basicsr.pipeline.distributed import get_dist_info

logger = logging.getLogger(__name__)

# Schedulers keep milestones in a Counter, and some optimisers their state in a defaultdict; neither can run code.
CONTAINERS: list[Callable | tuple[Callable, str]] = [
    collections.Counter,
    collections.OrderedDict,
    collections.defaultdict,
]
UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError)
LEFT_OVER = re.compile(r"\.(net_\w+|\d+)\.\w+\.(pth|state)")  # as `aethernet.files.atomic_path` names them


def load_resume_state(opt: dict) -> dict | None:
    """The state to go on from, on the CPU, or None for a run that starts. Sets the networks' paths in `opt`.

    With `--auto_resume` it is the newest one that can be read together with its networks; without any, the run
    starts. `path: resume_state` names one, which must be whole.

    Raises:
        CheckpointError: the named state, or all that are there, cannot be read.
    """
    named = opt["path"].get("resume_state")
    found = newest_state(opt) if opt["auto_resume"] else None
    if found is None and named:
        found = Path(named), read_state(Path(named), opt)
    if found is None:
        return None
    path, state = found
    opt["path"]["resume_state"] = str(path)
    logger.info("resuming from %s", path)
    check_resume(opt, state["iter"])
    return state


def newest_state(opt: dict) -> tuple[Path, dict] | None:
    """The newest state of the experiment that can be read together with its networks; None if there is no file."""
    folder = Path(opt["path"]["training_states"])
    remove_left_overs(folder, Path(opt["path"]["models"]))
    paths = [path for path in folder.glob("*.state") if path.stem.isdecimal()]
    if not paths:
        logger.info("--auto_resume: %s holds no training state, the training starts", folder)
        return None
    reasons = []
    for path in sorted(paths, key=lambda path: int(path.stem), reverse=True):
        try:
            state = read_state(path, opt)
        except CheckpointError as error:
            logger.warning("--auto_resume leaves out %s: %s", path.name, error)
            reasons.append(str(error))
            continue
        return path, state
    raise CheckpointError(
        f"--auto_resume: none of the {len(paths)} training states in {folder} can be used; the newest: {reasons[0]}. "
        "To start anew, rename or remove the experiment's folder"
    )


def read_state(path: Path, opt: dict) -> dict:
    """Reads a `.state` file and makes sure that the networks belonging to it can be read."""
    state = read_tensors(path)
    missing = {"epoch", "iter", "optimizers", "schedulers"} - set(state)
    if missing:
        raise CheckpointError(f"{path} is no training state: it has no {', '.join(sorted(missing))}")
    ignored = opt["path"].get("ignore_resume_networks") or ()
    for network in (key for key in opt if key.startswith("network_") and key not in ignored):
        name = f"net_{network.removeprefix('network_')}_{state['iter']}.pth"
        read_tensors(Path(opt["path"]["models"]) / name)
    return state


def read_tensors(path: Path) -> dict:
    """Reads a file of tensors, numbers and plain containers; nothing else is loaded, because it could run code."""
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    torch.serialization.add_safe_globals(CONTAINERS)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read ({one_line(error)}): it is damaged or incomplete") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a dictionary")
    return content


def remove_left_overs(*folders: Path) -> None:
    """Removes files that were being written when a former run was killed; they would pile up."""
    if get_dist_info()[0] != 0:
        return
    for path in (path for folder in folders for path in folder.glob(".*")):
        if LEFT_OVER.fullmatch(path.name):
            path.unlink(missing_ok=True)

"""Several processes: BasicSR's start of them, made to work on CPUs and through long validations.

Import this module after `aethernet.integrations.basicsr.compat.apply()`; it imports BasicSR.
"""

import datetime
import os
import subprocess
from collections.abc import Callable

import torch
from basicsr.models.base_model import BaseModel
from basicsr.utils.dist_util import get_dist_info
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from aethernet.errors import AetherError, EnvironmentProblem, OptionError
from aethernet.integrations.basicsr.preflight.expected import ANYWHERE

__all__ = ["all_or_none", "gather", "get_dist_info", "leave", "model_to_device", "starter"]

TIMEOUT = datetime.timedelta(hours=2)
"""How long a process waits for the others. Rank 0 validates alone, and the next step of the others waits for it;
torch's own 10 minutes (NCCL) or 30 (gloo) would end the training in a long validation."""


def starter(*, on_cpu: bool) -> Callable[..., None]:
    """A replacement for BasicSR's `init_dist`, which takes the rank modulo the number of GPUs, zero on a CPU.

    Args:
        on_cpu: the option file asks for the CPU (`num_gpu: 0`).
    """

    def init_dist(launcher: str, backend: str = "nccl", port: int | None = None, **unknown: object) -> None:
        for name, value in (("backend", backend), ("port", port)):  # read before the rest is looked at
            if problem := ANYWHERE[f"dist_params: {name}"].problem(f"dist_params: {name}", value):
                raise OptionError(problem)
        if launcher == "slurm":
            _read_slurm(port)
        missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
        if missing:
            raise EnvironmentProblem(
                f"--launcher {launcher} needs the variables {', '.join(missing)}: start with `torchrun "
                "--nproc_per_node=N -m aethernet train -opt FILE --launcher pytorch`, or leave --launcher away"
            )
        use_cuda = torch.cuda.is_available() and not on_cpu
        if use_cuda:
            if multiprocessing.get_start_method(allow_none=True) is None:
                multiprocessing.set_start_method("spawn")  # as BasicSR does: NCCL does not survive a fork
            local_rank = int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
            torch.cuda.set_device(local_rank % torch.cuda.device_count())
        distributed.init_process_group(backend if use_cuda else "gloo", timeout=TIMEOUT)

    return init_dist


def _read_slurm(port: int | None) -> None:
    """Sets torch's variables from those that srun gives to each task."""
    try:
        rank, tasks, nodes = (os.environ[f"SLURM_{name}"] for name in ("PROCID", "NTASKS", "NODELIST"))
    except KeyError as error:
        raise EnvironmentProblem(f"--launcher slurm needs the variable {error}: start the command with srun") from error
    try:
        command = ["scontrol", "show", "hostnames", nodes]
        hosts = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentProblem(f"--launcher slurm cannot ask scontrol for the first of {nodes} ({error})") from error
    os.environ.update(RANK=rank, WORLD_SIZE=tasks, MASTER_ADDR=hosts[0])
    os.environ["LOCAL_RANK"] = os.environ.get("SLURM_LOCALID", rank)
    if port is not None:
        os.environ["MASTER_PORT"] = str(port)
    os.environ.setdefault("MASTER_PORT", "29500")


def model_to_device(original: Callable) -> Callable:
    """BasicSR's `BaseModel.model_to_device` for the CPU, where DistributedDataParallel takes no device ids."""

    def move(model: BaseModel, net: nn.Module) -> nn.Module:
        if not model.opt["dist"]:
            return original(model, net)
        find_unused = model.opt.get("find_unused_parameters", False)
        return DistributedDataParallel(net.to(model.device), find_unused_parameters=find_unused)

    return move


def gather(value: object) -> list:
    """The values of all processes by rank, in every process. All must call it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    values: list = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def all_or_none(check: Callable[[], None]) -> None:
    """Calls `check` in every process and waits for all. If it raises in one, all raise, so that none is left waiting.

    Rank 0 creates folders right after a check that others could still be making.
    """
    failure: AetherError | None = None
    try:
        check()
    except AetherError as error:
        failure = error
    failures = [each for each in gather(failure) if each is not None]
    if failures:
        raise failure or failures[0]


def leave(*, in_order: bool) -> None:
    """Ends the process group. After an error the others are not waited for: they may be anywhere."""
    if distributed.is_initialized():
        if in_order:
            distributed.barrier()
        distributed.destroy_process_group()

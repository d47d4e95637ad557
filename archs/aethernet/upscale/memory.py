"""How large a window may be: what a model takes a pixel, and what this machine has."""

import contextlib
import copy
import os
from pathlib import Path

import torch
from torch import nn

from aethernet.machine import kept_memory
from aethernet.runtimes.models import Model

SHARE = 0.5
"""Of the free memory, for a window: the pictures need theirs, and so do others."""
OVERHEAD = 4.0
"""What runs take over the largest step: skips that wait, rearranged copies, what allocators keep (up to 3.2, measured)."""
UNKNOWN = 16_384
"""Bytes for each input pixel of a model that cannot be looked into: as four times our `tiny`."""
PROBED_SIDE = 16
USED = 2**29
"""Of a process that has PyTorch loaded, about."""


class LargestStep:
    """The bytes that go into a part of a network and come out of it, where they are most, as hooks see them.

    PyTorch's own means of following tensors, and its meta device, import its compiler, which takes seconds.
    """

    def __init__(self, network: nn.Module) -> None:
        self.bytes = 0
        for module in network.modules():
            if not any(True for _ in module.children()):
                module.register_forward_hook(self._see)

    def _see(self, module: nn.Module, inputs: tuple, output: object) -> None:
        tensors = [tensor for tensor in (*inputs, output) if isinstance(tensor, torch.Tensor)]
        self.bytes = max(self.bytes, sum(tensor.nbytes for tensor in tensors))


def bytes_per_pixel(model: Model) -> int:
    """What one pass needs for each input pixel, apart from weights."""
    network = model.network
    if network is None and "config" in model.metadata:
        from aethernet.network.config import AetherConfig
        from aethernet.network.network import AetherNet

        with contextlib.suppress(Exception):  # a file of a later release: the guess below is good enough
            text = torch.tensor(list(model.metadata["config"].encode()), dtype=torch.uint8)
            network = AetherNet(AetherConfig.from_tensor(text)).eval()
    if network is None:
        return UNKNOWN
    side = max(model.least, -(-PROBED_SIDE // model.multiple) * model.multiple)
    network = copy.deepcopy(network).cpu().eval()
    step = LargestStep(network)
    with torch.inference_mode():
        network(torch.zeros(1, model.in_channels, side, side))
    return int(OVERHEAD * step.bytes / side**2) or UNKNOWN


def available_memory(limit: int | None = None) -> int | None:
    """Bytes of main memory that pictures may take: what a limit of this process leaves, or a share of what is free."""
    free = free_memory("cpu", limit)
    return free if free is None or limit is not None else int(SHARE * free)


def used_memory() -> int:
    """Bytes of main memory that this process holds and uses; a guess where the system does not tell."""
    with contextlib.suppress(OSError, ValueError):
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return max(0, resident - kept_memory())
    return USED


def free_memory(device: str = "cpu", limit: int | None = None) -> int | None:
    """Bytes that are free on a device, or that this process keeps for new use; None where the system does not tell.

    `limit` are the bytes of main memory that this process may hold in all.
    """
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    free = []
    with contextlib.suppress(OSError, ValueError):
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        free.append(int(fields["MemAvailable"].split()[0]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # a container's own limit
        group = Path("/sys/fs/cgroup")
        free.append(
            int((group / "memory.max").read_text(encoding="ascii"))
            - int((group / "memory.current").read_text(encoding="ascii"))
        )
    if not free and hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        free.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    free = [kept_memory() + each for each in free]
    if limit is not None:
        free.append(limit - used_memory())
    return max(0, min(free)) if free else None

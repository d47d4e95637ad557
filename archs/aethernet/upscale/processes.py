"""Which of several processes this one is, as torchrun and SLURM tell it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from aethernet.errors import UsageError
from aethernet.machine import cores

T = TypeVar("T")

KNOWN = (
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("SLURM", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", ""),
)


@dataclass(frozen=True)
class Process:
    """One of `count`, with its number among all and among those of this machine.

    Attributes:
        beside: the processes of this machine; None where that is not known.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    beside: int | None = None

    @property
    def threads(self) -> int | None:
        """Its part of this machine's cores, which torchrun does not give (it says 1); None where they are all its own."""
        return None if self.beside in (None, 1) else max(1, cores() // self.beside)

    def device(self, gpus: int) -> str:
        """The GPU that is its own, of `gpus`; `auto` where it is alone or there is none."""
        return f"cuda:{self.local_rank % gpus}" if self.count > 1 and gpus else "auto"

    def in_order(self, items: Sequence[T]) -> list[T]:
        """All of them, beginning with its own part and wrapping around: processes meet as late as they can."""
        first = self.rank * len(items) // self.count
        return [*items[first:], *items[:first]]


def this_process(environ: Mapping[str, str] = os.environ) -> Process:
    """From the environment; the only process where that says nothing. Raises `UsageError` for what are no numbers."""
    for starter, *names in KNOWN:
        rank, count, local, beside = (environ.get(name) for name in names)
        if rank is None or count is None:
            continue
        try:
            found = Process(int(rank), int(count), int(local or 0), int(beside) if beside else None)
        except ValueError:
            found = Process(-1)
        if not 0 <= found.rank < found.count:
            raise UsageError(f"{starter}'s environment says {names[0]}={rank} and {names[1]}={count}")
        return found
    return Process()

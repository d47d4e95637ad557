"""What a figure was measured on: a number without it can be neither repeated nor compared."""

import datetime
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from aethernet import machine
from aethernet.version import __version__
from aethernet.wording import how_many


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Machine, software and call behind a table. `cores` are those this process may use."""

    device: str
    cores: int
    threads: int
    torch: str
    aethernet: str
    precision: str
    size: str
    date: str
    command: str

    def sentence(self) -> str:
        """The record as one line below a table."""
        threads = f"{how_many(self.threads, 'thread')} of {how_many(self.cores, 'core')}"
        return (
            f"{self.device}, {threads}, {self.precision}, {self.size}, torch {self.torch}, "
            f"aethernet {self.aethernet}, {self.date}: `{self.command}`"
        )


def measurement_conditions(
    *, threads: int, precision: str, size: str, device: str = "cpu", command: str = ""
) -> Conditions:
    """Looks at this machine now.

    Args:
        threads: the threads that the measurement was limited to.
        device: `cpu`, or a CUDA device.
        command: the command line; by default that of this process.
    """
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else machine.cpu().title
    return Conditions(
        device=name,
        cores=machine.cores(),
        threads=threads,
        torch=str(torch.__version__),
        aethernet=__version__,
        precision=precision,
        size=size,
        date=datetime.date.today().isoformat(),
        command=command or own_command(sys.argv),
    )


def own_command(argv: list[str]) -> str:
    """A command line as its user would type it again: without the folder that the program is installed in."""
    program = Path(argv[0])
    start = ["python", "-m", program.parent.name] if program.name == "__main__.py" else [program.name]
    return shlex.join([*start, *argv[1:]])

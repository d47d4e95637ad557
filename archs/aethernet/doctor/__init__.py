"""What this machine and environment can do for AetherNet, as records: what was found, and what to do about it.

The checks import what they check, in this process, and change nothing on disk. Which versions are needed stands in
setup.py alone, and is read from the installed package.
"""

from collections.abc import Sequence
from pathlib import Path

from aethernet.doctor.basicsr import check_basicsr
from aethernet.doctor.check import Check
from aethernet.doctor.files import check_file
from aethernet.doctor.machine import check_cpu, check_folder, check_int8
from aethernet.doctor.packages import (
    PURPOSES,
    check_aethernet,
    check_optional,
    check_package,
    check_python,
    check_torch,
    check_torchvision,
    requirements,
)
from aethernet.integrations.frameworks import FRAMEWORKS
from aethernet.machine import cpu

__all__ = ["Check", "diagnose"]


def diagnose(files: Sequence[Path] = ()) -> list[Check]:
    """Every check, in the order in which one problem explains the next; then those of files."""
    needed = requirements() | requirements("train")
    optional = {
        name: (versions, extra) for extra in reversed(PURPOSES) for name, versions in requirements(extra).items()
    }
    checks = [check_python(), check_aethernet(), *check_torch(), check_torchvision()]
    checks += [check_package(*entry) for entry in needed.items() if entry[0] not in ("torch", "torchvision")]
    checks += check_basicsr()
    checks += [check_optional(name, *entry) for name, entry in optional.items()]
    checks += [
        *(check_optional(framework.package) for framework in FRAMEWORKS if framework.package != "basicsr"),
        check_cpu(),
        check_int8(cpu()),
        check_folder(),
    ]
    return [*checks, *map(check_file, files)]

"""The memory of a process that does the same over and over."""

import subprocess
import sys
import textwrap
from pathlib import Path

from helpers.training import environment

STATM = Path("/proc/self/statm")
"""Linux's figures of a process's memory."""

BEGIN = """
import sys
from pathlib import Path
from aethernet.machine import forget_former_sizes, keep_freed_memory
keep_freed_memory()
forget_former_sizes()

seen = []

def see():
    seen.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20)
"""
END = """
print(len(seen), max(seen[:{early}]), max(seen))
"""


def memory_of(work: str, *arguments: object, early: int) -> tuple[int, float, float]:
    """Runs Python in a process of its own, with the settings of `aethernet upscale`.

    Args:
        work: calls `see()` after each of what it does over and over; `sys.argv[1:]` are the arguments.
        early: of these count as the beginning.

    Returns:
        How often it was seen, and the most mebibytes in the beginning and in all.
    """
    script = BEGIN + textwrap.dedent(work) + END.format(early=early)
    words = [sys.executable, "-c", script, *map(str, arguments)]
    out = subprocess.run(words, env=environment(), stdout=subprocess.PIPE, text=True, check=True).stdout
    count, first, last = out.split()
    return int(count), float(first), float(last)

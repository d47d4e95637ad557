"""Whether an LMDB can be read, tried in a process of its own: LMDB's library ends the process at a damaged file."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PROBE = """
import sys
import lmdb

folder, decodes = sys.argv[1], sys.argv[2] == "decode"
if decodes:
    import cv2
    import numpy as np
try:
    with lmdb.open(folder, readonly=True, lock=False, readahead=False) as store, store.begin(buffers=True) as transaction:
        for key in sys.stdin.buffer.read().splitlines():
            value = transaction.get(key) if key else None
            if value is None:
                sys.exit(f"{key.decode(errors='replace')!r} of meta_info.txt is not in it")
            bytes(value[:1]), bytes(value[-1:])  # both ends lie in the file
            if decodes and (not len(value) or cv2.imdecode(np.frombuffer(value, np.uint8), cv2.IMREAD_COLOR) is None):
                sys.stdout.buffer.write(key + b"\\n")
except lmdb.Error as error:
    sys.exit(str(error).splitlines()[0])
"""


def look(folder: Path, keys: Iterable[str], *, decodes: bool) -> tuple[str, list[str]]:
    """What is wrong with an LMDB as a whole, empty if nothing is, and which of the entries `keys` cannot be decoded.

    Args:
        decodes: whether all pictures are decoded; else only where they lie is looked at.
    """
    command = [sys.executable, "-c", PROBE, str(folder), "decode" if decodes else "look"]
    entries = "\n".join(keys).encode("utf-8", "surrogateescape")
    done = subprocess.run(command, input=entries, capture_output=True, check=False)
    if done.returncode == 0:
        return "", done.stdout.decode("utf-8", "surrogateescape").splitlines()
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode < 0 or not said:
        return "the database is damaged", []
    return said[-1], []

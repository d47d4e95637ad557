"""What a release says besides its result goes to a file: our log records, warnings of every library, Python's warnings."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Sends all logging and all warnings to `path` inside the block, and nothing to the console."""
    root, own = logging.getLogger(), logging.getLogger("aethernet")
    handlers, level, own_level = root.handlers, root.level, own.level
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.handlers = [handler]
    root.setLevel(logging.WARNING)  # the exporter tells of every node that it looks at
    own.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers = handlers
        root.setLevel(level)
        own.setLevel(own_level)
        handler.close()

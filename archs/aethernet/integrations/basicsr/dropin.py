"""What the drop-in files of `aethernet install` call while BasicSR imports itself."""

import importlib
import os
import sys
from pathlib import Path

from aethernet.integrations.basicsr import compat
from aethernet.integrations.registry import register_architectures

PLACES = {
    "models": "aethernet.integrations.basicsr.training.models",
    "datasets": "aethernet.integrations.basicsr.data.datasets",
}


def register(kind: str) -> None:
    """Registers `archs`, `models` or `datasets` into the BasicSR that is being imported, or mends `resuming` in it.

    BasicSR imports its archs before its data sets and models, so the start-up repairs arrive with the first.
    """
    if kind == "archs":
        register_architectures("basicsr")
        return
    if kind == "resuming":
        _mend_resuming()
        return
    module = importlib.import_module(PLACES[kind])
    if hasattr(module, "register"):  # else its own import has led here, and who imports it registers
        module.register()


def give_way(name: str, file: str) -> None:
    """Puts the installed package `name` into the place of a file of that name, which was found first on the path.

    The start-up repairs are made before the package is imported.
    """
    folder = Path(file).resolve().parent
    hidden = [(at, entry) for at, entry in enumerate(sys.path) if Path(entry or os.curdir).resolve() == folder]
    sys.modules.pop(name, None)
    for _, entry in hidden:
        sys.path.remove(entry)
    try:
        compat.apply()
        importlib.import_module(name)
    finally:
        for at, entry in hidden:
            sys.path.insert(at, entry)


def _mend_resuming() -> None:
    """BasicSR reads a training state onto a GPU, which a CPU has not, and since torch 2.6 not at all if there are milestones.

    `basicsr.train` is a module only where another program imports it; run as a script it cannot be reached.
    """
    resume = importlib.import_module("aethernet.integrations.basicsr.pipeline.resume")
    vars(importlib.import_module("basicsr.train"))["load_resume_state"] = resume.load_resume_state

"""What the drop-in files of `aethernet install` call while BasicSR imports itself."""

import importlib

from aethernet.integrations.registry import register_architectures

PLACES = {
    "models": "aethernet.integrations.basicsr.training.models",
    "datasets": "aethernet.integrations.basicsr.data.datasets",
}


def register(kind: str) -> None:
    """Registers `archs`, `models` or `datasets` into the BasicSR that is being imported.

    BasicSR imports its archs before its data sets and models, so the start-up repairs arrive with the first.
    """
    if kind == "archs":
        register_architectures("basicsr")
        return
    module = importlib.import_module(PLACES[kind])
    if hasattr(module, "register"):  # else its own import has led here, and who imports it registers
        module.register()

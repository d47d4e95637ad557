"""BasicSR, and what this package puts into its registries."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import aethernet
from aethernet.doctor.check import Check
from aethernet.doctor.packages import imported, origin
from aethernet.integrations.basicsr import compat
from aethernet.version import __version__
from aethernet.wording import how_many

BASICSR_PYTHON_LIMIT = (3, 13)  # from here on its setup.py ends with KeyError: '__version__'
INSTALL_BASICSR = "pip install --use-pep517 --no-build-isolation --no-deps basicsr==1.4.2"
MODELS = ("AetherModel", "AetherGANModel")


def check_basicsr() -> Iterator[Check]:
    """BasicSR itself, then what this package puts into its registries."""
    spec = importlib.util.find_spec("basicsr")
    if spec is None or spec.origin is None:
        remedy = INSTALL_BASICSR
        if sys.version_info[:2] >= BASICSR_PYTHON_LIMIT:
            remedy = f"in an environment of Python 3.10 to 3.12 (it does not build on 3.13 or newer): {remedy}"
        yield Check("basicsr", "error", "not installed; training needs it, upscaling does not", remedy)
        return
    folder = Path(spec.origin).parent
    applied = compat.apply()
    for name in ("basicsr", "basicsr.archs", "basicsr.data", "basicsr.models"):
        module = imported(name)
        if isinstance(module, str):
            outside = "site-packages" not in folder.parts
            remedy = f"pip install --no-build-isolation --no-deps -e {folder.parent}" if outside else INSTALL_BASICSR
            yield Check("basicsr", "error", f"{origin(folder)}: import {name} fails: {module}", remedy)
            return
    version = sys.modules["basicsr"].__version__
    yield Check("basicsr", "ok", f"{version}, {origin(folder)}, {how_many(len(applied), 'repair')} at import")
    yield from check_registries()


def check_registries() -> Iterator[Check]:
    for name in ("aether_arch", "aethernet.integrations.basicsr.training.models"):
        module = imported(name)
        if isinstance(module, str):
            yield Check("registries", "error", f"import {name} fails: {module}", _reinstall())
            return
    from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

    from aethernet.integrations.basicsr.training import models
    from aethernet.network.variants import FACTORIES

    models.register()  # as the launcher does
    wanted = {"ARCH_REGISTRY": [factory.__name__ for factory in FACTORIES], "MODEL_REGISTRY": MODELS}
    for label, registry in (("ARCH_REGISTRY", ARCH_REGISTRY), ("MODEL_REGISTRY", MODEL_REGISTRY)):
        missing = [name for name in wanted[label] if name not in registry]
        if missing:
            yield Check(label, "error", f"without {', '.join(missing)}", _reinstall())
        else:
            yield Check(label, "ok", ", ".join(wanted[label]))


def _reinstall() -> str:
    root = Path(aethernet.__file__).parents[2]
    if (root / "setup.py").exists():
        return f"git -C {root} status (are files missing or changed?), then pip install --no-build-isolation -e {root}"
    return f"pip install --force-reinstall --no-deps aethernet=={__version__}"

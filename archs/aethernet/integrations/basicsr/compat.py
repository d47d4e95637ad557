"""Lets `import basicsr` (1.4.2, of 2022) work beside today's torch, torchvision and scipy.

Call `apply()` before the first `import basicsr`. Each repair looks first whether it is needed and stays out of
the way where it is not, so a newer BasicSR or an older torchvision is used as it is.
"""

import functools
import importlib.machinery
import importlib.util
import inspect
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

logger = logging.getLogger(__name__)

# Removed modules that BasicSR still imports, and where their functions live today.
#   basicsr/data/degradations.py: from torchvision.transforms.functional_tensor import rgb_to_grayscale
#   basicsr/metrics/niqe.py:      from scipy.ndimage.filters import convolve
FUNCTIONAL_TENSOR = "torchvision.transforms.functional_tensor"
NDIMAGE_FILTERS = "scipy.ndimage.filters"
MOVED = {FUNCTIONAL_TENSOR: "torchvision.transforms.functional", NDIMAGE_FILTERS: "scipy.ndimage"}

# The operators that torchvision describes to torch at import without asking whether its compiled part is there.
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
CLONES = ("basicsr", "realesrgan")
"""Packages that import a module `version` which only their setup writes."""
FILTER2D = "basicsr.utils.img_process_util"
REAL_MODELS = tuple(
    f"{package}.models.{name}" for package in CLONES for name in ("realesrnet_model", "realesrgan_model")
)
"""Where RealESRNetModel and RealESRGANModel stand: BasicSR's, and those of Real-ESRGAN's own tree."""
_LIBRARIES: list[object] = []  # torch drops a library's operators together with the object
_OPERATORS_DECLARED = "declared torchvision's operators, because its compiled part does not load beside this torch"


def apply() -> list[str]:
    """Makes every repair this environment needs, and returns one sentence for each that is in effect.

    It can be called again at any time, and it needs neither BasicSR nor torchvision to be installed.
    """
    repairs = (
        supply_functional_tensor(),
        supply_ndimage_filters(),
        declare_torchvision_operators(),
        *map(supply_version, CLONES),
        *mend_on_import(),
    )
    in_effect = [repair for repair in repairs if repair]
    for repair in in_effect:
        logger.debug("basicsr compat: %s", repair)
    return in_effect


def supply_functional_tensor() -> str | None:
    """torchvision 0.17 removed the module from which BasicSR takes `rgb_to_grayscale`."""
    return _supply(FUNCTIONAL_TENSOR)


def supply_ndimage_filters() -> str | None:
    """scipy 2.0 removes the namespace from which BasicSR takes `convolve`."""
    return _supply(NDIMAGE_FILTERS)


def declare_torchvision_operators() -> str | None:
    """A torchvision built for CUDA cannot load its compiled part beside a CPU-only torch, and then fails at import.

    The import needs the operators' schemas only. Calling one still fails, with torch's own message; BasicSR's
    pipelines never do.
    """
    if _LIBRARIES:
        return _OPERATORS_DECLARED
    if "torchvision" in sys.modules or torchvision_extension_error() is None:
        return None  # imported already, or able to
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in OPERATORS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            library.define(schema)
    _LIBRARIES.append(library)
    return _OPERATORS_DECLARED


def supply_version(package: str = "basicsr") -> str | None:
    """BasicSR and Real-ESRGAN import a module that only their setup writes: a fresh clone of the repository has none."""
    name = f"{package}.version"
    if name not in sys.modules or not hasattr(sys.modules[name], "__supplied__"):
        spec = importlib.util.find_spec(package)
        if _exists(name) or spec is None or not spec.submodule_search_locations:
            return None
        file = Path(spec.submodule_search_locations[0]).parent / "VERSION"
        version = file.read_text(encoding="utf-8").strip() if file.is_file() else "unknown"
        numbers = tuple(int(part) if part.isdigit() else part for part in version.split("."))
        module = ModuleType(name, f"Stand-in for the module that the setup of {package} writes.")
        vars(module).update(__version__=version, __gitsha__="unknown", version_info=numbers, __supplied__=True)
        sys.modules[name] = module
    return f"supplied {name}, which its setup has not written"


def mend_on_import() -> list[str]:
    """Has the modules in `MENDED` mended as soon as they are imported, those at hand at once.

    Returns:
        One sentence for each that was found to need it until now.
    """
    if not any(isinstance(finder, MendedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MendedModules())
    for name in MENDED.keys() & sys.modules.keys():
        if not getattr(sys.modules[name].__spec__, "_initializing", False):  # else its class is not there yet
            mend(sys.modules[name])
    modules = [sys.modules[name] for name in MENDED if name in sys.modules]
    return [vars(module)[MARK] for module in modules if vars(module).get(MARK)]


def mend(module: ModuleType) -> None:
    """Mends a module of `MENDED` once, and notes what was done in it."""
    if MARK not in vars(module):
        setattr(module, MARK, MENDED[module.__name__](module))


def let_filter2d_take_any_layout(module: ModuleType) -> str | None:
    """`filter2D` calls `.view()` on what torch's padding returns, which since torch 2 keeps the layout of its input.

    BasicSR's own JPEG gives pictures with channels last, so that its second blur ends with an error.
    """
    import torch

    filter2d = module.filter2D
    try:
        filter2d(torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last), torch.zeros(2, 3, 3))
        return None
    except RuntimeError:
        pass

    @functools.wraps(filter2d)
    def filter2d_of_any_layout(img: "torch.Tensor", kernel: "torch.Tensor") -> "torch.Tensor":
        return filter2d(img.contiguous(), kernel)

    for user in (module, *(sys.modules[name] for name in REAL_MODELS if name in sys.modules)):
        if vars(user).get("filter2D") is filter2d:
            vars(user)["filter2D"] = filter2d_of_any_layout
    return f"{module.__name__}: filter2D takes pictures of any memory layout"


def let_real_models_use_any_device(module: ModuleType) -> str | None:
    """`.cuda()` is written into RealESRNetModel and RealESRGANModel, which fail on a CPU and with `num_gpu: 0`."""
    name = next(name for name in ("RealESRNetModel", "RealESRGANModel") if name in vars(module))
    model = vars(module)[name]
    if ".cuda()" not in inspect.getsource(model):
        return None
    for part in ("DiffJPEG", "USMSharp"):
        vars(module)[part] = type(part, (vars(module)[part],), {"cuda": lambda self, device=None: self})
    initialise, exchange = model.__init__, model._dequeue_and_enqueue

    @functools.wraps(initialise)
    def __init__(self, opt: dict) -> None:
        initialise(self, opt)
        self.jpeger.to(self.device)
        self.usm_sharpener.to(self.device)

    @functools.wraps(exchange)
    def _dequeue_and_enqueue(self) -> None:
        if not hasattr(self, "queue_lr") and self.queue_size % len(self.lq) == 0:
            self.queue_lr, self.queue_gt = (
                each.new_zeros(self.queue_size, *each.shape[1:]) for each in (self.lq, self.gt)
            )
            self.queue_ptr = 0
        exchange(self)

    model.__init__, model._dequeue_and_enqueue = __init__, _dequeue_and_enqueue
    return f"{module.__name__}: {name} works on the device of its network"


def torchvision_extension_error() -> str | None:
    """Why torchvision's compiled part does not load, or None where it loads or torchvision is not installed.

    This imports torch but not torchvision, which would fail half-way.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return None
    import torch

    folder = spec.submodule_search_locations[0]
    loaders = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    extension = importlib.machinery.FileFinder(folder, loaders).find_spec("_C")
    if extension is None or extension.origin is None:
        return f"{folder} holds no compiled part (_C)"
    if sys.platform == "win32":
        os.add_dll_directory(folder)
    try:
        torch.ops.load_library(extension.origin)
    except (ImportError, OSError) as error:
        return str(error)
    return None


class MovedModules(MetaPathFinder, Loader):
    """Stands last among the importers, so it is asked only for a module that nobody else has."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, origin=__file__) if fullname in self.names else None

    def exec_module(self, module: ModuleType) -> None:
        successor = MOVED[module.__name__]

        def __getattr__(name: str) -> object:
            # Looked up at use: the successor may still be importing when the old name is asked for.
            return getattr(importlib.import_module(successor), name)

        module.__doc__ = f"Stand-in for a removed module; its functions come from {successor}."
        vars(module)["__getattr__"] = __getattr__


MENDED: dict[str, Callable[[ModuleType], str | None]] = {
    FILTER2D: let_filter2d_take_any_layout,
    **dict.fromkeys(REAL_MODELS, let_real_models_use_any_device),
}
"""What is done to a module that has been imported; a function gives its sentence, or None where there is no need."""
MARK = "__mended__"


class MendedModules(MetaPathFinder):
    """Stands first among the importers, and has a module of `MENDED` mended when its own loader has executed it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname in MENDED else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            mend(module)

        vars(spec.loader)["exec_module"] = exec_module
        return spec


def _supply(name: str) -> str | None:
    """Registers a removed module with the finder; nothing where it exists or its package is not installed."""
    finder = next((finder for finder in sys.meta_path if isinstance(finder, MovedModules)), None)
    if finder is None or name not in finder.names:
        if _exists(name) or importlib.util.find_spec(name.partition(".")[0]) is None:
            return None
        if finder is None:
            finder = MovedModules()
            sys.meta_path.append(finder)
        finder.names.add(name)
    return f"supplied {name} from {MOVED[name]}"


def _exists(name: str) -> bool:
    """Whether a dotted module exists on disk. Unlike `importlib.util.find_spec` it imports no parent package."""
    if name in sys.modules:
        return True
    package, *rest = name.split(".")
    spec = importlib.util.find_spec(package)
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return False
        package = f"{package}.{part}"
        spec = PathFinder.find_spec(package, spec.submodule_search_locations)
    return spec is not None

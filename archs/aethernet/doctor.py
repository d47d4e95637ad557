"""What this machine and environment can do for AetherNet, as records: what was found, and what to do about it.

The checks import what they check, in this process, and change nothing on disk. Which versions are needed stands in
setup.py alone, and is read from the installed package.
"""

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

import aethernet
from aethernet import machine
from aethernet.data import opencv
from aethernet.errors import AetherError, EnvironmentProblem, one_line
from aethernet.export.ncnn_graph import check_weights, read_graph
from aethernet.export.ncnn_programs import advice_for_programs, layers_sentence
from aethernet.export.saturation import saturation
from aethernet.integrations.basicsr import compat
from aethernet.integrations.frameworks import FRAMEWORKS
from aethernet.network.config import COLOR_ORDERS
from aethernet.version import __version__
from aethernet.wording import how_many

BASICSR_PYTHON_LIMIT = (3, 13)  # from here on its setup.py ends with KeyError: '__version__'
INSTALL_BASICSR = "pip install --use-pep517 --no-build-isolation --no-deps basicsr==1.4.2"
OPENCV_LIBRARIES = "(or, on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0)"
UNKNOWN_VERSION = "unknown version"
MODELS = ("AetherModel", "AetherGANModel")


@dataclass(frozen=True)
class Check:
    """One finding. `error` is what training cannot do without; `remedy` is empty where nothing is to be done."""

    name: str
    status: Literal["ok", "warning", "error"]
    found: str
    remedy: str = ""


MODULES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage", "python-multipart": "python_multipart"}
"""Distribution -> the module that it brings, where the names differ in more than dashes."""
PURPOSES = {
    "plot": "plots",
    "export": "ONNX export",
    "ncnn": "ncnn files",
    "large": "pictures larger than memory",
    "video": "videos",
    "web": "the page of `aethernet serve`",
    "bench": "measurements",
}
"""The extras that training can do without. The larger ones repeat the packages of the smaller."""


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
        check_int8(machine.cpu()),
        check_folder(),
    ]
    return [*checks, *map(check_file, files)]


def requirements(extra: str = "") -> dict[str, SpecifierSet]:
    """Distribution -> the versions that this package asks for, or one of its extras; empty where it is not installed."""
    try:
        texts = importlib.metadata.requires("aethernet") or []
    except importlib.metadata.PackageNotFoundError:
        return {}

    def asks(requirement: Requirement, extra: str) -> bool:
        return requirement.marker is None or requirement.marker.evaluate({"extra": extra})

    return {
        requirement.name: requirement.specifier
        for requirement in map(Requirement, texts)
        if asks(requirement, extra) and not (extra and asks(requirement, ""))
    }


def check_python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} at {sys.executable}")


def check_aethernet() -> Check:
    folder = Path(aethernet.__file__).parent
    found = f"{__version__}, {_origin(folder)}"
    if not requirements():
        remedy = f"pip install --no-build-isolation -e {folder.parents[1]}"
        return Check("aethernet", "warning", f"{found}, not installed: needed packages are not known", remedy)
    return Check("aethernet", "ok", found)


def check_torch() -> Iterator[Check]:
    torch = _import("torch")
    if isinstance(torch, str):
        yield Check("torch", "error", torch, "pip install torch")
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    if torch.version.hip:
        build = f"ROCm {torch.version.hip}"
    found = f"{torch.__version__}, {build} build"
    versions = requirements().get("torch", SpecifierSet())
    if _allows(versions, torch.__version__):
        yield Check("torch", "ok", found)
    else:
        remedy = f'pip install --upgrade "torch{versions}"'
        yield Check("torch", "error", f"{found}; torch{versions} is needed", remedy)
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("Apple MPS")
    if devices:
        yield Check("accelerator", "ok", ", ".join(devices))
    elif shutil.which("nvidia-smi") is None:
        yield Check("accelerator", "ok", "none, computing on the CPU")
    elif build == "CPU":
        remedy = "pip install --force-reinstall torch torchvision, from the CUDA index that PyTorch's start page names"
        yield Check("accelerator", "warning", "an NVIDIA driver is here, but torch is a CPU build", remedy)
    else:
        remedy = f"run nvidia-smi; if it lists a GPU, update the driver to one that serves {build}"
        yield Check("accelerator", "warning", f"torch is a {build} build, but sees no GPU", remedy)


def check_torchvision() -> Check:
    torch = sys.modules.get("torch")
    requirement = _torchvision_beside(torch.__version__ if torch else "")
    install = f'pip install --no-deps "{requirement}"'
    if importlib.util.find_spec("torchvision") is None:
        return Check("torchvision", "error", "not installed", install)
    problem = compat.torchvision_extension_error()
    compat.apply()
    module = _import("torchvision")
    if isinstance(module, str):
        return Check("torchvision", "error", module, f"{install} --force-reinstall")
    if problem:
        found = (
            f"{module.__version__}, without its compiled part; imports with compat ({problem.strip().splitlines()[0]})"
        )
        remedy = (
            "nothing to do for training; for torchvision's own operators (nms): "
            f"{install} --force-reinstall, from the index that this torch came from"
        )
        return Check("torchvision", "warning", found, remedy)
    return Check("torchvision", "ok", f"{module.__version__}, imports natively")


def check_package(distribution: str, versions: SpecifierSet) -> Check:
    if distribution == "opencv-python":
        return check_opencv(versions)
    remedy = f'pip install "{distribution}{versions}"'
    module = _import(_module(distribution))
    if isinstance(module, str):
        return Check(distribution, "error", module, remedy)
    version = getattr(module, "__version__", None) or _distribution_version(distribution)
    if not _allows(versions, version):
        return Check(distribution, "error", f"{version}; {distribution}{versions} is needed", remedy)
    return Check(distribution, "ok", version)


def check_opencv(versions: SpecifierSet) -> Check:
    """Any of its builds will do; of two, one has overwritten files of the other."""
    here = {build: version for build in opencv.BUILDS if (version := _distribution_version(build)) != UNKNOWN_VERSION}
    try:
        module = opencv.opencv("training")
    except EnvironmentProblem as problem:
        reason = one_line(problem.__cause__ or problem)
        library = re.search(r"lib(GL|gthread|glib)", reason)
        return Check(
            "opencv-python", "error", reason, f"{opencv.REINSTALL} {OPENCV_LIBRARIES if library else ''}".strip()
        )
    if len(here) > 1:
        found = f"{', '.join(here)} share one folder, and each has overwritten files of the other"
        return Check("opencv-python", "warning", found, opencv.REINSTALL)
    build, version = next(iter(here.items()), ("opencv-python", module.__version__))
    if not _allows(versions, version):
        found = f"{version}; {build}{versions} is needed"
        return Check("opencv-python", "error", found, f'pip install --upgrade "{build}{versions}"')
    return Check("opencv-python", "ok", version if build == "opencv-python" else f"{version}, as {build}")


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
        module = _import(name)
        if isinstance(module, str):
            outside = "site-packages" not in folder.parts
            remedy = f"pip install --no-build-isolation --no-deps -e {folder.parent}" if outside else INSTALL_BASICSR
            yield Check("basicsr", "error", f"{_origin(folder)}: import {name} fails: {module}", remedy)
            return
    version = sys.modules["basicsr"].__version__
    yield Check("basicsr", "ok", f"{version}, {_origin(folder)}, {how_many(len(applied), 'repair')} at import")
    yield from check_registries()


def check_registries() -> Iterator[Check]:
    for name in ("aether_arch", "aethernet.integrations.basicsr.training.models"):
        module = _import(name)
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


def check_optional(distribution: str, versions: SpecifierSet | None = None, extra: str = "") -> Check:
    """Looks without importing: some of these parse the command line or load gigabytes at import."""
    purpose = f", for {PURPOSES[extra]}" if extra else ""
    spec = importlib.util.find_spec(_module(distribution))
    if spec is None:
        return Check(distribution, "ok", f"absent (optional{purpose})")
    folder = Path(spec.origin).parent if spec.origin else Path(next(iter(spec.submodule_search_locations or ["."])))
    version = _distribution_version(distribution)
    if versions is not None and not _allows(versions, version):
        found = f"{version}; {distribution}{versions} is needed{purpose}"
        return Check(distribution, "warning", found, f'pip install "{distribution}{versions}"')
    return Check(distribution, "ok", f"{version}, {_origin(folder)}")


def check_cpu() -> Check:
    found = f"{machine.cpu().title}, {how_many(machine.cores(), 'core')}"
    if torch := sys.modules.get("torch"):
        found += f"; torch uses {how_many(torch.get_num_threads(), 'thread')}"
    return Check("cpu", "ok", found)


def check_int8(cpu: machine.Cpu) -> Check:
    """What int8 files are worth on a CPU (times: tiny x4 in ONNX Runtime, docs/int8.md)."""
    if not cpu.is_x86 or cpu.features is None:
        return Check("int8", "ok", "nothing is known of int8 on this processor: compare with `aethernet bench speed`")
    if "VNNI" in cpu.features:
        return Check("int8", "ok", "VNNI: int8 files are right and fastest, about 3 times as fast as fp32")
    if "AVX2" in cpu.features:
        found = (
            "no VNNI: our int8 files are right and about 1.8 times as fast as fp32; files with weights on 8 bits go wrong here, "
            "which `aethernet doctor FILE.onnx` tells of a file"
        )
        return Check("int8", "ok", found)
    return Check("int8", "ok", "no AVX2: our int8 files are right, but slower than fp32: take fp32")


def check_file(path: Path) -> Check:
    """Whether an int8 ONNX file is right on every x86 CPU; of an ncnn file, what Upscayl and its like make of it."""
    if path.suffix == ".param":
        return check_ncnn_file(path)
    try:
        found = saturation(path)
    except AetherError as error:
        return Check(str(path), "error", str(error))
    remedy = (
        "for x86 quantise the weights on 7 bits (`aethernet calibrate` does, ONNX Runtime's tools with reduce_range); "
        "TensorRT and ARM compute it right"
    )
    return Check(str(path), "warning" if found.possible else "ok", found.sentence(), remedy if found.possible else "")


def check_ncnn_file(path: Path) -> Check:
    """Whether both files are whole, and what the programs that run such make of them; ncnn itself is not needed."""
    try:
        graph = read_graph(path)
        stored = check_weights(graph)
    except AetherError as error:
        return Check(str(path), "error", str(error))
    facts = [f"x{graph.scale}" if graph.scale else "scale unknown", COLOR_ORDERS[graph.in_channels]]
    facts += [f"weights in {stored}"] if stored else []
    found = f"{', '.join(facts)}; {layers_sentence(graph.kinds)}"
    advice = advice_for_programs(path.stem, graph.scale, graph.tile_radius)
    return Check(str(path), "warning" if advice else "ok", found, "; ".join(advice))


def check_folder() -> Check:
    folder = Path.cwd()
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Check("folder", "ok", f"{folder} is writable")
    except OSError as error:
        remedy = "cd to a folder of yours: experiments/ and results/ are written to the current one"
        return Check("folder", "error", f"{folder} is not writable ({error.strerror})", remedy)


def _module(distribution: str) -> str:
    return MODULES.get(distribution, distribution.replace("-", "_"))


def _import(name: str) -> ModuleType | str:
    """The module, or why it does not import. Broken packages raise anything, so everything is caught here."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        return f"{type(error).__name__}: {one_line(error)}"


def _origin(folder: Path) -> str:
    if {"site-packages", "dist-packages"} & set(folder.parts):
        return f"installed in {folder.parent}"
    return f"a checkout at {folder.parent}"


def _reinstall() -> str:
    root = Path(aethernet.__file__).parents[2]
    if (root / "setup.py").exists():
        return f"git -C {root} status (are files missing or changed?), then pip install --no-build-isolation -e {root}"
    return f"pip install --force-reinstall --no-deps aethernet=={__version__}"


def _torchvision_beside(torch_version: str) -> str:
    """torch 2.N and torchvision 0.(N + 15) are released as a pair, for all of torch 2."""
    major, minor = (*_version(torch_version), 0, 0)[:2]
    return f"torchvision==0.{minor + 15}.*" if major == 2 else "torchvision"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:2])


def _allows(versions: SpecifierSet, version: str) -> bool:
    """Whether a version is among them; a version that says nothing, such as that of a package without metadata, is."""
    try:
        return versions.contains(version, prereleases=True)
    except InvalidVersion:
        return True


def _distribution_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN_VERSION

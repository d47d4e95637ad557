"""Python, PyTorch and the other packages: whether they are there, of which version, and whether they import."""

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

import aethernet
from aethernet.data import opencv
from aethernet.doctor.check import Check
from aethernet.errors import EnvironmentProblem, one_line
from aethernet.integrations.basicsr import compat
from aethernet.version import __version__

OPENCV_LIBRARIES = "(or, on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0)"
UNKNOWN_VERSION = "unknown version"
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
    found = f"{__version__}, {origin(folder)}"
    if not requirements():
        remedy = f"pip install --no-build-isolation -e {folder.parents[1]}"
        return Check("aethernet", "warning", f"{found}, not installed: needed packages are not known", remedy)
    return Check("aethernet", "ok", found)


def check_torch() -> Iterator[Check]:
    torch = imported("torch")
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
    module = imported("torchvision")
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
    module = imported(_module(distribution))
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
    return Check(distribution, "ok", f"{version}, {origin(folder)}")


def imported(name: str) -> ModuleType | str:
    """The module, or why it does not import. Broken packages raise anything, so everything is caught here."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        return f"{type(error).__name__}: {one_line(error)}"


def origin(folder: Path) -> str:
    if {"site-packages", "dist-packages"} & set(folder.parts):
        return f"installed in {folder.parent}"
    return f"a checkout at {folder.parent}"


def _module(distribution: str) -> str:
    return MODULES.get(distribution, distribution.replace("-", "_"))


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

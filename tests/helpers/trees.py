"""Source trees: BasicSR's own, and small stand-ins for those of traiNNer-redux, neosr and Real-ESRGAN, with what this package meets
there."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.training import ARCHS as OURS
from helpers.training import environment

TORCHVISION = '''
"""Lets torchvision be imported where its compiled part does not fit torch, which no drop-in file comes in time for."""
import runpy
compat = runpy.run_path({compat!r})
compat["declare_torchvision_operators"]()
'''

REGISTRY = """
class Registry:
    def __init__(self):
        self.objects = {{}}

    def register(self, obj):
        name = obj.__name__{key}
        assert name not in self.objects, name
        self.objects[name] = obj

    def get(self, name):
        return self.objects[name{key}]

    def __contains__(self, name):
        return name{key} in self.objects

"""

ARCHS = """
import importlib
import pathlib
from {package}.utils import registry

def scan():
    for path in sorted(pathlib.Path(__file__).parent.glob("*_arch.py")):
        importlib.import_module("{package}.archs." + path.stem)

def build_network(options):
    options = dict(options)
    {before_build}
    return registry.ARCH_REGISTRY.get(options.pop("type"))(**options)

{at_import}
"""

NET_OPT = """
import sys

SCALE = int(sys.argv[sys.argv.index("-s") + 1])  # as in neosr, whoever imports this has a command line for it

def net_opt():
    return SCALE, "-onnx" not in sys.argv
"""


def copy_basicsr(root: Path) -> Path:
    """A copy of BasicSR as a fresh clone has it: its setup, which writes version.py, never ran."""
    spec = importlib.util.find_spec("basicsr")
    assert spec and spec.origin
    ignored = shutil.ignore_patterns("__pycache__", "version.py")
    shutil.copytree(Path(spec.origin).parent, root / "basicsr", ignore=ignored)
    (root / "VERSION").write_text("1.4.2\n")
    (root / "sitecustomize").mkdir()
    compat = OURS / "aethernet/integrations/basicsr/compat.py"
    (root / "sitecustomize/sitecustomize.py").write_text(TORCHVISION.format(compat=str(compat)))
    return root


def run_basicsr(tree: Path, *args: object) -> str:
    """Runs Python in such a tree, without this package on its path."""
    env = environment(PYTHONPATH=os.pathsep.join([str(tree / "sitecustomize"), str(tree)]))
    result = subprocess.run(
        [sys.executable, *map(str, args)], cwd=tree, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def write_trainner(tree: Path) -> Path:
    """Names are lower-cased, networks come from two registries, and all `*_arch.py` are imported with the package."""
    registries = REGISTRY.format(key=".lower()") + "ARCH_REGISTRY, SPANDREL_REGISTRY = Registry(), Registry()\n"
    archs = ARCHS.format(package="traiNNer", before_build="pass", at_import="scan()")
    return _write(tree, "traiNNer", {"utils/registry.py": registries, "archs/__init__.py": archs})


def write_neosr(tree: Path) -> Path:
    """The scale stands on the command line, and `*_arch.py` are imported when the first network is built."""
    registries = REGISTRY.format(key="") + "ARCH_REGISTRY = Registry()\n"
    archs = ARCHS.format(package="neosr", before_build="scan()", at_import="")
    contents = {"utils/registry.py": registries, "archs/__init__.py": archs, "archs/arch_util.py": NET_OPT}
    contents["__init__.py"] = "import neosr.archs.arch_util\n"
    return _write(tree, "neosr", contents)


def run_in(tree: Path, code: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs Python code in a tree, without this package on its path."""
    env = environment(PYTHONPATH=os.pathsep.join([str(tree)]))
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tree, env=env, capture_output=True, text=True, check=False
    )
    assert not check or result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result


SCANNING = """
import importlib
import pathlib
from basicsr.utils import scandir

folder = pathlib.Path(__file__).parent
modules = [importlib.import_module(f"realesrgan.{folder.name}.{name[:-3]}") for name in scandir(str(folder))
           if name.endswith("_KIND.py")]
"""

REAL_TRAIN = """
import os
from basicsr.train import train_pipeline

import realesrgan.archs
import realesrgan.data
import realesrgan.models

if __name__ == "__main__":
    train_pipeline(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""


def write_real_esrgan(tree: Path) -> Path:
    """As a fresh clone: no `version.py`, which its setup writes, and its own classes, which are those of BasicSR under plain names."""
    spec = importlib.util.find_spec("basicsr")
    assert spec and spec.origin
    package = tree / "realesrgan"
    for folder, kind in (("archs", "arch"), ("data", "dataset"), ("models", "model")):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").write_text(SCANNING.replace("KIND", kind))
    for name in ("models/realesrnet_model.py", "models/realesrgan_model.py", "data/realesrgan_dataset.py"):
        text = (Path(spec.origin).parent / name).read_text()
        (package / name).write_text(text.replace("register(suffix='basicsr')", "register()"))
    stars = "".join(f"from .{name} import *\n" for name in ("archs", "data", "models", "version"))
    (package / "__init__.py").write_text(stars)
    (package / "train.py").write_text(REAL_TRAIN)
    (tree / "VERSION").write_text("0.3.0\n")
    return tree


def run_real_esrgan(tree: Path, *args: object) -> str:
    """Runs Python in such a tree as its documents say, without this package on its path; the output and the log."""
    env = environment(PYTHONPATH=str(tree))
    result = subprocess.run(
        [sys.executable, *map(str, args)], cwd=tree, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def _write(tree: Path, package: str, contents: dict[str, str]) -> Path:
    for name, text in {"__init__.py": "", "utils/__init__.py": "", **contents}.items():
        (tree / package / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / package / name).write_text(text)
    (tree / "train.py").touch()
    return tree

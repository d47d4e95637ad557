"""The rules of the house that a single file cannot show: layers, quiet libraries, one version, complete packages."""

import ast
import fnmatch
import functools
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aethernet
from aethernet.version import __version__

ROOT = Path(__file__).parents[1]
ARCHS = ROOT / "archs"
FILES = sorted(path for path in ARCHS.rglob("*.py"))

LAYERS = (
    ("aethernet.errors", "aethernet.version", "aethernet.files", "aethernet.weights_files", "aethernet.pretrained"),
    (
        "aethernet.reparam",
        "aethernet.operations",
        "aethernet.quantization",
        "aethernet.norms",
        "aethernet.depthwise",
        "aethernet.muon",
    ),
    ("aethernet.blocks",),
    ("aethernet.config",),
    ("aethernet.migrations",),
    ("aethernet.network", "aethernet.placement"),
    ("aethernet.variants",),
    (
        "aethernet",
        "aethernet.calibration",
        "aethernet.checkpoint",
        "aethernet.parity",
        "aethernet.export",
        "aethernet.upscale",
    ),
    ("aethernet.data", "aethernet.integrations", "aether_arch"),
    ("aethernet.recipes", "aethernet.bench", "aethernet.doctor", "aethernet.demo", "aethernet.card"),
    ("aethernet.release",),
    ("aethernet.cli", "aethernet.__main__"),
)
"""A module imports from its own layer and from those above it in this table. `aethernet` is the bare package."""
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
BASICSR_FROM = RANK["aethernet.data"]


def module_name(path: Path) -> str:
    parts = path.relative_to(ARCHS).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(name: str) -> str | None:
    """The entry of LAYERS that a dotted name belongs to: the name itself or the package it lies in."""
    unit = ".".join(name.split(".")[:2])
    return unit if unit in RANK else None


@functools.cache
def parts(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere in it, also inside functions, with relative imports resolved."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in parts(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module or "") if part)
            for alias in node.names:
                submodule = ARCHS / source.replace(".", "/") / alias.name
                is_module = submodule.is_dir() or submodule.with_suffix(".py").exists()
                yield f"{source}.{alias.name}" if is_module else source


def test_a_module_imports_no_higher_layer():
    for path in FILES:
        name = module_name(path)
        own = layer(name)
        assert own, f"{name} has no place in LAYERS of {Path(__file__).name}: add it to the layer it belongs to"
        for imported in imports(path):
            if imported.split(".")[0] not in ("aethernet", "aether_arch"):
                continue
            other = layer(imported)
            assert other, f"{name} imports {imported}, which has no place in LAYERS"
            assert RANK[other] <= RANK[own], f"{name} (layer {RANK[own]}) imports {imported} of layer {RANK[other]}"


def test_inference_knows_no_training_framework():
    frameworks = {"basicsr", "traiNNer", "neosr", "torchvision"}
    for path in FILES:
        if RANK.get(layer(module_name(path)) or "", 0) < BASICSR_FROM:
            found = {name for name in imports(path) if name.split(".")[0] in frameworks}
            assert not found, f"{module_name(path)} stands below data and integrations, but imports {found}"


def test_only_the_command_line_prints():
    for path in FILES:
        if layer(module_name(path)) == "aethernet.cli":
            continue
        lines = [
            node.lineno
            for node in parts(path)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        ]
        assert not lines, f"{module_name(path)} prints in lines {lines}: use logging, or return the value"


def test_importing_the_package_imports_no_training_framework():
    """Nor torch's compiler, which would take a second of every command."""
    unwanted = {"basicsr", "torchvision", "traiNNer", "neosr", "torch._dynamo"}
    code = f"import sys, aethernet; print({unwanted} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(Path(aethernet.__file__).parents[1])}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.strip() == "set()"


def setup_keywords(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What setup.py passes to setuptools, without building anything."""
    setuptools = pytest.importorskip("setuptools")
    keywords: dict = {}
    monkeypatch.setattr(setuptools, "setup", keywords.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return keywords


def test_the_version_stands_in_one_place(monkeypatch):
    assert setup_keywords(monkeypatch)["version"] == __version__ == aethernet.__version__


def test_every_file_below_archs_is_packaged(monkeypatch):
    keywords = setup_keywords(monkeypatch)
    patterns = keywords["package_data"]["aethernet"]
    caches = {"__pycache__", ".ruff_cache", ".mypy_cache"}
    for path in ARCHS.rglob("*"):
        relative = path.relative_to(ARCHS)
        if path.is_dir() or caches & set(relative.parts) or relative.parts[0].endswith(".egg-info"):
            continue
        if path.suffix == ".py":
            package = ".".join(relative.parts[:-1])
            packaged = package in keywords["packages"] or relative.stem in keywords["py_modules"]
            assert packaged, f"{relative} is not installed: its folder has no __init__.py"
        else:
            below = str(relative.relative_to("aethernet"))
            assert any(fnmatch.fnmatch(below, pattern) for pattern in patterns), (
                f"{relative} is not installed: add it to package_data in setup.py"
            )

"""The rules of the house that a single file cannot show: layers, quiet libraries, one version, complete packages."""

import ast
import fnmatch
import functools
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml
from helpers.training import environment

import aethernet
from aethernet.version import __version__

ROOT = Path(__file__).parents[1]
ARCHS = ROOT / "archs"
FILES = sorted(path for path in ARCHS.rglob("*.py"))

BASE = (
    "checks", "conditions", "errors", "files", "flags", "machine", "optional", "progress", "tables", "threads", "version",
    "wording", "yaml_files",
)  # fmt: skip
LAYERS = (
    tuple(f"aethernet.{name}" for name in BASE),
    ("aethernet.data", "aethernet.quantization"),
    ("aethernet.network",),
    ("aethernet.checkpoint",),
    ("aethernet.export", "aethernet.training"),
    ("aethernet", "aethernet.integrations"),
    ("aethernet.runtimes",),
    ("aethernet.bench", "aethernet.quality"),
    ("aethernet.arena", "aethernet.plots", "aethernet.verify"),
    ("aethernet.release", "aethernet.upscale"),
    ("aether_arch", "aethernet.demo", "aethernet.doctor"),
    ("aethernet.cli", "aethernet.__main__"),
    ("aether_hook",),
)
"""A module imports from its own layer and from those above it in this table. `aethernet` is the bare package."""
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
NEED_FRAMEWORKS = ("aethernet.integrations", "aethernet.arena", "aethernet.demo", "aethernet.doctor")
"""Nothing else imports BasicSR or another training framework."""


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
            if imported.split(".")[0] not in ("aethernet", "aether_arch", "aether_hook"):
                continue
            other = layer(imported)
            assert other, f"{name} imports {imported}, which has no place in LAYERS"
            assert RANK[other] <= RANK[own], f"{name} (layer {RANK[own]}) imports {imported} of layer {RANK[other]}"


def test_no_module_imports_in_a_circle():
    """Nor for types only, nor inside a function: who reads one file of a circle has to read them all."""
    names = {module_name(path): path for path in FILES}
    graph = {name: {other for other in imports(path) if other in names} - {name} for name, path in names.items()}
    order = TopologicalSorter(graph)
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_only_integrations_need_a_training_framework():
    frameworks = {"basicsr", "traiNNer", "neosr", "torchvision"}
    for path in FILES:
        if layer(module_name(path)) not in NEED_FRAMEWORKS:
            found = {name for name in imports(path) if name.split(".")[0] in frameworks}
            assert not found, f"{module_name(path)} imports {found}: that is the business of {NEED_FRAMEWORKS}"


def test_opencv_is_imported_in_one_place():
    """`data.opencv`, which tells what to do where it does not load; all but training and 16-bit colour works without."""
    for path in FILES:
        assert "cv2" not in imports(path), f"{module_name(path)}: use aethernet.data.opencv"


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
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert result.stdout.strip() == "set()"


OLD_TORCH = """
import torch
del torch.export.Dim
if hasattr(torch.onnx, "ops"):
    del torch.onnx.ops
import aether_arch, pkgutil, aethernet
from importlib import import_module
for folder in ("export", "runtimes", "bench", "release", "cli"):
    package = import_module(f"aethernet.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"aethernet.{folder}.{module.name}")
from aethernet.errors import MissingDependencyError
for write in (
    lambda: aether_arch.export_onnx(aether_arch.aether_tiny(scale=2), scale=2),
    lambda: import_module("aethernet.runtimes.onnx_files").export_peer(None, None, None),
):
    try:
        write()
    except MissingDependencyError as problem:
        print(problem)
"""


@pytest.mark.slow
def test_a_torch_too_old_to_export_is_told_of_where_it_is_used(monkeypatch):
    """Its names are looked up at use, so that all else works, and the text names what setup.py asks for."""
    result = subprocess.run([sys.executable, "-c", OLD_TORCH], capture_output=True, text=True, env=environment())
    (needed,) = (text for text in setup_keywords(monkeypatch)["install_requires"] if text.startswith("torch>="))
    problem = (
        rf"ONNX export needs torch {re.escape(needed.removeprefix('torch>='))} or newer, this is \S+: pip install "
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert all(re.match(problem + "--upgrade torch$", line) for line in lines), lines


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


def test_commits_are_checked_by_the_ruff_of_the_dev_extra(monkeypatch):
    (ruff,) = (text for text in setup_keywords(monkeypatch)["extras_require"]["dev"] if text.startswith("ruff"))
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert {hook["id"] for hook in local["hooks"]} == {"ruff-check", "ruff-format"}
    assert all(hook["additional_dependencies"] == [ruff] for hook in local["hooks"])


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


def test_type_checkers_of_others_read_the_types():
    assert (ARCHS / "aethernet" / "py.typed").is_file(), "without it the annotations are ignored (PEP 561)"


def test_help_and_names_import_no_torch():
    """What takes seconds is imported when it is used."""
    program = """
import contextlib, io, sys
import aethernet, aethernet.cli
with contextlib.redirect_stdout(io.StringIO()) as printed:
    assert aethernet.cli.main([]) == 0
    for words in [["--version"], *([command, "--help"] for command in aethernet.cli.COMMANDS)]:
        try:
            aethernet.cli.main(words)
        except SystemExit as end:
            assert end.code == 0
assert all(command in printed.getvalue() for command in aethernet.cli.COMMANDS)
assert f"aethernet {aethernet.__version__}\\n" in printed.getvalue()
heavy = {"torch", "numpy", "cv2", "onnx", "basicsr"} & set(sys.modules)
assert not heavy, heavy
assert aethernet.AetherNet.__name__ in dir(aethernet)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

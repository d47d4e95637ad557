"""The doctor finds what is broken, names the remedy, and its exit code tells."""

import importlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import sys
import tempfile
import types

import pytest
from helpers.networks import PLAIN, picture, randomise
from packaging.specifiers import SpecifierSet

import aethernet
from aethernet import aether_custom, cli, doctor
from aethernet.doctor import basicsr, packages
from aethernet.export.onnx import export_onnx
from aethernet.integrations.basicsr import compat
from aethernet.machine import Cpu


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Makes packages look as if they were not installed."""
    find_spec, import_module = importlib.util.find_spec, importlib.import_module

    def no_spec(name, package=None):
        return None if name.split(".")[0] in names else find_spec(name, package)

    def no_module(name, package=None):
        if name.split(".")[0] in names:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return import_module(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", no_spec)
    monkeypatch.setattr(importlib, "import_module", no_module)


def fail(monkeypatch: pytest.MonkeyPatch, broken: str, error: Exception) -> None:
    """Makes the import of one module raise."""
    import_module = importlib.import_module

    def importer(name, package=None):
        if name == broken:
            raise error
        return import_module(name, package)

    monkeypatch.setattr(importlib, "import_module", importer)


def test_every_problem_has_a_remedy_and_names_are_unique():
    checks = doctor.diagnose()
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert check.found
        assert bool(check.remedy) == (check.status != "ok"), check


@pytest.mark.parametrize(("minor", "where"), [(12, "^"), (13, r"Python 3\.10 to 3\.12 .*")])
def test_missing_basicsr_is_installed_where_it_can_be_built(monkeypatch, minor, where):
    hide(monkeypatch, "basicsr")
    monkeypatch.setattr(sys, "version_info", (3, minor, 0, "final", 0))
    (check,) = doctor.check_basicsr()
    assert check.status == "error"
    assert re.search(where + r"pip install .*--no-build-isolation --no-deps basicsr==1\.4\.2", check.remedy)


def test_basicsr_that_does_not_import_tells_its_reason(monkeypatch):
    compat.apply()
    pytest.importorskip("basicsr.utils.registry")
    fail(monkeypatch, "basicsr.data", ImportError("cannot import name 'x'"))
    (check,) = doctor.check_basicsr()
    assert check.status == "error" and "pip install" in check.remedy
    assert "import basicsr.data fails: ImportError: cannot import name 'x'" in check.found


def test_registries_without_our_names(monkeypatch):
    compat.apply()
    registry = pytest.importorskip("basicsr.utils.registry")
    importlib.import_module("aether_arch")  # registers, the first time that it is imported
    monkeypatch.setattr(registry, "ARCH_REGISTRY", registry.Registry("arch"))
    check = next(check for check in basicsr.check_registries() if check.name == "ARCH_REGISTRY")
    assert check.status == "error" and "aether_small" in check.found and "pip install" in check.remedy


def test_missing_torchvision(monkeypatch):
    hide(monkeypatch, "torchvision")
    check = doctor.check_torchvision()
    assert check.status == "error" and re.search(r'pip install --no-deps "torchvision==0\.\d+\.\*"', check.remedy)


def test_broken_torchvision(monkeypatch):
    monkeypatch.setattr(compat, "torchvision_extension_error", lambda: "libcudart.so.12: cannot open")
    fail(monkeypatch, "torchvision", RuntimeError("operator torchvision::nms does not exist"))
    check = doctor.check_torchvision()
    assert check.status == "error" and "--force-reinstall" in check.remedy
    assert "torchvision::nms does not exist" in check.found


@pytest.mark.parametrize(
    ("problem", "status", "found"), [("no library", "warning", "compat"), (None, "ok", "natively")]
)
def test_torchvision_imports_with_compat_or_natively(monkeypatch, problem, status, found):
    monkeypatch.setattr(compat, "torchvision_extension_error", lambda: problem)
    monkeypatch.setattr(compat, "apply", lambda: [])
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(__version__="0.28.0", __spec__=object()))
    check = doctor.check_torchvision()
    assert check.status == status and found in check.found


def requires(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """Makes the installed package ask for these."""
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: list(texts))


def test_what_is_needed_is_read_from_the_installed_package(monkeypatch):
    requires(monkeypatch, "torch>=2.8", "pillow", 'scipy<2,>=1.8; extra == "train"', 'onnx>=1.17; extra == "export"')
    assert doctor.requirements() == {"torch": SpecifierSet(">=2.8"), "pillow": SpecifierSet()}
    assert doctor.requirements("train") == {"scipy": SpecifierSet("<2,>=1.8")}
    assert doctor.requirements("export") == {"onnx": SpecifierSet(">=1.17")}


def test_every_needed_package_is_found_here():
    for name, versions in doctor.requirements().items():
        assert doctor.check_package(name, versions).status == "ok", name


def test_a_checkout_that_is_not_installed(monkeypatch):
    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", unknown)
    check = doctor.check_aethernet()
    assert check.status == "warning" and re.search(r"pip install .*-e ", check.remedy)
    assert {check.name for check in doctor.diagnose()} >= {"python", "torch", "basicsr"}


@pytest.mark.parametrize(
    ("version", "remedy"),
    [("2.7.1+cpu", 'pip install --upgrade "torch>=2.8"'), ("2.8.0", ""), ("2.16.0a0+git1234", "")],
)
def test_torch_that_is_too_old(monkeypatch, version, remedy):
    import torch

    requires(monkeypatch, "torch>=2.8")
    monkeypatch.setattr(torch, "__version__", version)
    check = next(doctor.check_torch())
    assert (check.status, check.remedy) == ("error" if remedy else "ok", remedy)


@pytest.mark.parametrize(("version", "status"), [("1.7.3", "error"), ("1.17.1", "ok"), ("2.0.1", "error")])
def test_a_package_of_a_version_that_cannot_be_used(monkeypatch, version, status):
    monkeypatch.setitem(sys.modules, "scipy", types.SimpleNamespace(__version__=version))
    check = doctor.check_package("scipy", SpecifierSet(">=1.8,<2"))
    assert check.status == status
    assert check.remedy == ("" if status == "ok" else 'pip install "scipy<2,>=1.8"')


def test_what_training_does_not_need_is_no_error(monkeypatch):
    requires(
        monkeypatch, 'lmdb>=1.3; extra == "train"', 'onnx>=1.17; extra == "export"', 'onnx>=1.17; extra == "bench"'
    )
    hide(monkeypatch, "lmdb", "onnx")
    checks = {check.name: check for check in doctor.diagnose()}
    assert checks["lmdb"].status == "error"
    assert (checks["onnx"].status, checks["onnx"].found) == ("ok", "absent (optional, for ONNX export)")


def test_an_optional_package_that_is_too_old(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.16.2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: types.SimpleNamespace(origin="/x/onnx/__init__.py"))
    check = doctor.check_optional("onnx", SpecifierSet(">=1.17"), "export")
    assert (check.status, check.remedy) == ("warning", 'pip install "onnx>=1.17"')


def test_opencv_without_the_system_library(monkeypatch):
    fail(monkeypatch, "cv2", ImportError("libGL.so.1: cannot open shared object file: No such file or directory"))
    check = doctor.check_package("opencv-python", SpecifierSet())
    assert check.status == "error" and "libGL.so.1" in check.found
    assert re.search(r"pip uninstall -y .*; pip install opencv-python-headless .*apt-get install libgl1", check.remedy)


def opencv_builds(monkeypatch: pytest.MonkeyPatch, **installed: str) -> None:
    """Makes these builds of OpenCV look installed, and no others."""
    version = importlib.metadata.version

    def version_of(name):
        if not name.startswith("opencv"):
            return version(name)
        if name.replace("-", "_") in installed:
            return installed[name.replace("-", "_")]
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version_of)


@pytest.mark.parametrize("build", ["opencv_python", "opencv_python_headless", "opencv_contrib_python_headless"])
@pytest.mark.parametrize(("version", "status"), [("4.5.5.62", "error"), ("4.5.5.64", "ok")])
def test_any_build_of_opencv_will_do(monkeypatch, build, version, status):
    opencv_builds(monkeypatch, **{build: version})
    check = doctor.check_package("opencv-python", SpecifierSet(">=4.5.5.64"))
    assert check.status == status and version in check.found
    assert (build.replace("_", "-") + ">=4.5.5.64" in check.remedy) == (status == "error")


def test_two_builds_of_opencv_at_once(monkeypatch):
    opencv_builds(monkeypatch, opencv_python="5.0.0.93", opencv_python_headless="5.0.0.93")
    check = doctor.check_package("opencv-python", SpecifierSet(">=4.5.5.64"))
    assert check.status == "warning" and "opencv-python, opencv-python-headless share one folder" in check.found
    assert re.search("uninstall -y opencv-python opencv-python-headless .*; pip install opencv-python-", check.remedy)


def test_opencv_that_no_package_manager_of_python_knows(monkeypatch):
    opencv_builds(monkeypatch)
    assert doctor.check_package("opencv-python", SpecifierSet()).status == "ok"


def test_cpu_build_beside_an_nvidia_driver(monkeypatch):
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    accelerator = list(doctor.check_torch())[-1]
    assert accelerator.status == "warning" and "--force-reinstall torch" in accelerator.remedy


def test_a_folder_that_cannot_be_written(monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    check = doctor.check_folder()
    assert check.status == "error" and check.remedy.startswith("cd to")


@pytest.mark.parametrize(
    ("features", "found"),
    [
        (("AVX2", "AVX512", "VNNI"), "fastest"),
        (("AVX2", "AVX512"), "files with weights on 8 bits go wrong here"),
        (("AVX2",), "files with weights on 8 bits go wrong here"),
        ((), "take fp32"),
        (None, "nothing is known"),
    ],
)
def test_every_processor_is_told_what_int8_is_worth(features, found):
    check = doctor.check_int8(Cpu("Some CPU", features, is_x86=True))
    assert check.status == "ok" and found in check.found and not check.remedy
    assert "nothing is known" in doctor.check_int8(Cpu("Some ARM", (), is_x86=False)).found


@pytest.mark.slow
def test_int8_files_are_looked_at(tmp_path, capsys):
    pytest.importorskip("onnx", reason="ONNX export is an extra")
    network = randomise(aether_custom(2, **PLAIN)).eval()
    aethernet.calibrate(network, [picture(1, 3, 9, 8)], quantization={"weight_bits": 8})
    path = export_onnx(network.convert_to_quantized(), 2, "int8", tmp_path / "net.onnx")
    check = doctor.check_file(path)
    assert (check.name, check.status) == (str(path), "warning") and "right only with VNNI" in check.found
    (tmp_path / "page.onnx").write_text("<html>")
    assert doctor.check_file(tmp_path / "page.onnx").status == "error"
    cli.main(["doctor", str(path)])
    assert "right only with VNNI" in capsys.readouterr().out


@pytest.mark.parametrize(("version", "requirement"), [("2.4.1+cu121", "torchvision==0.19.*"), ("", "torchvision")])
def test_torchvision_matches_torch(version, requirement):
    assert packages._torchvision_beside(version) == requirement


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 0), ("error", 1)])
def test_the_exit_code_tells_errors_only(monkeypatch, capsys, status, code):
    command = importlib.import_module("aethernet.cli.doctor")
    monkeypatch.setattr(doctor, "diagnose", lambda _: [doctor.Check("thing", status, "as found", "mend it")])
    parser = cli.argparse.ArgumentParser()
    command.configure(parser)
    assert command.run(parser.parse_args([])) == code
    assert re.search(rf"{status} +thing +as found\n +-> mend it", capsys.readouterr().out)
    assert command.run(parser.parse_args(["--json"])) == code
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] == (code == 0)
    assert printed["checks"] == [{"name": "thing", "status": status, "found": "as found", "remedy": "mend it"}]

"""Each repair takes effect where it is needed and leaves everything alone where it is not.

What a repair does depends on what has been imported before, so most tests run in a process of their own.
"""

import importlib.machinery
import importlib.util
import subprocess
import sys
import textwrap

import pytest
from helpers.extras import needs_basicsr

from aethernet.integrations.basicsr import compat

# Loaded from its file, because importing the whole package takes seconds; it needs nothing else of the package.
COMPAT = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("compat", {compat.__file__!r})
compat = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compat)
"""


def run(code: str, *, path: str = "") -> str:
    """Runs `code` in a fresh interpreter that looks for modules in `path` first, and returns what it prints."""
    program = f"{COMPAT}\nif {path!r}: sys.path.insert(0, {path!r})\n{textwrap.dedent(code)}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def write(root, files: dict[str, str]) -> str:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(root)


@needs_basicsr
def test_basicsr_imports_and_its_networks_can_use_torchvision():
    run("""
        compat.apply()
        import basicsr, basicsr.archs, basicsr.data, basicsr.models, torch, torchvision
        from basicsr.data.degradations import rgb_to_grayscale
        assert rgb_to_grayscale(torch.rand(1, 3, 4, 4)).shape == (1, 1, 4, 4)
        torchvision.models.vgg19
        assert torchvision.transforms.functional.normalize(torch.ones(3, 2, 2), [0.5] * 3, [0.5] * 3).max() == 1
        assert torchvision.utils.make_grid(torch.rand(4, 3, 8, 8)).shape[0] == 3
    """)


def test_applying_twice_changes_nothing_more_and_imports_nothing_large():
    printed = run("""
        first, importers = compat.apply(), list(sys.meta_path)
        assert compat.apply() == first and sys.meta_path == importers
        print({'basicsr', 'torchvision', 'scipy'} & set(sys.modules))
    """)
    assert printed == "set()"


def test_a_removed_module_is_supplied_from_its_successor(tmp_path):
    files = {
        "torchvision/__init__.py": "",
        "torchvision/transforms/__init__.py": "",
        "torchvision/transforms/functional.py": "def rgb_to_grayscale(): return 'today'",
        "scipy/__init__.py": "",
        "scipy/ndimage/__init__.py": "def convolve(): return 'today'",
    }
    printed = run(
        """
        compat.supply_functional_tensor(), compat.supply_ndimage_filters()
        from torchvision.transforms.functional_tensor import rgb_to_grayscale
        from scipy.ndimage.filters import convolve
        from scipy.ndimage import filters
        print(rgb_to_grayscale(), convolve(), filters.convolve(), hasattr(filters, "absent"))
        """,
        path=write(tmp_path, files),
    )
    assert printed == "today today today False"


def test_an_existing_module_is_used_as_it_is(tmp_path):
    files = {
        "torchvision/__init__.py": "",
        "torchvision/transforms/__init__.py": "",
        "torchvision/transforms/functional_tensor.py": "def rgb_to_grayscale(): return 'its own'",
        "scipy/__init__.py": "",
        "scipy/ndimage/__init__.py": "",
        "scipy/ndimage/filters.py": "def convolve(): return 'its own'",
    }
    printed = run(
        """
        importers = list(sys.meta_path)
        assert compat.supply_functional_tensor() is None and compat.supply_ndimage_filters() is None
        assert sys.meta_path == importers
        from torchvision.transforms.functional_tensor import rgb_to_grayscale
        from scipy.ndimage.filters import convolve
        print(rgb_to_grayscale(), convolve(), sep=", ")
        """,
        path=write(tmp_path, files),
    )
    assert printed == "its own, its own"


def test_nothing_is_supplied_for_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(compat.MOVED, "no_such_package.part", "no_such_package.other")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    assert compat._supply("no_such_package.part") is None


@pytest.mark.parametrize(("files", "version"), [({"VERSION": "1.4.2\n"}, "1.4.2"), ({}, "unknown")])
def test_a_clone_whose_setup_never_ran_has_its_version(tmp_path, files, version):
    files = {"basicsr/__init__.py": "from .version import __gitsha__, __version__", **files}
    printed = run(
        """
        print(compat.supply_version())
        import basicsr
        from basicsr.version import version_info
        assert compat.supply_version()
        print(basicsr.__version__, basicsr.__gitsha__, version_info)
        """,
        path=write(tmp_path, files),
    )
    numbers = tuple(int(part) if part.isdigit() else part for part in version.split("."))
    sentence = "supplied basicsr.version, which its setup has not written"
    assert printed.splitlines() == [sentence, f"{version} unknown {numbers}"]


def test_a_version_that_setup_wrote_is_used(tmp_path):
    files = {"basicsr/__init__.py": "", "basicsr/version.py": "__version__ = 'its own'", "VERSION": "1"}
    printed = run(
        """
        print(compat.supply_version())
        from basicsr.version import __version__
        print(__version__, compat.supply_version())
        """,
        path=write(tmp_path, files),
    )
    assert printed.split() == ["None", "its", "own", "None"]


EXTENSION = f"torchvision/_C{importlib.machinery.EXTENSION_SUFFIXES[0]}"


def test_operators_are_declared_where_the_compiled_part_is_broken(tmp_path):
    # Importing this package needs the schemas, as the real one does; its library is damaged.
    needing = "import torch\ntorch.ops.torchvision.nms.default, torch.ops.torchvision.qnms.default"
    printed = run(
        """
        print(compat.declare_torchvision_operators())
        import torch, torchvision
        try:
            torch.ops.torchvision.nms(torch.rand(1, 4), torch.rand(1), 0.5)
        except NotImplementedError as error:
            print(error)
        """,
        path=write(tmp_path, {"torchvision/__init__.py": needing, EXTENSION: "no library"}),
    )
    assert "compiled part does not load" in printed
    assert "'torchvision::nms'" in printed  # calling one says what is missing


def test_operators_are_left_alone_where_the_compiled_part_loads(tmp_path):
    printed = run(
        """
        import torch
        torch.ops.load_library = lambda path: None
        print(compat.declare_torchvision_operators(), hasattr(torch.ops.torchvision, "nms"))
        """,
        path=write(tmp_path, {"torchvision/__init__.py": "", EXTENSION: ""}),
    )
    assert printed == "None False"

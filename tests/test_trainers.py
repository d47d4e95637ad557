"""The networks in traiNNer-redux and neosr: known after a drop-in, built as each of them builds, alone under their name.

The trees here are stand-ins (`trees.py`). With AETHERNET_TRAINNER_TREE or AETHERNET_NEOSR_TREE the same is asked of a
real tree, whose requirements must be installed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.training import ARCHS
from helpers.trees import run_in, write_neosr, write_trainner
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from aethernet import aether_custom
from aethernet.errors import ConfigError, RegistrationError
from aethernet.integrations import install, neosr, registry, trainner
from aethernet.network.variants import FACTORIES, VARIANTS, aether_small

NAMES = [factory.__name__ for factory in FACTORIES]


@pytest.fixture
def trainner_tree(tmp_path) -> Path:
    return write_trainner(tmp_path)


@pytest.fixture
def neosr_tree(tmp_path) -> Path:
    return write_neosr(tmp_path)


@pytest.fixture(autouse=True)
def not_installed(monkeypatch):
    monkeypatch.setattr(install, "source_to_add", lambda: ARCHS)


# traiNNer-redux

BUILD_IN_TRAINNER = f"""
import traiNNer.archs
from traiNNer.utils.registry import ARCH_REGISTRY
assert set({NAMES}) <= set(ARCH_REGISTRY.objects), ARCH_REGISTRY.objects
assert "aether_peer" not in ARCH_REGISTRY  # a peer takes no scale
network = traiNNer.archs.build_network({{"type": "Aether_Tiny", "scale": 2, "stage": "qat"}})
print(network.config.title)
from aethernet.integrations import registry
assert registry.register_architectures("traiNNer") == ["traiNNer"]  # the same again
"""


def test_trainner_knows_the_networks_after_the_drop_in(trainner_tree):
    install.install(trainner_tree)
    assert run_in(trainner_tree, BUILD_IN_TRAINNER).stdout == "aether_tiny x2 (stage qat)\n"


def test_the_front_door_registers_where_trainner_is_importable(trainner_tree):
    """And in any order: here the front door opens before the drop-in."""
    install.install(trainner_tree)
    code = f"import sys; sys.path.insert(0, {str(ARCHS)!r}); import aether_arch\n{BUILD_IN_TRAINNER}"
    assert run_in(trainner_tree, code).stdout == "aether_tiny x2 (stage qat)\n"


@pytest.mark.parametrize("where", ["ARCH_REGISTRY", "SPANDREL_REGISTRY"])
def test_a_foreign_network_of_that_name_in_trainner_is_an_error(trainner_tree, where):
    """traiNNer-redux looks into SPANDREL_REGISTRY first, so a name there would hide ours."""
    install.install(trainner_tree)
    (trainner_tree / "traiNNer/archs/aaa_arch.py").write_text(
        f"from traiNNer.utils.registry import {where}\nclass Aether_Small: pass\n{where}.register(Aether_Small)\n"
    )
    error = run_in(trainner_tree, BUILD_IN_TRAINNER, check=False).stderr
    assert "RegistrationError: the name 'aether_small' is taken in the registry by traiNNer.archs.aaa_arch" in error


def test_a_trainner_that_does_not_import_is_named(trainner_tree, monkeypatch, caplog):
    (trainner_tree / "traiNNer/utils/registry.py").write_text("import a_requirement_that_is_missing\n")
    monkeypatch.syspath_prepend(str(trainner_tree))
    try:
        assert registry.register_architectures("traiNNer") == []
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "traiNNer"]:
            del sys.modules[name]
    assert "not registered in traiNNer, which does not import (No module named 'a_requirement_that_" in caplog.text


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "factory",
    [
        pytest.param(factory, id=name, marks=pytest.mark.slow if name == "aether_large" else ())
        for name, factory in zip(NAMES, trainner.NETWORKS, strict=True)
    ],
)
def test_every_network_trains_and_infers_from_a_scale_alone(factory, scale):
    """What traiNNer-redux asks of every network in its registry (tests/test_archs)."""
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    network = factory(scale=scale).train()
    output = network(picture)
    assert output.shape == (1, 3, 16 * scale, 16 * scale)
    output.abs().mean().backward()
    torch.optim.AdamW(parameter for parameter in network.parameters() if parameter.requires_grad).step()
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    with torch.inference_mode():
        assert network.eval()(picture).shape == output.shape


def test_custom_has_sizes_in_trainner_unless_one_is_given():
    assert trainner.custom(2).config.width == VARIANTS["small"]["width"]
    assert trainner.custom(2, width=8, depths=[1]).config.depths == (1,)
    with pytest.raises(ConfigError, match="AetherNet needs depths"):
        trainner.custom(2, width=8)
    assert (trainner.custom.__module__, trainner.custom.__name__) == (aether_custom.__module__, "aether_custom")


# neosr

BUILD_IN_NEOSR = f"""
import sys
import neosr.archs
print(neosr.archs.build_network({{"type": "aether_tiny"}}).config.title)
print(neosr.archs.build_network({{"type": "aether_tiny", "scale": 2, "stage": "qat"}}).config.title)
sys.argv.append("-onnx")
print(neosr.archs.build_network({{"type": "aether_tiny"}}).config.title)
from neosr.utils.registry import ARCH_REGISTRY
assert set({NAMES}) <= set(ARCH_REGISTRY.objects)
from aethernet.integrations import registry
assert registry.register_architectures("neosr") == ["neosr"]  # the same again
"""


def test_neosr_knows_the_networks_after_the_drop_in(neosr_tree):
    install.install(neosr_tree)
    titles = run_in(neosr_tree, BUILD_IN_NEOSR, "-s", "3").stdout.splitlines()
    assert titles == [
        "aether_tiny x3 (stage train)",
        "aether_tiny x2 (stage qat)",
        "aether_tiny x3 (stage fused)",  # convert.py passes no stage
    ]


def test_a_foreign_network_of_that_name_in_neosr_is_an_error(neosr_tree):
    install.install(neosr_tree)
    (neosr_tree / "neosr/archs/aaa_arch.py").write_text(
        "from neosr.utils.registry import ARCH_REGISTRY\ndef aether_large(): pass\nARCH_REGISTRY.register(aether_large)\n"
    )
    error = run_in(neosr_tree, BUILD_IN_NEOSR, "-s", "3", check=False).stderr
    assert "RegistrationError: the name 'aether_large' is taken in the registry by neosr.archs.aaa_arch" in error


@pytest.mark.slow
def test_the_front_door_does_not_start_neosr(neosr_tree):
    """Importing it parses the command line, which is another program's here."""
    code = f"import sys; sys.path.insert(0, {str(ARCHS)!r}); import aether_arch; print('neosr' in sys.modules)"
    assert run_in(neosr_tree, code).stdout == "False\n"


def test_neosr_networks_refuse_unknown_arguments():
    tiny = neosr.NETWORKS[NAMES.index("aether_tiny")]
    with pytest.raises(ConfigError, match="AetherNet has no argument 'upscale'"):
        tiny(scale=2, stage="train", upscale=2)


def test_weights_averaged_as_in_neosr_are_the_average():
    """neosr averages with AveragedModel, and drops `module.` and `n_averaged` from what it saves."""
    network = aether_small(2, norm_freeze_iter=1)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    before = network.state_dict()["fusion.norm.running_var"].clone()
    for seed in range(2):
        network.train()(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))).mean().backward()
        average.update_parameters(network)
    saved = {name.removeprefix("module."): value for name, value in average.state_dict().items()}
    del saved["n_averaged"]
    loaded = aether_small(2).eval()
    loaded.load_state_dict(saved, strict=True)
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded(x), average.eval()(x))
    assert not torch.equal(saved["fusion.norm.running_var"], before), "statistics belong to the average"


def test_only_named_frameworks_are_touched(monkeypatch):
    monkeypatch.setattr(registry.importlib, "import_module", lambda name: pytest.fail(f"imports {name}"))
    assert registry.register_architectures("neosr") == []


def test_is_registered_tells_foreign_from_own():
    class Fake(dict):
        pass

    assert not registry.is_registered(Fake(), aether_custom)
    assert registry.is_registered(Fake(aether_custom=trainner.custom), aether_custom)
    with pytest.raises(RegistrationError, match=r"taken in the registry by .*\.Fake: remove that file"):
        registry.is_registered(Fake(aether_custom=Fake), aether_custom)


# Real trees

REAL = {
    "AETHERNET_TRAINNER_TREE": f"""
import traiNNer.archs as archs
from traiNNer.utils.registry import ARCH_REGISTRY
assert set({NAMES}) <= set(ARCH_REGISTRY.keys())
print(archs.build_network({{"type": "aether_small", "scale": 2}}).config.title)
""",
    "AETHERNET_NEOSR_TREE": f"""
import sys
sys.argv = ["train.py", "-opt", {str(Path(__file__).parents[1] / "options/neosr/aether_small.toml")!r}]
import neosr.archs as archs
print(archs.build_network({{"type": "aether_small", "scale": 2}}).config.title)
from neosr.utils.registry import ARCH_REGISTRY
assert set({NAMES}) <= set(ARCH_REGISTRY.keys())
""",
}


@pytest.mark.parametrize("variable", REAL)
def test_a_real_tree_builds_a_network(variable):
    tree = os.environ.get(variable)
    if not tree:
        pytest.skip(f"{variable} names no source tree")
    code = f"""
import sys
sys.path[:0] = [{str(ARCHS)!r}, {tree!r}]
from aethernet.integrations import registry
registry.compat.apply()
{REAL[variable].replace("archs.build_network", "registry.register_architectures() and archs.build_network")}
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "aether_small x2 (stage train)" in result.stdout

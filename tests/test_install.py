"""Drop-in files: an unmodified `train.py` knows this package, foreign files are safe, removal leaves nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.networks import randomise
from helpers.real import real_run
from helpers.training import ARCHS, tiny_options, write_options, write_pairs
from helpers.trees import copy_basicsr, run_basicsr, run_in, run_real_esrgan, write_real_esrgan

from aethernet import AetherNet, aether_custom, calibrate, cli, load_network, write_checkpoint
from aethernet.data.calibration import CalibrationInputs
from aethernet.errors import OutputError
from aethernet.files import sha256
from aethernet.integrations import install
from aethernet.integrations.frameworks import Framework

FILES = ("basicsr/archs/aethernet_arch.py", "basicsr/models/aethernet_model.py", "basicsr/data/aethernet_dataset.py")


def landmarks(root: Path, framework: Framework = install.TREES[0]) -> Path:
    """What a source tree is recognised by, without its contents."""
    for name in framework.landmarks:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture
def tree(tmp_path) -> Path:
    return landmarks(tmp_path)


def files(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.setattr(install, "source_to_add", lambda: ARCHS)


def test_files_come_and_go(tree, capsys, not_installed):
    before = files(tree)
    assert cli.main(["install", "--into", str(tree)]) == 0
    assert files(tree) == before | set(FILES)
    out = capsys.readouterr().out
    assert out.count("written") == 3
    assert f"add {ARCHS} to its path" in out
    assert "python basicsr/train.py -opt FILE" in out

    contents = {name: (tree / name).read_text() for name in FILES}
    assert set(install.install(tree).values()) == {"unchanged"}
    assert contents == {name: (tree / name).read_text() for name in FILES}

    assert cli.main(["install", "--into", str(tree), "--remove"]) == 0
    assert files(tree) == before
    assert set(install.remove(tree).values()) == {"not there"}


def test_an_older_file_is_updated(tree):
    (tree / FILES[0]).write_text(install.MARKER + "\nimport something_old\n")
    assert install.install(tree)[tree / FILES[0]] == "updated"
    assert "something_old" not in (tree / FILES[0]).read_text()


def test_the_path_stands_in_the_files_only_if_it_is_needed(tree, monkeypatch):
    for source, expected in ((ARCHS, True), (None, False)):
        monkeypatch.setattr(install, "source_to_add", lambda source=source: source)
        install.install(tree)
        for name in FILES:
            assert (str(ARCHS) in (tree / name).read_text()) is expected


def test_an_installed_package_needs_no_path(monkeypatch):
    """PYTHONPATH does not count: the next terminal may lack it."""
    monkeypatch.setenv("PYTHONPATH", str(ARCHS))
    code = "import importlib.util; spec = importlib.util.find_spec('aethernet'); print(spec and spec.origin)"
    found = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True).stdout
    is_installed = found.strip() == str(ARCHS / "aethernet/__init__.py")  # and not another checkout
    assert install.source_to_add() == (None if is_installed else ARCHS)


def test_a_foreign_file_is_refused_and_left_alone(tree):
    foreign = tree / FILES[1]
    foreign.write_text("mine = 1\n")
    with pytest.raises(OutputError, match=r"aethernet_model\.py was not written by `aethernet install`"):
        install.install(tree)
    assert not (tree / FILES[0]).exists(), "nothing is written if one is refused"
    assert install.remove(tree)[foreign] == "not ours, left alone"
    assert foreign.read_text() == "mine = 1\n"


@pytest.mark.parametrize(
    ("package", "name", "count"),
    [
        ("basicsr", "BasicSR", 3),
        ("traiNNer", "traiNNer-redux", 1),
        ("neosr", "neosr", 1),
        ("realesrgan", "Real-ESRGAN", 4),
    ],
)
def test_every_tree_gets_files_of_its_own(package, name, count, tmp_path, capsys, not_installed):
    landmarks(tmp_path, next(framework for framework in install.TREES if framework.name == name))
    before = files(tmp_path)
    assert install.recognise(tmp_path).name == name
    assert cli.main(["install", "--into", str(tmp_path)]) == 0
    new = files(tmp_path) - before
    assert f"{package}/archs/aethernet_arch.py" in new and len(new) == count
    for file in new:
        first, *rest = (tmp_path / file).read_text().splitlines()
        assert first == install.MARKER and len(rest) <= 3
    assert "train.py -opt FILE" in capsys.readouterr().out
    assert cli.main(["install", "--into", str(tmp_path), "--remove"]) == 0
    assert files(tmp_path) == before


def test_another_folder_is_refused_with_what_it_lacks(tmp_path, capsys):
    (tmp_path / "traiNNer/archs").mkdir(parents=True)
    (tmp_path / "traiNNer/archs/__init__.py").touch()  # not enough
    assert cli.main(["install", "--into", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "BasicSR (it has no basicsr/archs/__init__.py)" in error
    assert "traiNNer-redux (it has no traiNNer/utils/registry.py)" in error
    assert "neosr (it has no neosr/archs/__init__.py)" in error
    assert "Real-ESRGAN (it has no realesrgan/train.py)" in error
    assert len(files(tmp_path)) == 1


# In a real tree


def with_files(root: Path) -> Path:
    """With the files installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(install, "source_to_add", lambda: ARCHS)
        install.install(root)
    return root


@pytest.fixture(scope="module")
def real_tree(tmp_path_factory) -> Path:
    return with_files(copy_basicsr(tmp_path_factory.mktemp("BasicSR")))


@needs_basicsr
@pytest.mark.slow
def test_the_unmodified_trainer_trains(real_tree, tmp_path):
    write_pairs(tmp_path)
    file = write_options(tiny_options(tmp_path, **{"train:total_iter": 2}), tmp_path / "x.yml")
    run_basicsr(real_tree, "basicsr/train.py", "-opt", file)
    weights = torch.load(real_tree / "experiments/tiny/models/net_g_latest.pth", weights_only=True)
    assert weights["params"]["fusion.norm.iterations"] == 2


@needs_basicsr
@pytest.mark.slow
def test_the_unmodified_trainer_learns_from_a_teacher_and_from_a_vgg19_of_ours(real_tree, tmp_path):
    write_pairs(tmp_path)
    torch.save({"features.0.weight": torch.rand(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}, tmp_path / "vgg.pth")
    perceptual = {
        "type": "AetherPerceptualLoss",
        "weights": str(tmp_path / "vgg.pth"),
        "sha256": sha256(tmp_path / "vgg.pth"),
        "layer_weights": {"conv1_1": 1.0},
    }
    changes = {
        "name": "taught",
        "model_type": "AetherModel",
        "train:total_iter": 2,
        "train:distill_opt": {"teacher": "aether_tiny_x2"},
        "train:perceptual_opt": perceptual,
    }
    file = write_options(tiny_options(tmp_path, **changes), tmp_path / "x.yml")
    run_basicsr(real_tree, "basicsr/train.py", "-opt", file)
    (log,) = (real_tree / "experiments/taught").glob("train_*.log")
    assert "l_distill: " in log.read_text() and "l_percep: " in log.read_text()


@needs_basicsr
@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["RealESRNetModel", "AetherRealModel"])
def test_the_unmodified_trainer_degrades_its_inputs(real_tree, tmp_path, model_type):
    """On a CPU, which BasicSR's own class cannot without the drop-ins."""
    write_pairs(tmp_path, size=96)
    opt = real_run(tmp_path, model_type, **{"train:total_iter": 2, "name": model_type})
    run_basicsr(real_tree, "basicsr/train.py", "-opt", write_options(opt, tmp_path / "x.yml"))
    weights = torch.load(real_tree / f"experiments/{model_type}/models/net_g_latest.pth", weights_only=True)
    assert weights["params"]["fusion.norm.iterations"] == 2


@needs_basicsr
def test_the_unmodified_trainer_fine_tunes_for_int8(real_tree, tmp_path):
    """The stock SRModel, from a calibrated file."""
    write_pairs(tmp_path)
    torch.manual_seed(0)
    network = randomise(aether_custom(2, width=8, depths=[1, 1], kernel_size=5)).eval()
    calibrated = calibrate(network, CalibrationInputs([tmp_path / "gt"], 2, 3, 4))
    write_checkpoint(tmp_path / "qat.pth", calibrated)
    changes = {
        "name": "qat",
        "model_type": "SRModel",
        "network_g:stage": "qat",
        "path:pretrain_network_g": str(tmp_path / "qat.pth"),
        "path:param_key_g": "params",
        "train:total_iter": 2,
    }
    run_basicsr(
        real_tree, "basicsr/train.py", "-opt", write_options(tiny_options(tmp_path, **changes), tmp_path / "x.yml")
    )
    trained = AetherNet.from_state_dict(
        torch.load(real_tree / "experiments/qat/models/net_g_latest.pth", weights_only=True)["params"]
    )
    assert trained.config.stage == "qat"
    assert not torch.equal(trained.shallow.weight, calibrated.shallow.weight)
    trained.convert_to_quantized()


@needs_basicsr
@pytest.mark.parametrize(
    "first",
    [
        "aether_arch",
        pytest.param("basicsr", marks=pytest.mark.slow),
        pytest.param("aethernet.integrations.basicsr.training.models", marks=pytest.mark.slow),
    ],
)
def test_everything_is_registered_whatever_is_imported_first(real_tree, first):
    code = f"""
import sys
if {first!r} != "basicsr":
    sys.path.insert(0, {str(ARCHS)!r})
    from aethernet.integrations.basicsr import compat
    compat.apply()
import {first}
import basicsr
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, MODEL_REGISTRY
assert basicsr.__file__.startswith({str(real_tree)!r}), basicsr.__file__
assert "aether_small" in ARCH_REGISTRY
assert "AetherSyntheticDataset" in DATASET_REGISTRY
assert "AetherModel" in MODEL_REGISTRY or {first!r}.endswith("models")
from aethernet.integrations.basicsr.training import models
models.register()
assert MODEL_REGISTRY.get("AetherModel") is models.AetherModel
"""
    run_basicsr(real_tree, "-c", code)


# In Real-ESRGAN's tree


@pytest.fixture(scope="module")
def real_esrgan(tmp_path_factory) -> Path:
    return with_files(write_real_esrgan(tmp_path_factory.mktemp("Real-ESRGAN")))


@needs_basicsr
def test_real_esrgan_knows_everything_when_its_trainer_begins(real_esrgan):
    """As `python realesrgan/train.py` imports: its own folder comes first on the path, and BasicSR before all else."""
    code = """
import os, sys
sys.path.insert(0, os.path.abspath("realesrgan"))
from basicsr.train import train_pipeline
import realesrgan.archs, realesrgan.data, realesrgan.models
import basicsr, basicsr.train, realesrgan
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, MODEL_REGISTRY
assert "site-packages" in basicsr.__file__ or not basicsr.__file__.startswith(os.getcwd()), basicsr.__file__
assert os.path.abspath("realesrgan") in sys.path
assert sys.modules["realesrgan.version"].__version__ == "0.3.0"
assert "aether_small" in ARCH_REGISTRY and "AetherMemoryDataset" in DATASET_REGISTRY
assert "AetherRealGANModel" in MODEL_REGISTRY
assert MODEL_REGISTRY.get("RealESRNetModel").__module__ == "realesrgan.models.realesrnet_model"
assert basicsr.train.load_resume_state.__module__.startswith("aethernet.")
from realesrgan.models.realesrnet_model import filter2D
import torch
filter2D(torch.zeros(2, 3, 8, 8).to(memory_format=torch.channels_last), torch.zeros(2, 3, 3))
"""
    run_in(real_esrgan, code)


@needs_basicsr
@pytest.mark.slow
def test_real_esrgan_trains_resumes_and_fine_tunes_for_int8(real_esrgan, tmp_path):
    """By its own `train.py`, on a CPU, with its own model class and with ours."""
    write_pairs(tmp_path, size=96)
    changes = {"train:total_iter": 4, "logger:save_checkpoint_freq": 2, "train:scheduler:milestones": [1, 3]}
    models = real_esrgan / "experiments/{}/models"
    run = (real_esrgan / "realesrgan/train.py", "-opt")

    def write(name: str, model_type: str, **others) -> Path:
        return write_options(
            real_run(tmp_path, model_type, **{"name": name, **changes, **others}), tmp_path / f"{name}.yml"
        )

    for name, model_type in (("theirs", "RealESRNetModel"), ("ours", "AetherRealModel")):
        file = write(name, model_type)
        run_real_esrgan(real_esrgan, *run, file)
        folder = Path(str(models).format(name))
        whole = torch.load(folder / "net_g_latest.pth", weights_only=True)
        assert whole["params"]["fusion.norm.iterations"] == 4
        (folder.parent / "training_states/4.state").unlink()
        printed = run_real_esrgan(real_esrgan, *run, file, "--auto_resume")
        assert "Resuming training from epoch: 0, iter: 2" in printed
        assert torch.load(folder / "net_g_latest.pth", weights_only=True)["params"]["fusion.norm.iterations"] == 4
    assert len(torch.load(folder.parent / "training_states/4.state", weights_only=True)["pools"]) == 1

    trained, calibrated = folder / "net_g_latest.pth", tmp_path / "calibrated.pth"
    assert cli.main(["calibrate", str(trained), "--data", str(tmp_path / "gt"), "-n", "3", "-o", str(calibrated)]) == 0
    for name, model_type, weights in (("stock", "RealESRNetModel", calibrated), ("own", "AetherRealModel", trained)):
        file = write(
            f"qat_{name}", model_type, **{
                "network_g:stage": "qat", "path:pretrain_network_g": str(weights), "path:param_key_g": "params",
            },
        )  # fmt: skip
        run_real_esrgan(real_esrgan, *run, file)
        network = load_network(Path(str(models).format(f"qat_{name}")) / "net_g_latest.pth")
        assert network.config.stage == "qat"
        network.convert_to_quantized()

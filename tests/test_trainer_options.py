"""Option files for traiNNer-redux and neosr as rendered: read as they are meant, the same training as BasicSR's.

With AETHERNET_TRAINNER_TREE every file also goes through that tree's own schema.
"""

import os
import re
import subprocess
import sys

import pytest
import torch
import yaml
from helpers.recipes import ROOT, file_text, numbers_that_are_texts, run_command

from aethernet import calibrate
from aethernet.data import photo
from aethernet.errors import OptionError
from aethernet.integrations import trainner
from aethernet.integrations.basicsr.preflight.schema import DEGRADATION
from aethernet.network.variants import variant_config
from aethernet.training.recipes import (
    KEPT_OF_OTHERS,
    OTF,
    OTHER_TRAINERS,
    SCALES,
    VARIANT_NAMES,
    all_files,
    file_name,
    options,
    render,
    write_all,
)
from aethernet.training.recipes.render import to_toml

FILES = [each for each in all_files() if each[2] in OTHER_TRAINERS]
TRAINNER = [each for each in FILES if each[2].startswith("trainner")]
NEOSR = [each for each in FILES if each[2].startswith("neosr")]
NETWORKS = {factory.__name__: factory for factory in trainner.NETWORKS}

every_file = pytest.mark.parametrize(("variant", "scale", "stage"), FILES)

every_neosr_file = pytest.mark.parametrize(("variant", "scale", "stage"), NEOSR)


def load(variant: str, scale: int, stage: str) -> dict:
    text = render(variant, scale, stage)
    if stage.startswith("trainner"):
        return yaml.safe_load(text)
    return pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML").loads(text)


def test_there_is_a_file_for_each():
    assert len(TRAINNER) == len(VARIANT_NAMES) * (3 * len(SCALES) + len(OTF) * 2)
    assert len(NEOSR) == 3 * len(VARIANT_NAMES)


@pytest.mark.parametrize(("variant", "scale", "stage"), [each for each in FILES if each[2] in KEPT_OF_OTHERS])
def test_the_files_of_the_checkout_are_the_recipes(variant, scale, stage):
    assert file_text(variant, scale, stage) == render(variant, scale, stage), "run `make options`"


@every_file
def test_a_file_names_itself_and_its_commands(variant, scale, stage):
    text, name = render(variant, scale, stage), file_name(variant, scale, stage)
    assert text.startswith(f"# {name}\n")
    assert f"python train.py -opt {name}\n" in text
    assert f"`aethernet options {variant} {scale} {stage}`" in text
    assert "$" not in text
    assert max(map(len, text.splitlines())) <= 120


@every_file
def test_numbers_are_numbers(variant, scale, stage):
    assert not numbers_that_are_texts(load(variant, scale, stage))


@every_file
def test_the_trainer_builds_the_network(variant, scale, stage):
    """As its model does: the arguments of network_g, and the scale of the file."""
    opt = load(variant, scale, stage)
    fields = dict(opt["network_g"])
    assert fields.pop("type") == f"aether_{variant}"
    assert "scale" not in fields, "one scale in the file is enough"
    config = variant_config(variant, **fields, scale=opt["scale"])
    assert config.scale == scale
    assert config.stage == ("qat" if stage.endswith("/qat") else "train")
    if variant == "tiny":
        network = NETWORKS[opt["network_g"]["type"]](**fields, scale=opt["scale"])
        if config.stage == "qat":
            calibrate(network, [torch.rand(1, 3, 8, 8)])
        assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8 * scale, 8 * scale)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("variant", VARIANT_NAMES)
@pytest.mark.parametrize(
    ("stage", "step"), [(stage, step) for stage, step in OTHER_TRAINERS.items() if stage.startswith("trainner")]
)
def test_trainner_trains_what_basicsr_trains(variant, scale, stage, step):
    if stage in OTF and scale == 3:
        pytest.skip("it cannot")
    opt, ours = load(variant, scale, stage), options(variant, scale, step)
    train, own_train = opt["train"], ours["train"]
    assert opt["network_g"] == {name: value for name, value in ours["network_g"].items() if name != "scale"}
    assert opt.get("network_d") == ours.get("network_d")
    assert opt["datasets"]["train"]["lq_size"] * scale == ours["datasets"]["train"]["gt_size"]
    assert opt["datasets"]["train"]["batch_size_per_gpu"] == ours["datasets"]["train"]["batch_size_per_gpu"]
    for name in ("total_iter", "warmup_iter", "ema_decay", "scheduler", "optim_d"):
        assert train.get(name) == own_train.get(name), name
    assert (train["grad_clip_max_norm"] if train["grad_clip"] else None) == own_train["grad_clip"]
    assert opt["use_amp"] == opt["amp_bf16"] == (own_train["amp"] == "bf16")
    assert train["optim_g"]["type"] == "AdamW"
    expected = own_train["optim_g"]
    assert train["optim_g"]["lr"] == expected["adamw_lr" if expected["type"] == "Muon" else "lr"]
    assert opt["val"]["metrics"] == ours["val"]["metrics"]
    losses = {loss["type"]: loss for loss in train["losses"]}
    own_types = {value["type"] for name, value in own_train.items() if name.endswith("_opt")}
    assert set(losses) == {kind.replace("AetherPerceptualLoss", "PerceptualLoss") for kind in own_types}
    if step == "gan":
        assert losses["PerceptualLoss"]["layer_weights"] == own_train["perceptual_opt"]["layer_weights"]
        assert losses["GANLoss"]["loss_weight"] == own_train["gan_opt"]["loss_weight"]


@every_neosr_file
def test_neosr_trains_what_basicsr_trains(variant, scale, stage):
    step = OTHER_TRAINERS[stage]
    opt, ours = load(variant, scale, stage), options(variant, scale, step)
    own_train = ours["train"]
    assert opt["network_g"] == {name: value for name, value in ours["network_g"].items() if name != "scale"}
    total = opt["train"]["scheduler"]["milestones"][0] if step == "gan" else opt["train"]["scheduler"]["T_max"]
    assert opt["logger"]["total_iter"] == total == own_train["total_iter"]
    assert opt["train"]["warmup_iter"] == own_train["warmup_iter"]
    assert opt["train"]["ema"] == own_train["ema_decay"]
    assert opt["train"]["grad_clip"] is (own_train["grad_clip"] == 1.0)
    assert opt["datasets"]["train"]["patch_size"] * scale == ours["datasets"]["train"]["gt_size"]
    assert opt["datasets"]["train"]["batch_size"] == ours["datasets"]["train"]["batch_size_per_gpu"]
    expected = own_train["optim_g"]
    assert opt["train"]["optim_g"]["lr"] == expected["adamw_lr" if expected["type"] == "Muon" else "lr"]
    losses = {name for name in opt["train"] if name.endswith("_opt")}
    assert losses == {name for name in own_train if name.endswith("_opt")}
    if step == "gan":
        assert opt["train"]["optim_d"]["lr"] == own_train["optim_d"]["lr"]
        assert opt["network_d"].items() - {("type", "unet")} == ours["network_d"].items() - {
            ("type", "UNetDiscriminatorSN")
        }
        assert opt["train"]["gan_opt"]["loss_weight"] == own_train["gan_opt"]["loss_weight"]
        # neosr divides the features by 10
        assert opt["train"]["perceptual_opt"]["loss_weight"] == 10 * own_train["perceptual_opt"]["perceptual_weight"]


@pytest.mark.parametrize(
    ("variant", "scale", "stage"), [each for each in FILES if each[2] in ("trainner/fidelity", "neosr")]
)
def test_later_stages_start_from_the_fidelity_network(variant, scale, stage):
    trainer = stage.partition("/")[0]
    weights = {"trainner": "net_g_ema_latest.safetensors", "neosr": "net_g_latest.pth"}[trainer]
    start = f"experiments/{load(variant, scale, stage)['name']}/models/{weights}"
    assert load(variant, scale, f"{trainer}/gan")["path"]["pretrain_network_g"] == start
    calibrated = load(variant, scale, f"{trainer}/qat")["path"]["pretrain_network_g"]
    text = render(variant, scale, f"{trainer}/qat")
    command = re.search(r"aethernet calibrate (\S+) \\\n#\s+--data \S+ -o (\S+)\n", text)
    assert command and command.groups() == (start, calibrated)


# Inputs degraded on the fly.


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("stage", OTF)
def test_trainner_degrades_as_basicsr_does(stage, scale):
    """Every number that both have; what stands for nothing in one has a switch in the other."""
    step = "real" if stage.endswith("fidelity") else "real_gan"
    opt, ours = load("small", scale, stage), options("small", scale, step)
    both = (opt.keys() & ours.keys()) & DEGRADATION
    assert {"resize_prob", "noise_range", "jpeg_range", "resize_range2", "gray_noise_prob2", "queue_size"} <= both
    assert all(opt[name] == ours[name] for name in both)
    assert (opt["blur_prob"], opt["blur_prob2"]) == (1, ours["second_blur_prob"])
    train, own_train = opt["datasets"]["train"], ours["datasets"]["train"]
    kernels = {name for name in own_train if "kernel" in name or "sinc" in name or name.startswith(("blur", "beta"))}
    assert len(kernels) == 15 and all(train[name] == own_train[name] for name in kernels)
    assert train["lq_size"] * scale == own_train["gt_size"]


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("stage", OTF)
def test_trainner_degrades_as_photographs_are(stage, scale):
    opt = yaml.safe_load(render("small", scale, stage, degradation="photo"))
    assert opt["blur_prob"] == opt["jpeg_prob"] == 0 and opt["noise_range"] == [0, 0]
    assert opt["resize_prob"] == [0, 0, 1], "no resize the first time"
    assert opt["noise_range2"] == [0, photo.NOISE] and opt["jpeg_range2"] == list(photo.QUALITY)
    assert (opt["blur_prob2"], opt["jpeg_prob2"]) == (photo.BLUR_SHARE, photo.QUALITY_SHARE)
    assert opt["datasets"]["train"]["blur_sigma2"] == [0.1, photo.BLUR * scale]
    # It resizes the second time, as it does only for a factor other than 1, to the very size of the input.
    side = opt["datasets"]["train"]["lq_size"] + 32 // scale
    assert opt["resize_prob2"] == [1, 0, 0] and int(side * opt["resize_range2"][1]) == side


def test_overrides_carry_along_what_follows_from_them():
    opt = yaml.safe_load(render("tiny", 2, "trainner/fidelity", total_iter=1000, lr=1e-3, grad_clip=None, amp="bf16"))
    assert opt["train"]["scheduler"]["periods"] == [1000]
    assert opt["train"]["optim_g"]["lr"] == 1e-3, "a given rate replaces that of Muon's AdamW part"
    assert opt["train"]["grad_clip"] is False
    assert opt["use_amp"] is opt["amp_bf16"] is True


@pytest.mark.parametrize(
    ("stage", "override", "message"),
    [
        ("trainner/fidelity", {"optimizer": "Muon"}, r"trainner/fidelity recipe has no field 'optimizer'"),
        ("trainner/otf_gan", {"scale": 3}, r"degrades 32 pixels more than a patch has, which 3 does not divide"),
        ("trainner/otf_gan", {"degradation": "mild"}, r"degradation must be one of full, photo, not 'mild'"),
        ("trainner/gan", {"degradation": "photo"}, r"a trainner/gan recipe has no field 'degradation'"),
        ("neosr/gan", {"perceptual": "vgg.pth"}, r"neosr takes VGG19 from torchvision's cache and no file"),
        ("neosr/qat", {"perceptual": False}, r"a neosr/qat recipe has no field 'perceptual'"),
        ("neosr", {"grad_clip": 0.5}, r"neosr recipe has no field 'grad_clip': known are batch, total_iter, lr"),
        (
            "trainner/test",
            {},
            r"stage 'trainner/test': use one of train, gan, qat, test, distill, real, real_gan, real_qat, trainner/fidelity",
        ),
    ],
)
def test_what_a_trainer_cannot_do_is_refused(stage, override, message):
    with pytest.raises(OptionError, match=message):
        render("tiny", **{"scale": 4, "stage": stage, **override})


@pytest.mark.parametrize("value", [True, False, 0, 1.0, 2e-3, 1.5e-4, 64])
def test_scalars_survive_toml(value):
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    loaded = tomllib.loads(f"key = {to_toml(value)}")["key"]
    assert loaded == value and type(loaded) is type(value)


@pytest.mark.parametrize(("stage", "suffix"), [("trainner/qat", "yml"), ("neosr", "toml")])
def test_command_writes_a_copy_that_names_itself(stage, suffix, tmp_path):
    path = tmp_path / f"mine.{suffix}"
    assert run_command("small", "2", stage, "-o", str(path)) == 0
    assert path.read_text() == render("small", 2, stage, path=path.as_posix())
    assert f"python train.py -opt {path.as_posix()}\n" in path.read_text()


@pytest.mark.skipif(
    not os.environ.get("AETHERNET_TRAINNER_TREE"), reason="AETHERNET_TRAINNER_TREE names no source tree"
)
def test_every_file_passes_the_schema_of_a_real_tree(tmp_path):
    tree = os.environ["AETHERNET_TRAINNER_TREE"]
    write_all(tmp_path / "options")
    files = [str(tmp_path / file_name(*each)) for each in TRAINNER]
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "archs")!r}, {tree!r}]
from aethernet.integrations.basicsr import compat
compat.apply()
from traiNNer.utils.options import yaml_load
for file in {files}:
    print(yaml_load(file)[0].name)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [load(*each)["name"] for each in TRAINNER]

"""Laws: options = recipes; every option file says what it means, and BasicSR reads it as it is meant."""

import inspect
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from helpers.recipes import ROOT, file_text, numbers_that_are_texts, run_command

from aethernet import AetherNet, calibrate, write_checkpoint
from aethernet.data import photo
from aethernet.errors import OptionError, OutputError, UsageError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.training import losses, perceptual
from aethernet.integrations.basicsr.training.optimizers import OPTIMIZERS
from aethernet.integrations.basicsr.training.options import DistillOptions
from aethernet.network.norms import DeploymentNorm
from aethernet.network.variants import VARIANTS, aether_small, variant_config
from aethernet.training.recipes import (
    KEPT_OF_OTHERS,
    REAL,
    RECIPES,
    SCALES,
    STAGES,
    STEPS,
    VARIANT_NAMES,
    all_files,
    file_name,
    options,
    render,
    write_all,
)
from aethernet.training.recipes.render import to_yaml

compat.apply()
pytest.importorskip("basicsr", reason="option files are for BasicSR")

from basicsr.archs import build_network  # noqa: E402
from basicsr.losses import build_loss  # noqa: E402
from basicsr.models import lr_scheduler  # noqa: E402
from basicsr.utils.options import ordered_yaml, parse_options  # noqa: E402
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY  # noqa: E402

import aether_arch  # noqa: E402, F401  (registers the networks)

losses.register()

FILES = [each for each in all_files() if each[2] in STAGES]
TRAINING = [each for each in FILES if each[2] != "test"]

every_file = pytest.mark.parametrize(("variant", "scale", "stage"), FILES)
every_training = pytest.mark.parametrize(("variant", "scale", "stage"), TRAINING)


def load(variant: str, scale: int, stage: str) -> dict:
    """The file in the checkout as BasicSR loads it."""
    return yaml.load(file_text(variant, scale, stage), Loader=ordered_yaml()[0])


# The files are the recipes.


@every_file
def test_file_equals_its_rendering(variant, scale, stage):
    assert file_text(variant, scale, stage) == render(variant, scale, stage), "run `make options`"


def test_no_file_is_missing_or_extra():
    """Most of those for other trainers are not kept: `make options` writes them beside the others."""
    present = {path.relative_to(ROOT).as_posix() for path in (ROOT / "options").rglob("*.*")}
    kept = {file_name(*each) for each in all_files() if each[2] in (*STAGES, *KEPT_OF_OTHERS)}
    elsewhere = {file_name(*each) for each in all_files()} - kept
    assert present - elsewhere == {"options/README.md", *kept}
    product = {(variant, scale, stage) for stage in STAGES for variant in VARIANT_NAMES for scale in SCALES}
    assert product - set(FILES) == {each for each in product if each[2] == "distill" and each[0] != "tiny"}


def test_recipes_cover_the_variants():
    assert set(VARIANT_NAMES) == set(VARIANTS)
    assert all(tuple(table) == VARIANT_NAMES for table in RECIPES.values())


def test_names_are_unique():
    names = [load(*each)["name"] for each in FILES]
    assert len(set(names)) == len(names)


@every_file
def test_header_names_its_file_and_runs_it(variant, scale, stage):
    text, name = file_text(variant, scale, stage), file_name(variant, scale, stage)
    header = text[: text.index("\nname: ")]
    assert all(line.startswith("#") for line in header.strip().splitlines())
    assert header.startswith(f"# {name}\n")
    assert f"aethernet {'test' if stage == 'test' else 'train'} -opt {name}\n" in header
    assert f"`aethernet options {variant} {scale} {stage}`" in header
    assert max(map(len, text.splitlines())) <= 120


# What BasicSR reads.


@every_file
def test_numbers_are_numbers(variant, scale, stage):
    assert not numbers_that_are_texts(load(variant, scale, stage))


@every_file
def test_network(variant, scale, stage):
    opt = load(variant, scale, stage)
    fields = dict(opt["network_g"])
    assert fields.pop("type") == f"aether_{variant}"
    config = variant_config(variant, **fields)
    assert config.scale == opt["scale"] == scale
    assert config.stage == ("qat" if STEPS.get(stage, stage) == "qat" else "train")
    assert set(fields) <= {"scale", "stage", "norm_freeze_iter", "drop_path", "quantization"}, (
        "sizes stand in variants.py"
    )


@pytest.mark.parametrize(("variant", "scale", "stage"), [each for each in FILES if each[0] == "tiny"])
def test_networks_build(variant, scale, stage):
    opt = load(variant, scale, stage)
    network = build_network(opt["network_g"])
    if STEPS.get(stage, stage) == "qat":
        calibrate(network, [torch.rand(1, 3, 8, 8)])
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8 * scale, 8 * scale)
    if "network_d" in opt:
        assert opt["datasets"]["train"]["gt_size"] % 8 == 0, "the U-Net halves three times and adds what it kept"
        assert build_network(opt["network_d"])(torch.rand(1, 3, 64, 64)).shape == (1, 1, 64, 64)


@every_file
def test_data_layout(variant, scale, stage):
    """The layout that `aethernet data prepare` writes."""
    for place, dataset in load(variant, scale, stage)["datasets"].items():
        cut = "_sub" if place == "train" else ""
        assert dataset["dataroot_gt"] == f"datasets/{dataset['name']}/HR{cut}"
        if place == "train" and stage in REAL:
            assert dataset["meta_info"] == f"datasets/{dataset['name']}/meta_info_HR_sub.txt"
            continue
        assert dataset["dataroot_lq"] == f"datasets/{dataset['name']}/LR_bicubic{cut}/X{scale}"
    assert {each["name"] for each in load(variant, scale, "test")["datasets"].values()} == {"Set5", "Set14"}


@every_file
def test_metrics(variant, scale, stage):
    for metric in load(variant, scale, stage)["val"]["metrics"].values():
        assert metric["type"] in METRIC_REGISTRY
        assert metric["crop_border"] == scale
        assert metric["test_y_channel"] is True


@every_training
def test_training_numbers(variant, scale, stage):
    opt, recipe = load(variant, scale, stage), RECIPES[STEPS.get(stage, stage)][variant]
    train, dataset = opt["train"], opt["datasets"]["train"]
    assert dataset["gt_size"] == recipe.gt_size(scale) and dataset["gt_size"] % scale == 0
    assert dataset["batch_size_per_gpu"] == recipe.batch
    assert train["total_iter"] == recipe.total_iter
    for optimizer in ("optim_g", "optim_d") if "network_d" in opt else ("optim_g",):
        assert isinstance(train[optimizer]["lr"], float) and train[optimizer]["lr"] == recipe.lr
        assert train[optimizer]["weight_decay"] == recipe.weight_decay
    assert train["ema_decay"] == recipe.ema_decay
    assert train["grad_clip"] == recipe.grad_clip
    assert train["amp"] == recipe.amp


@pytest.mark.parametrize("variant", VARIANT_NAMES)
def test_fidelity_schedule(variant):
    opt = load(variant, 4, "train")
    total = opt["train"]["total_iter"]
    assert sum(opt["train"]["scheduler"]["periods"]) == total
    has_norm = variant_config(variant).norm_type != "none"
    assert opt["network_g"].get("norm_freeze_iter") == (round(0.3 * total) if has_norm else None)
    assert 0 < opt["train"]["warmup_iter"] < 0.01 * total


@every_training
def test_optimizer_and_scheduler_take_their_arguments(variant, scale, stage):
    opt = load(variant, scale, stage)
    train = opt["train"]
    optimizers = [torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)]
    for name in ("optim_g", "optim_d") if "network_d" in opt else ("optim_g",):
        arguments = dict(train[name])
        optimizer = OPTIMIZERS[arguments.pop("type")]
        optimizers.append(optimizer([torch.nn.Parameter(torch.zeros(1))], **arguments))
    scheduler = dict(train["scheduler"])
    name = scheduler.pop("type").replace("MultiStepLR", "MultiStepRestartLR")  # as BasicSR's setup_schedulers does
    getattr(lr_scheduler, name)(optimizers[-1], **scheduler)


@every_training
def test_losses_take_their_arguments(variant, scale, stage):
    sections = {key: value for key, value in load(variant, scale, stage)["train"].items() if key.endswith("_opt")}
    beside = {"gan": {"perceptual_opt", "gan_opt"}, "distill": {"distill_opt"}}
    assert set(sections) == {"pixel_opt"} | beside.get(STEPS.get(stage, stage), set())
    if stage == "distill":
        sections["distill_opt"] = DistillOptions.read(sections["distill_opt"]).loss
    for loss in sections.values():
        arguments = {name: value for name, value in loss.items() if name != "type"}
        inspect.signature(LOSS_REGISTRY.get(loss["type"])).bind(**arguments)
        if loss["type"] != "AetherPerceptualLoss":  # it would load VGG19
            build_loss(loss)


def test_perceptual_layers_exist():
    from basicsr.archs.vgg_arch import NAMES

    loss = load("small", 4, "gan")["train"]["perceptual_opt"]
    assert set(loss["layer_weights"]) <= set(NAMES["vgg19"]) == set(perceptual.LAYERS)


# The stages hang together.


@pytest.mark.parametrize(("variant", "scale"), [(variant, scale) for variant in VARIANT_NAMES for scale in SCALES])
@pytest.mark.parametrize("stages", [("train", "qat"), ("real", "real_qat")], ids="-".join)
def test_qat_changes_what_it_must_and_nothing_else(variant, scale, stages):
    float_file, qat = (load(variant, scale, stage) for stage in stages)
    changed = {key for key in float_file if float_file[key] != qat[key]}
    assert changed == {"name", "network_g", "path", "train", "val", "logger"}
    train = {key for key in float_file["train"] if float_file["train"][key] != qat["train"][key]}
    assert train <= {"optim_g", "scheduler", "total_iter", "warmup_iter"}
    assert qat["train"]["grad_clip"] == 1.0 and qat["train"]["amp"] is None


@pytest.mark.parametrize(("variant", "scale"), [(variant, scale) for variant in VARIANT_NAMES for scale in SCALES])
@pytest.mark.parametrize(("first", "later"), [("train", ("gan", "qat", "test")), ("real", ("real_gan", "real_qat"))])
def test_later_stages_start_from_the_fidelity_network(variant, scale, first, later):
    name = load(variant, scale, first)["name"]
    for stage in later:
        path = load(variant, scale, stage)["path"]
        assert path["pretrain_network_g"] == f"experiments/{name}/models/net_g_latest.pth"
        assert path["param_key_g"] == "params_ema"
        assert path["strict_load_g"] is True


@pytest.mark.parametrize("counted", [149_994, 30_000])
def test_gan_training_never_moves_the_statistics(counted):
    """149 994 is what BasicSR's stock weight average makes of 150 000; 30 000 comes from a shorter training."""
    trained = aether_small(2)
    for norm in (module for module in trained.modules() if isinstance(module, DeploymentNorm)):
        torch.nn.init.constant_(norm.iterations, counted)
    network = build_network(load("small", 2, "gan")["network_g"])
    network.load_state_dict(trained.state_dict())
    network.train()(torch.rand(1, 3, 8, 8))
    after = network.state_dict()
    statistics = [name for name in after if name.endswith((".running_mean", ".running_var", ".iterations"))]
    assert statistics
    for name in statistics:
        assert torch.equal(after[name], trained.state_dict()[name]), name


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory) -> Path:
    """The folders that the option files name, with 64 pictures each, so that epochs end without a dropped batch."""
    root = tmp_path_factory.mktemp("data")
    for place, size in [("HR", 264), *((f"LR_bicubic/X{scale}", 264 // scale) for scale in SCALES)]:
        png = cv2.imencode(".png", np.zeros((size, size, 3), np.uint8))[1].tobytes()
        sub = place.replace("HR", "HR_sub").replace("LR_bicubic", "LR_bicubic_sub")
        (root / "datasets/DIV2K").mkdir(parents=True, exist_ok=True)
        (root / "datasets/DIV2K/meta_info_HR_sub.txt").write_text("".join(f"{index}.png\n" for index in range(64)))
        for folder, count in ((f"DIV2K/{sub}", 64), (f"Set5/{place}", 1), (f"Set14/{place}", 1)):
            directory = root / "datasets" / folder
            directory.mkdir(parents=True)
            for index in range(count):
                (directory / f"{index}.png").write_bytes(png)
    (root / "experiments/pretrained_models").mkdir(parents=True)
    (root / "experiments/pretrained_models/vgg19-dcbb9e9d.pth").touch()
    return root


@pytest.mark.parametrize(
    ("variant", "scale", "stage"),
    [
        pytest.param(*each, marks=pytest.mark.slow if each[::2] in (("large", "qat"), ("large", "real_qat")) else ())
        for each in FILES
    ],
)
def test_preflight_finds_no_problem(variant, scale, stage, data_folder, monkeypatch):
    from aethernet.integrations.basicsr import preflight
    from aethernet.integrations.basicsr.data import datasets
    from aethernet.integrations.basicsr.training import models

    models.register()
    datasets.register()
    monkeypatch.chdir(data_folder)
    monkeypatch.setattr(perceptual, "sha256", lambda path: perceptual.DIGEST)  # an empty file stands in its place
    monkeypatch.setattr(sys, "argv", ["train", "-opt", str(ROOT / file_name(variant, scale, stage))])
    opt, _ = parse_options(str(data_folder), is_train=stage != "test")
    if stage == "distill":  # a trained small is none either
        opt["train"]["distill_opt"]["teacher"] = f"aether_tiny_x{scale}"
    opt["path"]["pretrain_network_g"] = None  # weights are not part of this test, but quantisation wants them
    if STEPS.get(stage, stage) == "qat":
        opt["path"]["pretrain_network_g"] = str(data_folder / "weights.pth")
        write_checkpoint(data_folder / "weights.pth", AetherNet(variant_config(variant, scale)))
    preflight.check(opt, data_folder, is_train=stage != "test")


# Degraded inputs.


@pytest.mark.parametrize("stage", REAL)
@pytest.mark.parametrize("scale", SCALES)
def test_the_mild_degradation_is_that_of_photographs(stage, scale):
    """Nothing happens the first time, and the second time what `aethernet.data.photo` draws."""
    opt = options("small", scale, stage, degradation="photo")
    train = opt["datasets"]["train"]
    assert opt["resize_prob"] == opt["resize_prob2"] == [0, 0, 1] and opt["noise_range"] == [0, 0]
    assert (
        train["blur_sigma"] == [0.1, 0.11]
        and train["sinc_prob"] == train["sinc_prob2"] == train["final_sinc_prob"] == 0
    )
    assert opt["gaussian_noise_prob"] == opt["gaussian_noise_prob2"] == 1
    assert opt["jpeg_range"][0] >= 98 and opt["jpeg_range2"] == list(photo.QUALITY)
    assert opt["noise_range2"] == [0, photo.NOISE]
    assert train["blur_sigma2"][1] == photo.BLUR * scale and opt["second_blur_prob"] == photo.BLUR_SHARE
    assert opt["antialias"] is True
    assert not any(value for name, value in opt.items() if name.endswith("gt_usm"))


@pytest.mark.parametrize("batch", [1, 7, 64, 200])
def test_the_pool_holds_whole_batches(batch):
    queue = options("tiny", 4, "real", batch=batch)["queue_size"]
    assert queue % batch == 0 and 180 <= queue < 180 + batch + 180 % batch


# Rendering.


def test_overrides_carry_along_what_follows_from_them():
    opt = options("small", 2, "train", total_iter=1000, batch=4, lq_size=24, lr=2.5e-3, amp="bf16")
    assert opt["train"]["scheduler"]["periods"] == [1000] == [opt["train"]["total_iter"]]
    assert opt["network_g"]["norm_freeze_iter"] == 300
    assert opt["train"]["warmup_iter"] == 4
    assert opt["datasets"]["train"]["gt_size"] == 48
    assert opt["datasets"]["train"]["batch_size_per_gpu"] == 4
    assert opt["train"]["optim_g"]["lr"] == 2.5e-3
    assert opt["train"]["amp"] == "bf16"


def test_options_are_a_new_dictionary_each_time():
    options("tiny", 2, "train")["train"]["total_iter"] = 1
    assert options("tiny", 2, "train")["train"]["total_iter"] > 1


@pytest.mark.parametrize("value", [None, True, False, 0, 1.0, 0.999, 2e-3, 1.5e-4, 1e-7, 64, "bf16"])
def test_scalars_survive_yaml(value):
    loaded = yaml.load(f"key: {to_yaml(value)}", Loader=ordered_yaml()[0])["key"]
    assert loaded == value and type(loaded) is type(value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("huge", 4, "train"), r"variant 'huge': use one of tiny, small, medium, large"),
        (("small", 5, "train"), r"scale 5: use one of 2, 3, 4"),
        (
            ("small", 4, "finetune"),
            r"stage 'finetune': use one of train, gan, qat, test, distill, real, real_gan, real_qat",
        ),
    ],
)
def test_unknown_names_are_told_with_the_known_ones(arguments, message):
    with pytest.raises(OptionError, match=message):
        render(*arguments)


def test_write_all_writes_what_changed(tmp_path):
    assert len(write_all(tmp_path)) == len(all_files())
    changed = tmp_path / "gan" / "aether_tiny_x3.yml"
    changed.write_text("mine")
    assert write_all(tmp_path) == [changed]
    for each in all_files():
        assert (tmp_path.joinpath(*Path(file_name(*each)).parts[1:])).read_bytes() == render(*each).encode()


# The command line.


@pytest.mark.parametrize("extra", [(), ("-o", "-")])
def test_command_prints(extra, capsys):
    assert run_command("small", "4", "train", *extra) == 0
    assert capsys.readouterr().out == render("small", 4, "train")


def test_command_writes_and_does_not_overwrite(tmp_path, capsys):
    path = tmp_path / "my.yml"
    assert run_command("tiny", "x2", "gan", "-o", str(path)) == 0
    assert path.read_text() == render("tiny", 2, "gan", path=path.as_posix())
    assert f"aethernet train -opt {path.as_posix()}\n" in path.read_text()
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"my\.yml exists: .*--force"):
        run_command("tiny", "2", "gan", "-o", str(path))
    assert path.read_text() == "mine"
    assert run_command("tiny", "2", "gan", "-o", str(path), "--force") == 0
    assert path.read_text().startswith("# ")


def test_command_changes_numbers_of_the_recipe(tmp_path):
    path = tmp_path / "short.yml"
    assert run_command("tiny", "4", "train", "-o", str(path), "--set", "total_iter=1000", "lr=2e-3", "amp=bf16") == 0
    assert path.read_text() == render("tiny", 4, "train", path=path.as_posix(), total_iter=1000, lr=2e-3, amp="bf16")


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in REAL])
def test_command_makes_files_for_grey_networks(stage):
    """What differs from the file for RGB is the network's channels and the colour of every data set."""
    plain, grey = (options("tiny", 2, stage, **fields) for fields in ({}, {"in_channels": 1}))
    assert grey["network_g"].pop("in_channels") == 1
    assert all(section.pop("color") == "y" for section in grey["datasets"].values())
    if stage == "gan":
        assert grey["network_d"].pop("num_in_ch") == 1 and plain["network_d"].pop("num_in_ch") == 3
    assert grey == plain
    text = render("tiny", 2, stage, in_channels=1)
    assert text.count("color: y") == text.count("type: PairedImageDataset")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("weights", ["aether_tiny_x4", "my runs: #1/net_g.pth"])
def test_command_takes_weights_to_start_from(stage, weights):
    assert options("tiny", 4, stage, weights=weights)["path"]["pretrain_network_g"] == weights


def test_command_takes_a_name_and_a_folder_of_pictures():
    opt = options("tiny", 4, "train", name="mine", data="my: pictures")
    train, val = opt["datasets"]["train"], opt["datasets"]["val"]
    assert opt["name"] == "mine" and train["name"] == "my: pictures"
    assert train["dataroot_gt"] == "my: pictures/HR_sub" and train["dataroot_lq"] == "my: pictures/LR_bicubic_sub/X4"
    assert val == options("tiny", 4, "train")["datasets"]["val"]


def test_command_takes_whole_numbers_in_any_form_and_any_folder(capsys):
    assert run_command("tiny", "4", "train", "--set", "total_iter=1e4", "data=/") == 0
    opt = yaml.safe_load(capsys.readouterr().out)
    assert opt["train"]["total_iter"] == 10_000
    train = opt["datasets"]["train"]
    assert (train["name"], train["dataroot_gt"]) == ("train", "/HR_sub")


def test_short_trainings_have_lines_in_their_log():
    assert options("tiny", 4, "train", total_iter=50)["logger"]["print_freq"] == 10
    assert options("tiny", 4, "train", total_iter=1)["logger"]["print_freq"] == 1


@pytest.mark.parametrize(
    ("text", "value"), [("false", False), ("true", True), ("vgg.pth", "vgg.pth"), ("a: b", "a: b")]
)
def test_command_takes_switches_and_texts(text, value, capsys):
    assert run_command("tiny", "4", "gan", "--set", f"perceptual={text}") == 0
    assert capsys.readouterr().out == render("tiny", 4, "gan", perceptual=value)


@pytest.mark.parametrize("none", ["None", "none", "~"])
def test_command_takes_none(none, capsys):
    assert (
        run_command("tiny", "4", "train", "--set", f"grad_clip={none}", f"amp={none}", "optimizer=AdamW", "lr=2e-3")
        == 0
    )
    assert capsys.readouterr().out == render("tiny", 4, "train", grad_clip=None, optimizer="AdamW", lr=2e-3)


def test_command_renders_all(tmp_path, capsys):
    assert run_command("--all", str(tmp_path)) == 0
    assert "151 written" in capsys.readouterr().out
    assert run_command("--all", str(tmp_path)) == 0
    assert "0 written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), r"give VARIANT SCALE STAGE.*tiny, small, medium, large.*2, 3, 4.*train, gan, qat, test"),
        (("small", "4"), r"give VARIANT SCALE STAGE"),
        (("small", "four", "train"), r"scale 'four': use one of 2, 3, 4"),
        (("small", "4", "train", "--all", "x"), r"no VARIANT SCALE STAGE, no -o"),
        (("small", "4", "train", "--set", "batch"), r"--set batch: write FIELD=VALUE"),
        (
            ("small", "4", "train", "--set", "iterations=9"),
            r"no field 'iterations': known are name, data, weights, in_channels, batch, total_iter",
        ),
        (("small", "4", "train", "--set", "batch=many"), r"batch must be a whole number of at least 1, not 'many'"),
        (("small", "4", "train", "--set", "lr=0"), r"lr must be a positive number, not 0"),
        (("tiny", "4", "train", "--set", "adamw_lr=0"), r"adamw_lr must be a positive number, not 0"),
        (("small", "4", "train", "--set", "optimizer=Lion"), r"optimizer must be one of Muon, AdamW, not 'Lion'"),
        (
            ("small", "4", "train", "--set", "optimizer=Muon"),
            r"Muon needs its own lr beside it: 0\.001 is AdamW's rate",
        ),
        (
            ("small", "4", "test", "--set", "batch=10"),
            r"test recipe has no field 'batch': known are name, weights, in_channels",
        ),
        (
            ("tiny", "4", "gan", "--set", "optimizer=Muon"),
            r"gan recipe has no field 'optimizer': known are name, data, weights, in_channels, perceptual, batch",
        ),
        (("small", "4", "train", "--set", "ema_decay=1"), r"ema_decay must be in \[0, 1\), .* not 1"),
        (("small", "4", "train", "--set", "grad_clip=0"), r"grad_clip must be a positive norm .*or ~ for none, not 0"),
        (("small", "4", "train", "--set", "grad_clip=off"), r"grad_clip must be a positive norm .*, not False"),
        (("small", "4", "train", "--set", "weight_decay=-1"), r"weight_decay must be a number of at least 0, not -1"),
        (("small", "4", "train", "--set", "in_channels=2"), r"in_channels must be one of 1, 3, not 2"),
        (("small", "4", "real", "--set", "in_channels=1"), r"a real recipe has no field 'in_channels': known are name"),
        (("small", "4", "train", "--set", "degradation=photo"), r"a train recipe has no field 'degradation'"),
        (("small", "4", "real", "--set", "degradation=mild"), r"degradation must be one of full, photo, not 'mild'"),
        (("small", "4", "train", "--set", "data=None"), r"data must be a folder, not None"),
        (("small", "4", "test", "--set", "data=x"), r"test recipe has no field 'data': known are name, weights"),
        (("small", "4", "train", "--set", "weights=5"), r"weights must be a file or the name of packaged.*not 5"),
        (
            ("small", "4", "neosr", "--set", "in_channels=1"),
            r"a neosr recipe has no field 'in_channels': known are batch",
        ),
        (("small", "4", "train", "--set", "batch=8", "lq_size=32", "batch=16"), r"--set gives batch twice"),
        (("small", "4", "train", "--set", "lr=1e999"), r"lr must be a positive number, not inf"),
        (
            ("small", "4", "train", "--set", "weight_decay=.inf"),
            r"weight_decay must be a number of at least 0, not inf",
        ),
        (("small", "4", "train", "--set", "grad_clip=.inf"), r"grad_clip must be a positive norm .*, not inf"),
        (
            ("small", "4", "train", "--set", "memory_mb=abc"),
            r"memory_mb must be a whole number of at least 1, not 'abc'",
        ),
        (("small", "4", "train", "--set", "name=a/b"), r"name must be the name of a folder, without / .*not 'a/b'"),
        (("small", "4", "train", "--set", "name=.."), r"name must be the name of a folder"),
        (("small", "4", "train", "--set", "amp=fp16"), r"amp must be bf16, or ~ for float32, not 'fp16'"),
    ],
)
def test_command_says_what_it_needs(arguments, message):
    with pytest.raises((UsageError, OptionError), match=message):
        run_command(*arguments)


def test_networks_are_registered():
    assert all(f"aether_{variant}" in ARCH_REGISTRY for variant in VARIANT_NAMES)

"""Each trap of BasicSR is refused with the place in the option file, before anything is created; sound options pass."""

import copy
import importlib
import importlib.util
import logging
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.training import tiny_options, write_options, write_pairs
from PIL import Image

from aethernet.checkpoint.checkpoint import write_checkpoint
from aethernet.data.lmdb_folder import write_lmdb
from aethernet.errors import OptionError
from aethernet.integrations.basicsr import compat
from aethernet.network.variants import aether_custom

pytestmark = needs_basicsr

if importlib.util.find_spec("basicsr") is not None:
    compat.apply()
    from aethernet.integrations.basicsr import preflight
    from aethernet.integrations.basicsr.preflight import schedule
    from aethernet.integrations.basicsr.training import perceptual

REMOVED = object()
NETWORK = {"width": 8, "depths": [1, 1], "kernel_size": 5}
GAN = {
    "model_type": "AetherGANModel",
    "network_d": {"type": "UNetDiscriminatorSN", "num_in_ch": 3},
    "train:optim_d": {"type": "AdamW", "lr": 1e-4},
    "train:gan_opt": {"type": "GANLoss", "gan_type": "vanilla"},
}
L1 = {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"}
SYNTHETIC = {"type": "AetherSyntheticDataset", "name": "synthetic", "gt_size": 16, "batch_size_per_gpu": 2,
             "num_worker_per_gpu": 0, "num_images": 20, "seed": 1}  # fmt: skip
PERCEPTUAL = {"type": "PerceptualLoss", "layer_weights": {"conv5_4": 1}}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with training pairs, current, on a machine without a GPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    write_pairs(tmp_path)
    write_pairs(tmp_path / "validation", count=2)
    return tmp_path


def change(opt: dict, changes: dict) -> dict:
    """Sets or removes entries, which are named by their path: `train:total_iter`."""
    opt = copy.deepcopy(opt)
    for entry, value in changes.items():
        *sections, key = entry.split(":")
        section = opt
        for name in sections:
            section = section[name]
        if value is REMOVED:
            section.pop(key, None)
        else:
            section[key] = copy.deepcopy(value)  # a later entry may change what stands in it
    return opt


def train_options(place: Path, changes: dict | None = None) -> dict:
    validation = place / "validation"
    opt = tiny_options(place)
    opt["datasets"]["val"] = {
        **opt["datasets"]["val"],
        "dataroot_gt": str(validation / "gt"),
        "dataroot_lq": str(validation / "lq"),
        "io_backend": {"type": "disk"},
    }
    return change(opt, changes or {})


def test_options(place: Path, changes: dict | None = None) -> dict:
    opt = train_options(place)
    opt = {key: opt[key] for key in opt if key not in ("train", "logger")}
    opt["datasets"] = {"test_1": opt["datasets"]["val"]}
    opt["val"] = {"save_img": True, "suffix": None, "metrics": opt["val"]["metrics"]}
    return change(opt, changes or {})


test_options.__test__ = False


def parse(place: Path, opt: dict, *flags: str, is_train: bool = True) -> dict:
    """The options as BasicSR hands them to the check."""
    from basicsr.utils.options import parse_options

    file = write_options(opt, place / "options.yml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", "-opt", str(file), *flags])
        return parse_options(str(place), is_train=is_train)[0]


def problems(place: Path, opt: dict, *, is_train: bool = True, resuming: bool = False) -> str:
    """The text of the error, after which nothing may have been created or changed."""
    before, given = listing(place), copy.deepcopy(opt)
    with pytest.raises(OptionError) as caught:
        preflight.check(opt, place, is_train, resuming)
    assert listing(place) == before
    assert opt == given
    return str(caught.value)


def told(place: Path, changes: dict | None = None, *flags: str, resuming: bool = False) -> str:
    """What is told of a training whose options are changed so."""
    return problems(place, parse(place, train_options(place, changes), *flags), resuming=resuming)


def passes(place: Path, changes: dict | None = None, *flags: str, resuming: bool = False) -> None:
    """Fails the test if anything is told of it."""
    preflight.check(parse(place, train_options(place, changes), *flags), place, is_train=True, resuming=resuming)


def listing(place: Path) -> list[tuple[str, float]]:
    return sorted((str(path), path.stat().st_mtime) for path in place.rglob("*"))


def test_sound_options_pass(place):
    passes(place)
    preflight.check(parse(place, test_options(place), is_train=False), place, is_train=False)


SOUND = {
    "AetherModel": {"model_type": "AetherModel", "train:grad_clip": 1.0, "train:optim_g:type": "AdamW"},
    "text that our models read": {
        "model_type": "AetherModel",
        "train:grad_clip": "1e0",
        "train:optim_g": {"type": "Muon", "lr": "2e-2", "adamw_lr": "2e-3", "eps": "1e-8"},
    },
    "GAN": GAN,
    "float frequency": {"val:val_freq": 5e3},
    "periods to the last step": {
        "train:scheduler": {"type": "CosineAnnealingRestartLR", "periods": [2, 4], "restart_weights": [1, 1]}
    },
    "synthetic pictures": {"datasets:train": SYNTHETIC},
    "grey": {"network_g:in_channels": 1, "datasets:train:color": "y", "datasets:val:color": "y"},
    "grey synthetic pictures": {
        "network_g:in_channels": 1,
        "datasets:train": {**SYNTHETIC, "color": "y"},
        "datasets:val:color": "y",
    },
    "packaged weights": {
        "model_type": "AetherModel",
        "network_g": {"type": "aether_tiny", "scale": 2},
        "path:pretrain_network_g": "aether_tiny_x2",
    },
    "name with BasicSR's suffix": {
        "network_g": {"type": "SRVGGNetCompact", "num_feat": 8, "num_conv": 1, "upscale": 2},
    },
    "style of the stock files": {"datasets:train:use_shuffle": True, "dist_params": {"backend": "nccl", "port": 1}},
}


@pytest.mark.parametrize("changes", SOUND.values(), ids=SOUND.keys())
def test_other_sound_options_pass(place, changes):
    passes(place, changes)


TRAPS = {
    # files and folders
    "no HR folder": ({"datasets:train:dataroot_gt": "absent"}, r"train: dataroot_gt: absent is not a folder .*below"),
    "how to get data": ({"datasets:val:dataroot_lq": "absent"}, r"val: dataroot_lq: .*aethernet data prepare HR_DIR"),
    "blank folder": ({"datasets:train:dataroot_gt": None}, r"datasets: train: dataroot_gt: is missing"),
    "no list": ({"datasets:train:meta_info_file": "absent.txt"}, r"train: meta_info_file: absent.txt is not a file"),
    "folder for lmdb": ({"datasets:train:io_backend:type": "lmdb"}, r"train: dataroot_gt: .* lacks data.mdb and meta"),
    "no pretrained file": ({"path:pretrain_network_g": "a.pth"}, r"path: pretrain_network_g: a.pth is not a file"),
    "unknown weights": (
        {"path:pretrain_network_g": "aether_tinny_x4"},
        r"path: pretrain_network_g: there are no packaged weights 'aether_tinny_x4'; did you mean aether_tiny_x4",
    ),
    "packaged weights of another network": (
        {"path:pretrain_network_g": "aether_tiny_x4", "model_type": "AetherModel"},
        r"path: pretrain_network_g: aether_tiny_x4 holds aether_tiny x4 .* and network_g is aether_custom x2",
    ),
    "packaged weights for a stock model": (
        {"path:pretrain_network_g": "aether_tiny_x2"},
        r"aether_tiny_x2: SRModel reads .pth only; set model_type: AetherModel",
    ),
    "no state": ({"path:resume_state": "9.state"}, r"path: resume_state: 9.state .*name a .state of this"),
    "template": ({"datasets:train:filename_tmpl": "x4"}, r"train: filename_tmpl: must hold one \{\} .*not 'x4'"),
    # how long training takes
    "batch above the set": (
        {"datasets:train:batch_size_per_gpu": 8},
        r"train: batch_size_per_gpu: 8 is more than the 6 pictures .*save an untrained.*dataset_enlarge_ratio: 3,",
    ),
    "batch above synthetic set": (
        {"datasets:train:type": "AetherSyntheticDataset", "datasets:train:num_images": 1},
        r"batch_size_per_gpu: 2 is more than the 1 picture of",
    ),
    "early end": (
        {"datasets:train:batch_size_per_gpu": 4, "train:total_iter": 40},
        r"train: total_iter: training would end after 21 of 40 .*counts 2 .* gives 1\. Set .*enlarge_ratio: 2 \(now 1",
    ),
    "no length": ({"train:total_iter": REMOVED}, r"train: total_iter: is missing"),
    "length in words": ({"train:total_iter": "many"}, r"train: total_iter: must be a whole number .*not 'many'$"),
    "frequency of zero": ({"val:val_freq": 0}, r"val: val_freq: must be a whole number of at least 1, not 0"),
    "frequency as text": (
        {"logger:print_freq": "5e3"},
        r"logger: print_freq: '5e3' is text for YAML; write 5000, without",
    ),
    "broken frequency": ({"logger:save_checkpoint_freq": 0.5}, r"logger: save_checkpoint_freq: must be a whole"),
    "rate as text": ({"train:optim_g:lr": "1e-3"}, r"train: optim_g: lr: '1e-3' is text for YAML; write !!float 1e-3"),
    "loss's number as text": (
        {"model_type": "AetherModel", "train:pixel_opt": {"type": "CharbonnierLoss", "eps": "1e-6"}},
        r"train: pixel_opt: eps: '1e-6' is text for YAML; write !!float 1e-6",
    ),
    "warm-up": ({"train:warmup_iter": "abc"}, r"train: warmup_iter: must be a number, not 'abc'"),
    "gamma": (
        {"train:scheduler": {"type": "MultiStepLR", "milestones": [1], "gamma": "abc"}},
        r"train: scheduler: gamma: must be a number of at least 0, not 'abc'",
    ),
    "weight of a loss": (
        {"train:pixel_opt": {"type": "L1Loss", "loss_weight": [1]}},
        r"train: pixel_opt: loss_weight: must be a number of at least 0, not \[1\]",
    ),
    "border": (
        {"val:metrics": {"psnr": {"type": "calculate_psnr", "crop_border": "abc"}}},
        r"val: metrics: psnr: crop_border: must be a whole number of at least 0, not 'abc'",
    ),
    "decay": ({"train:ema_decay": 1}, r"train: ema_decay: must be in \[0, 1\)"),
    "weights of periods": (
        {"train:scheduler": {"type": "CosineAnnealingRestartLR", "periods": [3, 3]}},
        r"restart_weights: has 1 entry and periods has 2; .*\[1, 1\]",
    ),
    "weights of restarts": (
        {"train:scheduler": {"type": "MultiStepRestartLR", "milestones": [3], "restarts": [0, 4]}},
        r"restart_weights: has 1 entry and restarts has 2",
    ),
    "short periods": (
        {"train:scheduler": {"type": "CosineAnnealingRestartLR", "periods": [4], "restart_weights": [1]}},
        r"train: scheduler: periods: sum up to 4, and total_iter is 6",
    ),
    "period without list": ({"train:scheduler:milestones": 5}, r"scheduler: milestones: must be a list .*not 5"),
    # scale and sizes
    "no scale": ({"scale": REMOVED}, r"^scale: must be a whole number such as 4"),
    "other scale": ({"network_g:scale": 4}, r"network_g: scale: 4 does not agree with the top-level scale: 2"),
    "default scale": ({"network_g:scale": REMOVED}, r"network_g leaves its scale at the default 4"),
    "upscale": (
        {"network_g": {"type": "SRVGGNetCompact", "upscale": 3}},
        r"network_g: upscale: 3 does not agree with the top-level scale: 2",
    ),
    "patch and scale": ({"datasets:train:gt_size": 15}, r"train: gt_size: 15 is not a multiple .*use 14 or 16"),
    "patch above picture": ({"datasets:train:gt_size": 64}, r"gt_size: 64 is more than 00.png has, which is 32x32"),
    "batch of a half": ({"datasets:train:batch_size_per_gpu": 1.5}, r"batch_size_per_gpu: must be a whole number"),
    "ratio of zero": ({"datasets:train:dataset_enlarge_ratio": 0}, r"dataset_enlarge_ratio: must be a positive number"),
    # colours
    "grey network": (
        {"network_g:in_channels": 1},
        r"train: gives RGB, and network_g takes 1 channel; add color: y to datasets: train, or set .*in_channels: 3$",
    ),
    "grey pictures": (
        {"datasets:val:color": "y"},
        r"val: gives the Y channel alone, and network_g takes 3 channels; set network_g: in_channels: 1 .*remove color",
    ),
    "grey discriminator": (
        {**GAN, "network_g:in_channels": 1, "datasets:train:color": "y", "datasets:val:color": "y"},
        r"train: gives the Y channel alone, and network_d takes 3 channels; set network_d: num_in_ch: 1",
    ),
    "grey Swin": (
        {"network_g": {"type": "SwinIR", "upscale": 2, "in_chans": 1}},
        r"train: gives RGB, and network_g takes 1 channel; add color: y to datasets: train, or set network_g: in_chans: 3",
    ),
    "channels that no picture has": (
        {**GAN, "network_d:num_in_ch": 6},
        r"train: gives RGB, and network_d takes 6 channels; set network_d: num_in_ch: 3$",
    ),
    "colours of the result": (
        {"network_g": {"type": "SRVGGNetCompact", "num_out_ch": 1, "upscale": 2}},
        r"network_g: num_out_ch: 1 is not num_in_ch: 3: the data sets have the same colours in both pictures",
    ),
    "mean of RGB": (
        {"network_g": {"type": "EDSR", "num_in_ch": 1, "num_out_ch": 1, "upscale": 2}},
        r"network_g: EDSR subtracts the mean of RGB pictures, so that num_in_ch must be 3",
    ),
    "means of grey pictures": (
        {
            "network_g:in_channels": 1,
            "datasets:train:color": "y",
            "datasets:val:color": "y",
            "datasets:train:mean": [0.5, 0.5, 0.5],
        },
        r"train: mean: has 3 numbers, and the set gives the Y channel alone: give one number",
    ),
    "color": ({"datasets:val:color": "Y"}, r"val: color: must be y .*not 'Y'"),
    # names
    "architecture": ({"network_g:type": "aether_smal"}, r"network_g: type: no network .*did you mean 'aether_small'"),
    "model": ({"model_type": "AetherModle"}, r"model_type: no model .*did you mean 'AetherModel'"),
    "data set": ({"datasets:val:type": "PairedImagesDataset"}, r"val: type: no data set .*'PairedImageDataset'\?"),
    "loss": ({"train:pixel_opt:type": "l1loss"}, r"train: pixel_opt: type: no loss .*did you mean 'L1Loss'"),
    "metric": ({"val:metrics:psnr:type": "psnr"}, r"val: metrics: psnr: type: no metric .*'calculate_psnr'"),
    "optimiser": ({"train:optim_g:type": "adam"}, r"optim_g: type: SRModel does not build 'adam'; .*mean 'Adam'"),
    "scheduler": ({"train:scheduler:type": "MultiStep"}, r"scheduler: type: BasicSR does not build .*'MultiStepLR'"),
    "backend": ({"datasets:train:io_backend:type": "zip"}, r"train: io_backend: type: zip is unknown; .*disk, lmdb"),
    "better": ({"val:metrics:psnr:better": "more"}, r"metrics: psnr: better: must be higher or lower, not 'more'"),
    # arguments
    "our argument": ({"network_g:depth": [1]}, r"network_g: AetherNet has no argument 'depth'; did you mean 'depths'"),
    "our value": ({"network_g:kernel_size": 4}, r"network_g: kernel_size must be odd"),
    "our sizes": ({"network_g:width": REMOVED}, r"network_g: AetherNet needs width"),
    "our variant": ({"network_g": {"type": "aether_tiny", "variant": "small"}}, r"network_g: variant cannot be set"),
    "their argument": (
        {"network_g": {"type": "SRVGGNetCompact", "num_feats": 8, "upscale": 2}},
        r"network_g: num_feats: SRVGGNetCompact has no such argument; did you mean 'num_feat'",
    ),
    "loss argument": ({"train:pixel_opt:weight": 1}, r"train: pixel_opt: weight: L1Loss has no .*'loss_weight'"),
    "rate missing": ({"train:optim_g:lr": REMOVED}, r"train: optim_g: lr: is missing"),
    "optimiser argument": ({"train:optim_g:beta": [0.9, 0.99]}, r"optim_g: beta: Adam has no .*did you mean 'betas'"),
    "scheduler argument": ({"train:scheduler:gama": 0.5}, r"train: scheduler: gama: .*did you mean 'gamma'"),
    "scheduler needs": ({"train:scheduler:milestones": REMOVED}, r"train: scheduler: milestones: is missing"),
    "metric argument": ({"val:metrics:psnr:test_y": True}, r"metrics: psnr: test_y: calculate_psnr has no .*test_y_ch"),
    "metric needs": ({"val:metrics:psnr:crop_border": REMOVED}, r"metrics: psnr: crop_border: is missing"),
    # keys
    "top level": ({"manual_sed": 1}, r"^manual_sed: nobody reads this key .*did you mean 'manual_seed'"),
    "data set key": ({"datasets:train:gt_sizes": 1}, r"train: gt_sizes: nobody reads .*did you mean 'gt_size'"),
    "path key": ({"path:pretrain_networkg": "x"}, r"path: pretrain_networkg: .* so it would do nothing; .*network_g'"),
    "path folder": ({"path:root": "x"}, r"path: root: BasicSR does not read this key, and makes a folder"),
    "train key": ({"train:ema_deacy": 0.9}, r"train: ema_deacy: nobody reads .*did you mean 'ema_decay'"),
    "val key": ({"val:val_frequency": 9}, r"val: val_frequency: nobody reads this key"),
    "logger key": ({"logger:print_frequency": 9}, r"logger: print_frequency: nobody .*did you mean 'print_freq'"),
    "wandb key": ({"logger:wandb": {"projekt": "x"}}, r"logger: wandb: projekt: .*did you mean 'project'"),
    "dist key": ({"dist_params": {"prot": 1}}, r"dist_params: prot: .*did you mean 'port'"),
    "backend key": ({"datasets:train:io_backend:path": 1}, r"train: io_backend: path: nobody reads this key for type"),
    "our key": ({"train:grad_clip": 1.0}, r"train: grad_clip: .*model_type: AetherModel"),
    "our optimiser": (
        {"train:optim_g:type": "AdamW"},
        r"optim_g: type: SRModel does not build.*model_type: AetherModel",
    ),
    "key for GANs": ({"train:gan_opt": GAN["train:gan_opt"]}, r"train: gan_opt: .*model_type: .*SRGANModel"),
    "loss on artefacts": (
        {**GAN, "train:ldl_opt": L1, "train:ema_decay": 0},
        r"train: ldl_opt: compares with .*ema_decay",
    ),
    "loss that is built and not used": (
        {**GAN, "model_type": "SRGANModel", "train:optim_d:type": "Adam", "train:ldl_opt": L1},
        r"train: ldl_opt: nobody reads .*model_type: AetherGANModel",
    ),
    "network for GANs": ({"network_d": GAN["network_d"]}, r"^network_d: nobody reads this key .*AetherGANModel"),
    "our wrong value": ({"model_type": "AetherModel", "train:amp": "fp16"}, r"train: amp: fp16 is not offered"),
    "needed flip": ({"datasets:train:use_hflip": REMOVED}, r"datasets: train: use_hflip: is missing"),
    "needed switch": ({"logger:use_tb_logger": REMOVED}, r"logger: use_tb_logger: is missing"),
    "needed pictures switch": ({"val:save_img": REMOVED}, r"val: save_img: is missing"),
    "no loss": ({"train:pixel_opt": None}, r"train: pixel_opt: is missing, and so is every other loss"),
    "no discriminator": ({**GAN, "network_d": REMOVED}, r"network_d: is missing; AetherGANModel trains with"),
    # surroundings
    "GPU": ({"num_gpu": 1}, r"num_gpu: 1 is more than .*no CUDA device here; set num_gpu: 0"),
    "VGG": ({"train:perceptual_opt": PERCEPTUAL}, r"(?s)perceptual_opt: .*vgg19-dcbb9e9d.pth.*IMAGENET1K.*opt: ~"),
    "wandb alone": ({"logger:wandb": {"project": "x"}}, r"logger: wandb: works by way of tensorboard only"),
    "validation unused": ({"val": REMOVED}, r"val: is missing, so datasets: val would never be used"),
    "nothing to validate": ({"datasets:val": REMOVED}, r"val: there is nothing to validate on"),
    "prefetching": ({"datasets:train:prefetch_mode": "gpu"}, r"train: prefetch_mode: must be ~, cpu or cuda"),
    "prefetching on a CPU": ({"datasets:train:prefetch_mode": "cuda"}, r"prefetch_mode: cuda needs a CUDA device"),
    "workers": ({"datasets:val:persistent_workers": True}, r"datasets: val: persistent_workers: needs workers"),
    # shape
    "no section": ({"datasets:train:io_backend": "disk"}, r"train: io_backend: must be a section .*not 'disk'"),
    "no type": ({"network_g:type": REMOVED}, r"network_g: type: is missing"),
    "no name of a metric": ({"val:metrics:psnr": 1}, r"val: metrics: psnr: must be a section"),
    "phase": ({"datasets:valid": {"type": "x"}}, r"datasets: valid: is no name that BasicSR knows; .*val_2"),
}


@pytest.mark.parametrize(("changes", "message"), TRAPS.values(), ids=TRAPS.keys())
def test_trap_is_told(place, changes, message):
    if isinstance(changes.get("network_g"), dict) and "upscale" not in changes["network_g"]:
        changes = {**changes, "network_g": {"scale": 2, **changes["network_g"]}}
    assert re.search(message, told(place, changes), re.MULTILINE)


SHAPES = {
    "no mapping": ([], r"the options are a list"),
    "nothing": ({}, r"(?s)name: is missing at the top level.*datasets: is missing.*logger: is missing"),
    "text for a section": (
        {"datasets": "x", "train": [], "path": 3},
        r"(?s)datasets: must be a section.*path: must be",
    ),
    "key of another kind": ({"datasets": {"train": {1: 2}}}, r"datasets: train: 1: YAML reads this key as no text"),
}


@pytest.mark.parametrize(("changes", "message"), SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("is_train", [True, False])
def test_malformed_options_are_told_and_nothing_else(place, changes, message, is_train):
    message = message if is_train else message.replace(".*logger: is missing", "")
    opt = {**train_options(place), **changes} if changes else changes
    assert re.search(message, problems(place, opt, is_train=is_train))


def entries(section: dict, path: str = "") -> list[str]:
    found = []
    for key, value in section.items():
        found.append(f"{path}{key}")
        if isinstance(value, dict):
            found += entries(value, f"{path}{key}:")
    return found


@pytest.mark.parametrize("is_train", [pytest.param(True, marks=pytest.mark.slow), False])
def test_no_value_at_any_entry_breaks_the_check(place, is_train):
    """A wrong kind of value is told or passes; any other error fails this test."""
    changes = {**GAN, "train:perceptual_opt": PERCEPTUAL, "path:strict_load_g": True, "scale": 2, "dist_params": {}}
    changes["train:distill_opt"] = {"teacher": "aether_tiny_x2", "weight": 1.0, "loss": {"type": "L1Loss"}}
    opt = train_options(place, changes) if is_train else test_options(place, {"path:pretrain_network_g": "x"})
    opt = parse(place, opt, is_train=is_train)
    for entry in entries(opt):
        for value in (REMOVED, None, "", "text", 0, -1, 2.5, True, [], [1, "x"], {}, {"type": "x"}, math.nan, math.inf):
            try:
                preflight.check(change(opt, {entry: value}), place, is_train)
            except OptionError as error:
                assert str(error), (entry, value)


def test_several_problems_are_numbered(place):
    changes = {"train:ema_deacy": 1, "datasets:train:dataroot_gt": "absent", "network_g:scale": 4, "num_gpu": 1}
    text = told(place, changes)
    assert text.startswith("4 problems in the options:\n 1. ")
    assert len(text.splitlines()) == 5
    for part in ("ema_deacy", "dataroot_gt", "network_g: scale", "num_gpu"):
        assert part in text


TEST_TRAPS = {
    "no pictures": (
        {"datasets:test_1:dataroot_lq": "absent"},
        r"datasets: test_1: dataroot_lq: absent is not a folder",
    ),
    "no suffix": ({"val:suffix": REMOVED}, r"val: suffix: is missing and save_img is true; add `suffix: ~`"),
    "no val": ({"val": REMOVED}, r"val: is missing at the top level"),
    "phase": ({"datasets:train": {"type": "x"}}, r"datasets: train: is no name that BasicSR knows"),
    "no set": ({"datasets": {}}, r"datasets: has no set to test on"),
    "scale": ({"network_g:scale": 4}, r"network_g: scale: 4 does not agree"),
}


@pytest.mark.parametrize(("changes", "message"), TEST_TRAPS.values(), ids=TEST_TRAPS.keys())
def test_trap_of_testing_is_told(place, changes, message):
    opt = parse(place, test_options(place, changes), is_train=False)
    assert re.search(message, problems(place, opt, is_train=False))


def single(place: Path) -> dict:
    return {"type": "SingleImageDataset", "name": "photos", "dataroot_lq": str(place / "validation/lq"),
            "io_backend": {"type": "disk"}}  # fmt: skip


def test_metrics_without_ground_truth_are_told(place):
    message = r"type: SingleImageDataset has no ground truth, which val: metrics: psnr: compares with"
    assert re.search(message, told(place, {"datasets:val": single(place)}))
    opt = test_options(place, {"datasets:test_1": single(place)})
    assert re.search(message, problems(place, parse(place, opt, is_train=False), is_train=False))
    opt = test_options(place, {"datasets:test_1": single(place), "val:metrics": None})
    preflight.check(parse(place, opt, is_train=False), place, is_train=False)


def test_a_metric_of_one_picture_needs_no_ground_truth(place):
    niqe = {"niqe": {"type": "calculate_niqe", "crop_border": 2, "better": "lower"}}
    passes(place, {"datasets:val": single(place), "val:metrics": niqe})
    opt = test_options(place, {"datasets:test_1": single(place), "val:metrics": niqe})
    preflight.check(parse(place, opt, is_train=False), place, is_train=False)
    message = r"val: metrics: niqe: better: is missing: the lower the better holds of calculate_niqe; add better: lower"
    assert re.search(message, told(place, {"val:metrics": {"niqe": {"type": "calculate_niqe", "crop_border": 2}}}))


@pytest.mark.parametrize(
    ("kind", "section", "message"),
    [
        ("SingleImageDataset", "train", r"gives no pictures to compare with, without which nothing is trained"),
        ("FFHQDataset", "train", r"gives no low-resolution pictures: take a PairedImageDataset"),
        ("RealESRGANDataset", "val", r"gives no low-resolution pictures: take a PairedImageDataset"),
        ("REDSDataset", "train", r"gives frames of films, and SRModel takes pictures"),
        ("VideoTestDataset", "val", r"gives frames of films, and SRModel takes pictures"),
    ],
)
def test_data_sets_that_give_something_else_are_told(place, kind, section, message):
    assert re.search(rf"datasets: {section}: type: {kind} {message}", told(place, {f"datasets:{section}:type": kind}))


def test_sets_of_one_name_are_told(place):
    other = train_options(place)["datasets"]["val"]
    assert re.search(
        r"datasets: val_2: name: '\w+' is that of datasets: val as well", told(place, {"datasets:val_2": other})
    )


@pytest.mark.parametrize("kind", ["PairedImageDataset", "AetherMemoryDataset"])
def test_pictures_in_folders_below_a_set_are_told(place, kind, caplog):
    """`DF2K/{own.png, DIV2K -> ...}`: BasicSR reads what lies right inside."""
    passes(place)
    assert "folders below" not in caplog.text
    (place / "elsewhere").mkdir()
    save(place / "elsewhere" / "more.png", 32, 32)
    (place / "gt" / "DIV2K").symlink_to(place / "elsewhere")
    (place / "gt" / "empty").mkdir()
    section = train_options(place)["datasets"]["train"]
    if kind == "AetherMemoryDataset":
        section = {key: value for key, value in section.items() if key not in ("dataroot_lq", "io_backend")} | {
            "type": kind
        }
    passes(place, {"datasets:train": section})
    assert "datasets: train: pictures in folders below (" in caplog.text and "gt/DIV2K) are no part" in caplog.text


def test_names_that_lead_to_one_folder_or_out_of_the_results_are_told(place):
    other = {**train_options(place)["datasets"]["val"], "name": "./val"}
    assert re.search(r"name: './val' is that of datasets: val as well", told(place, {"datasets:val_2": other}))
    for name in ("../../elsewhere", "/tmp/elsewhere"):
        changes = {"datasets:val:name": name, "val:save_img": True}
        assert f"val: name: {name!r} would put the results outside of the run's folder" in told(place, changes)
        passes(place, changes | {"val:save_img": False})


def test_results_of_one_name_are_told(place):
    other = {**train_options(place)["datasets"]["val"], "name": "other"}
    changes = {"datasets:val_2": other, "val:save_img": True}
    assert re.search(
        r"val_2: a picture called 00 is there also in datasets: val \(2 such names\)", told(place, changes)
    )
    passes(place, changes | {"val:save_img": False})
    opt = parse(place, test_options(place, {"datasets:test_2": other}), is_train=False)
    preflight.check(opt, place, is_train=False)  # which has a folder for each set
    for name in ("gt", "lq"):
        Image.open(place / "validation" / name / "00.png").save(place / "validation" / name / "00.bmp")
    opt = parse(place, test_options(place), is_train=False)
    assert re.search(r"test_1: a picture called 00 is there twice, and one", problems(place, opt, is_train=False))


# Pictures


def save(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


PICTURES = {
    "no partner": (
        lambda place: (place / "lq/03.png").unlink(),
        r"dataroot_lq: 6 HR and 5 LR pictures do not pair: no LR picture for 03.png",
    ),
    "partner of another name": (
        lambda place: (place / "lq/03.png").rename(place / "lq/03x2.png"),
        r"no LR picture for 03.png, no HR picture for 03x2.png.*filename_tmpl: '\{\}'",
    ),
    "empty": (lambda place: empty(place / "gt"), r"datasets: train: dataroot_gt: .* is empty; make pairs"),
    "folders only": (
        lambda place: (empty(place / "gt"), (place / "gt/inner").mkdir()),
        r"dataroot_gt: .* holds folders only",
    ),
    "a text": (
        lambda place: [(place / name / "readme.txt").write_text("x") for name in ("gt", "lq")],
        r"dataroot_gt: .* holds readme.txt, which BasicSR would open as a picture",
    ),
    "all damaged": (
        lambda place: [path.write_bytes(b"<html>") for path in (place / "lq").iterdir()],
        r"datasets: train: every picture is damaged: .*lq/00.png cannot be read .*, and 5 more",
    ),
    "small partner": (
        lambda place: save(place / "lq/02.png", 8, 8),
        r"train: dataroot_lq: 02.png is 8x8 and its HR picture 32x32, which is not 2 times .*1 such pair of",
    ),
    "large validation picture": (
        lambda place: save(place / "validation/gt/00.png", 64, 64),
        r"val: dataroot_lq: 00.png is 16x16 and its HR picture 64x64",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), PICTURES.values(), ids=PICTURES)
def test_spoilt_pictures_are_told(place, spoil, message):
    spoil(place)
    assert re.search(message, told(place))


@pytest.mark.parametrize("phase", ["train", "val"])
def test_damaged_pictures_are_counted_up_to_a_limit(place, phase, caplog):
    """A pair counts once. Headers alone are looked at before a training."""
    folder = place if phase == "train" else place / "validation"
    for name in ("gt", "lq"):
        (folder / name / "00.png").write_bytes(b"<html>")
    passes(place, {f"datasets:{phase}:max_damaged": 1})
    assert ("00.png" in caplog.text) == (phase == "val")
    text = told(place, {f"datasets:{phase}:max_damaged": 0})
    assert re.search(
        rf"datasets: {phase}: .*00.png cannot be .*, with its partner \(max_damaged: 0 allows none\)", text
    )


def test_a_validation_picture_that_is_cut_off_is_named(place, caplog):
    path = place / "validation/lq/01.png"
    path.write_bytes(path.read_bytes()[:-60])
    passes(place)
    assert "01.png cannot be decoded; it is left out of the figures" in caplog.text
    text = told(place, {"datasets:val:max_damaged": 0})
    assert re.search(r"datasets: val: .*01.png cannot be decoded; replace or remove it, with its partner", text)


def test_validation_pictures_may_exceed_a_multiple_of_the_scale(place):
    save(place / "validation" / "gt" / "00.png", 33, 33)  # BasicSR cuts them
    passes(place)


def test_turned_photograph_is_measured_as_it_is_seen(place):
    from aethernet.integrations.basicsr.preflight.pictures import picture_size

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(place / "turned.jpg", exif=exif)
    assert picture_size(place / "turned.jpg") == (10, 20)


def test_list_of_names(place):
    listing = place / "list.txt"
    changes = {"datasets:train:meta_info_file": str(listing)}
    listing.write_text("00.png (32,32,3)\n01.png (32,32,3)\n")
    opt = parse(place, train_options(place, changes))
    preflight.check(opt, place, is_train=True)
    listing.write_text("00.png (32,32,3)\n77.png (32,32,3)\n")
    assert re.search("names files that are not there: .*77.png", problems(place, opt))
    listing.write_text("00.png\n\n01.png\n")
    assert re.search("line 2 of .* does not name", problems(place, opt))
    listing.write_text("")
    assert "is empty; it has one line" in problems(place, opt)


def test_lmdb(place):
    changes = {"datasets:train:io_backend:type": "lmdb"}
    for name in ("gt", "lq"):
        write_lmdb(place / name, place / f"{name}.lmdb")
        changes[f"datasets:train:dataroot_{name}"] = str(place / f"{name}.lmdb")
    opt = parse(place, train_options(place, changes))
    preflight.check(opt, place, is_train=True)
    meta, data = (place / "lq.lmdb" / name for name in ("meta_info.txt", "data.mdb"))
    meta.write_text("".join(f"{index:02d}.png (8,16,3) 1\n" for index in range(6)))
    assert "00 is 16x8 and its HR picture 32x32" in problems(place, opt)
    meta.write_text("00.png (16,16,3) 1\n")
    assert "do not hold the same keys: 01, 02, 03 and 2 more" in problems(place, opt)
    meta.write_bytes((place / "gt.lmdb" / "meta_info.txt").read_bytes())
    data.write_bytes(data.read_bytes()[:9000])
    assert re.search(r"datasets: train: .*lq.lmdb cannot be read \(.+\); write it anew", problems(place, opt))


def test_pictures_to_validate_with_in_an_lmdb_are_decoded(place, caplog):
    for name in ("gt", "lq"):
        write_lmdb(place / name, place / f"{name}.lmdb")
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(place / "lq.lmdb")) as store, store.begin(write=True) as transaction:
        transaction.put(b"03", b"no picture")
    roots = {f"dataroot_{name}": str(place / f"{name}.lmdb") for name in ("gt", "lq")}
    section = {"name": "val", "type": "PairedImageDataset", **roots, "io_backend": {"type": "lmdb"}}
    passes(place, {"datasets:val": section})
    assert "lq.lmdb: 03 cannot be decoded; it is left out of the figures" in caplog.text
    text = told(place, {"datasets:val": {**section, "max_damaged": 0}})
    assert "val: " in text and "03 cannot be decoded; replace or remove it" in text


# The length of a training


@pytest.mark.parametrize("total_iter", [1, 7, 40, 333])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_plan_is_what_basicsr_does(world_size, total_iter):
    """The same numbers as BasicSR's own classes give, for sets around the size of a batch."""
    from basicsr.data import build_dataloader
    from basicsr.data.data_sampler import EnlargedSampler

    for images, batch_size, ratio, num_gpu in [(3, 4, 1, 0), (6, 4, 1, 1), (7, 2, 3, 2), (16, 4, 1, 0), (5, 3, 1.5, 1)]:
        dataset = torch.utils.data.TensorDataset(torch.zeros(images))
        sampler = EnlargedSampler(dataset, world_size, 0, ratio)
        section = {"phase": "train", "batch_size_per_gpu": batch_size, "num_worker_per_gpu": 0}
        loader = build_dataloader(dataset, section, num_gpu=num_gpu, dist=world_size > 1, sampler=sampler)
        devices = 1 if world_size > 1 else max(1, num_gpu)
        plan = schedule.EpochPlan(images, ratio, batch_size, world_size, devices, total_iter)
        assert plan.loaded == len(loader)
        # The arithmetic of create_train_val_dataloader and the loop of train_pipeline.
        planned = int(np.ceil(images * ratio / (batch_size * world_size)))
        epochs = int(np.ceil(total_iter / planned))
        done = 0
        for _ in range(epochs + 1):
            done += len(loader)
        assert plan.reached == min(done, total_iter)
        enough = replace(plan, ratio=plan.sufficient_ratio())
        assert enough.loaded > 0
        assert enough.reached == total_iter


def test_ratio_that_suffices_is_found_quickly_for_a_long_training():
    plan = schedule.EpochPlan(images=20, ratio=1, batch_size=64, world_size=4, devices=1, total_iter=1_000_000)
    assert 64 * 4 / 20 < plan.sufficient_ratio() < 20_000


def test_early_end_is_no_matter_where_somebody_else_counts_the_epochs(place, monkeypatch):
    changes = {"datasets:train:batch_size_per_gpu": 4, "train:total_iter": 40}
    monkeypatch.setattr(importlib.import_module("basicsr.train"), "create_train_val_dataloader", lambda *_: None)
    passes(place, changes)


def test_every_gpu_of_a_process_takes_a_batch(place, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    text = told(place, {"num_gpu": 4})
    assert "batch_size_per_gpu: 2 on each of 4 GPUs, together 8, is more than the 6 pictures" in text
    assert "num_gpu: 4 in one process would lose the norm statistics" in text
    assert "torchrun --nproc_per_node=4" in text
    assert "num_gpu: 5 is more" in told(place, {"num_gpu": 5})


# Weights


def weights(place: Path, stage: str = "train", **fields) -> str:
    path = place / "weights.pth"
    write_checkpoint(path, aether_custom(2, **{**NETWORK, "stage": stage, **fields}))
    return str(path)


def test_weights_of_this_network_pass(place):
    for stage in ("train", "fused"):
        changes = {"path:pretrain_network_g": weights(place), "network_g:stage": stage}
        passes(place, changes)


def test_weights_of_another_network_are_told(place, caplog):
    changes = {"path:pretrain_network_g": weights(place, width=12)}
    opt = parse(place, train_options(place, changes))
    text = problems(place, opt)
    assert re.search(r"path: pretrain_network_g: .*width: 12 in the weights, 8 here.*strict_load_g: false", text)
    opt = parse(place, train_options(place, {**changes, "path:strict_load_g": False}))
    with caplog.at_level(logging.WARNING, "aethernet"):
        preflight.check(opt, place, is_train=True)
    assert "only tensors that fit are taken (width: 12" in caplog.text


def test_weights_of_a_later_stage_are_told(place):
    changes = {"path:pretrain_network_g": weights(place, "fused"), "path:strict_load_g": False}
    text = told(place, changes)
    assert "is of stage fused, which cannot go back into stage train; set network_g: stage: fused" in text


def test_entry_of_the_weights(place):
    opt = train_options(place, {"path:pretrain_network_g": weights(place), "path:param_key_g": "params_ema"})
    preflight.check(parse(place, opt), place, is_train=True)  # BasicSR falls back to params
    opt["path"]["param_key_g"] = None
    assert "the param_key is ~; set it to params" in problems(place, parse(place, opt))
    preflight.check(parse(place, {**opt, "model_type": "AetherModel"}), place, is_train=True)


def test_safetensors_need_our_model(place):
    path = place / "weights.safetensors"
    write_checkpoint(path, aether_custom(2, **NETWORK))
    opt = train_options(place, {"path:pretrain_network_g": str(path)})
    assert "SRModel reads .pth only; set model_type: AetherModel" in problems(place, parse(place, opt))
    preflight.check(parse(place, {**opt, "model_type": "AetherModel"}), place, is_train=True)


def test_a_log_that_nothing_reaches_is_told(place, caplog):
    with caplog.at_level(logging.WARNING, "aethernet"):
        passes(place, {"logger:print_freq": 100})
    assert "print_freq: 100 is more than train: total_iter: 6, so the log is going to name no loss" in caplog.text


def test_file_that_holds_no_weights_is_told(place):
    (place / "weights.pth").write_text("<html>")
    changes = {"path:pretrain_network_g": str(place / "weights.pth")}
    assert "is not a file of plain tensors" in told(place, changes)


def test_testing_an_untrained_network_is_mentioned(place, caplog):
    with caplog.at_level(logging.WARNING, "aethernet"):
        preflight.check(parse(place, test_options(place), is_train=False), place, is_train=False)
    assert "an untrained network is going to be tested" in caplog.text


def test_vgg_weights_are_found_in_either_place(place, monkeypatch):
    monkeypatch.setattr(perceptual, "sha256", lambda path: "dcbb9e9d" + 56 * "0")
    opt = parse(place, train_options(place, {"train:perceptual_opt": PERCEPTUAL}))
    for folder in ("experiments/pretrained_models", "hub/checkpoints"):
        file = place / folder / "vgg19-dcbb9e9d.pth"
        file.parent.mkdir(parents=True)
        file.touch()
        preflight.check(opt, place, is_train=True)
        file.unlink()


# Former runs


def former_run(place: Path, iteration: int = 4, *, network: bool = True) -> Path:
    """The folders that a training leaves behind; returns its state."""
    folder = place / "experiments" / "tiny"
    for name in ("models", "training_states"):
        (folder / name).mkdir(parents=True)
    state = folder / "training_states" / f"{iteration}.state"
    torch.save({"epoch": 1, "iter": iteration, "optimizers": [], "schedulers": []}, state)
    if network:
        torch.save({"params": {}}, folder / "models" / f"net_g_{iteration}.pth")
    return state


def test_former_run_is_kept(place):
    opt = parse(place, train_options(place))
    (place / "experiments" / "tiny").mkdir(parents=True)
    preflight.check(opt, place, is_train=True)  # nothing in it
    (place / "experiments" / "tiny" / "note.txt").touch()
    assert "choose another name, or remove" in problems(place, opt)
    former_run(place)
    assert re.search("name: tiny: .*former run.*continue it with --auto_resume, choose", problems(place, opt))
    preflight.check({**opt, "rank": 1}, place, is_train=True)  # rank 0 makes the folders
    preflight.check({**opt, "auto_resume": True}, place, is_train=True, resuming=True)


def test_automatic_resuming_keeps_a_former_run_without_states(place):
    folder = place / "experiments" / "tiny" / "models"
    folder.mkdir(parents=True)
    opt = parse(place, train_options(place), "--auto_resume")
    preflight.check(opt, place, is_train=True, resuming=True)  # stopped before it saved anything
    (folder / "net_g_latest.pth").touch()
    assert "holds a former run without a state to resume from" in problems(place, opt, resuming=True)


def test_curves_of_a_former_run_are_kept(place):
    opt = parse(place, train_options(place, {"logger:use_tb_logger": True}))
    preflight.check(opt, place, is_train=True)
    (place / "tb_logger" / "tiny").mkdir(parents=True)
    (place / "tb_logger" / "tiny" / "events").touch()
    assert re.search("name: tiny: .*curves of a former run", problems(place, opt))


def test_debug_run_is_kept_too(place):
    opt = parse(place, train_options(place), "--debug")
    (place / "experiments" / "debug_tiny").mkdir(parents=True)
    (place / "experiments" / "debug_tiny" / "note.txt").touch()
    assert "name: debug_tiny:" in problems(place, opt)


def test_results_of_a_former_test_are_no_matter(place):
    (place / "results" / "tiny" / "visualization").mkdir(parents=True)
    preflight.check(parse(place, test_options(place), is_train=False), place, is_train=False)


def test_resuming(place):
    state = former_run(place)
    changes = {"path:resume_state": str(state), "path:pretrain_network_g": "ignored.pth"}
    opt = parse(place, train_options(place, changes))
    preflight.check(opt, place, is_train=True, resuming=True)
    state.write_bytes(state.read_bytes()[:100])
    assert re.search("resume_state: .*cannot be read", problems(place, opt, resuming=True))


def test_state_without_its_weights_is_told(place):
    state = former_run(place, network=False)
    opt = parse(place, train_options(place, {"path:resume_state": str(state)}))
    assert re.search("resume_state: .*net_g_4.pth does not exist", problems(place, opt, resuming=True))


def test_pretrained_weights_count_until_there_is_a_state(place):
    opt = parse(place, train_options(place, {"path:pretrain_network_g": "absent.pth"}), "--auto_resume")
    assert "pretrain_network_g: absent.pth is not a file" in problems(place, opt, resuming=True)
    former_run(place)
    preflight.check(opt, place, is_train=True, resuming=True)


# Classes from elsewhere


def test_keys_of_classes_from_elsewhere_are_only_mentioned(place, caplog):
    changes = {"model_type": "EDVRModel", "train:tsa_iter": 5, "own": 1, "val:own": 2, "train:optim_g:type": "Lion"}
    opt = parse(place, train_options(place, changes))
    with caplog.at_level(logging.WARNING, "aethernet"):
        preflight.check(opt, place, is_train=True)
    for key in ("train: tsa_iter", "own", "val: own"):
        assert f"{key}: this key is not checked" in caplog.text
    assert "does not build 'Lion'" in caplog.text


def test_training_set_as_validation_set_is_mentioned(place, caplog):
    with caplog.at_level(logging.WARNING, "aethernet"):
        preflight.check(parse(place, tiny_options(place)), place, is_train=True)
    assert "datasets: val: dataroot_gt: is the folder of the training set" in caplog.text


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_missing_logger_is_told(place, monkeypatch, package):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find_spec(name))
    changes = {"logger:use_tb_logger": True}
    if package == "wandb":
        changes["logger:wandb"] = {"project": "x"}
    opt = parse(place, train_options(place, changes))
    assert f"pip install {package}" in problems(place, opt)
    preflight.check({**opt, "name": "debug"}, place, is_train=True)


# The tables


def test_tables_name_what_basicsr_reads():
    """Every key that BasicSR's code takes from its options stands in a table."""
    import basicsr

    from aethernet.integrations.basicsr.preflight import schema

    folder = Path(basicsr.__file__).parent
    read = re.compile(r"""(?<![a-z_])(train_|dataset_|)opt(?:\.get\(|\.pop\(|\[)['"](\w+)['"]""")
    runtime = {"db_paths", "client_keys", "type", "network_g", "network_d", "better"}
    groups = {
        ("models/sr_model.py", "models/srgan_model.py", "models/base_model.py", "train.py", "test.py"): schema.TOP
        | schema.MODELS["RealESRGANModel"].train
        | schema.DATASETS["PairedImageDataset"],
        ("models/realesrgan_model.py", "models/realesrnet_model.py"): schema.MODELS["RealESRGANModel"].top | {"scale"},
        ("data/paired_image_dataset.py", "data/__init__.py"): schema.DATASETS["PairedImageDataset"],
        ("data/realesrgan_paired_dataset.py",): schema.DATASETS["RealESRGANPairedDataset"],
        ("data/single_image_dataset.py",): schema.DATASETS["SingleImageDataset"],
        ("data/realesrgan_dataset.py",): schema.DATASETS["RealESRGANDataset"],
    }
    for files, known in groups.items():
        for file in files:
            keys = {match[1] for match in read.findall((folder / file).read_text(encoding="utf-8"))}
            assert keys - known - runtime == set(), file


# Values: what each entry may be stands in one table.


def rendered(stage: str) -> dict:
    from aethernet.training.recipes import options

    return options("tiny", 2, stage)


def texts(section: dict, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The entries that are a number, a switch or a list: those that a text can never stand for."""
    found = []
    for key, value in section.items():
        if isinstance(value, dict):
            found += texts(value, (*path, key))
        elif isinstance(value, bool | int | float | list):
            found.append((*path, key))
    return found


def value_problems(opt: dict, *, is_train: bool) -> list[str]:
    """What the tables say of options; their pictures need not be there."""
    from aethernet.integrations.basicsr.preflight import Context, values
    from aethernet.integrations.basicsr.training import models

    models.register()
    context = Context(opt, Path(), is_train, resuming=False)
    checks = (values.wrong, values.patches, *((values.numbers_as_text, values.aether_options) if is_train else ()))
    return [problem for each in checks for problem in each(context)]


@pytest.mark.parametrize("stage", ["train", "gan", "qat", "distill", "real", "real_gan", "test"])
def test_a_text_for_a_number_or_a_switch_is_told_anywhere_in_our_files(stage):
    opt = rendered(stage)
    assert value_problems(opt, is_train=stage != "test") == []
    own = (
        "network_g",
        "manual_seed",
        "scale",
        "resize_prob",
        "gt_size",
        "queue_size",
        "kernel",
    )  # told by other checks
    entries = [path for path in texts(opt) if not path[-1].startswith(own[1:]) and path[0] != own[0]]
    entries += [("datasets", "train", "gt_size")] if stage != "test" else []
    entries = [path for path in entries if path[-2:-1] != ("layer_weights",)]
    entries = [path for path in entries if path[:2] != ("train", "perceptual_opt")]
    for path in entries:
        section = opt
        for key in path[:-1]:
            section = section[key]
        section[path[-1]] = "abc"
    told = value_problems(opt, is_train=stage != "test")
    for path in entries:
        place = ": ".join(path)
        assert any(each.startswith((f"{place}: must be", f"{place} must be")) for each in told), place
    assert len(told) == len(entries)


WRONG = {
    "port": ({"dist_params": {"port": "abc"}}, r"^dist_params: port: must be a whole number from 1 to 65535, not 'abc'"),
    "section for a number": ({"val:val_freq": {}}, r"val: val_freq: must be a whole number of at least 1, not"),
    "section for a switch": ({"val:save_img": {"a": 1}}, r"val: save_img: must be true or false, not"),
    "port of zero": ({"dist_params": {"port": 0}}, r"dist_params: port: must be a whole number from 1 to 65535, not 0"),
    "backend": ({"dist_params": {"backend": "ncll"}}, r"dist_params: backend: must be a name such as nccl"),
    "flip": ({"datasets:train:use_hflip": "abc"}, r"train: use_hflip: must be true or false, not 'abc'"),
    "quoted switch": ({"datasets:train:use_rot": "false"}, r"train: use_rot: must be true or false, not 'false'"),
    "save_img": ({"val:save_img": "no"}, r"val: save_img: must be true or false, not 'no'"),
    "strict": ({"path:strict_load_g": "false"}, r"path: strict_load_g: must be true or false"),
    "workers": ({"datasets:train:num_worker_per_gpu": -1}, r"num_worker_per_gpu: must be a whole number of at least 0, not -1"),
    "batch of zero": ({"datasets:train:batch_size_per_gpu": 0}, r"batch_size_per_gpu: must be a whole number of at least 1"),
    "batch in quotes": ({"datasets:train:batch_size_per_gpu": "2"}, r"batch_size_per_gpu: '2' is text for YAML; write 2, w"),
    "mean": ({"datasets:train:mean": [0.5, "x", 0.5]}, r"train: mean: must be a list of three numbers"),
    "deviation of zero": ({"datasets:train:std": [0, 0, 0]}, r"train: std: must be a list of three positive numbers"),
    "rate below zero": ({"train:optim_g:lr": -1e-3}, r"train: optim_g: lr: must be a number of at least 0, not -0.001"),
    "rate without end": ({"train:optim_g:lr": math.inf}, r"train: optim_g: lr: must be a number of at least 0, not inf"),
    "betas": ({"train:optim_g:betas": [0.9, 1]}, r"optim_g: betas: must be two numbers in \[0, 1\) such as \[0.9, 0.99\]"),
    "one beta": ({"train:optim_g:betas": 0.9}, r"train: optim_g: betas: must be two numbers"),
    "amsgrad": ({"train:optim_g:amsgrad": "yes please"}, r"train: optim_g: amsgrad: must be true or false"),
    "reduction": ({"train:pixel_opt:reduction": "none"}, r"pixel_opt: reduction: must be one of mean, sum, not 'none'"),
    "loss of less than nothing": ({"train:pixel_opt:loss_weight": -1}, r"loss_weight: must be a number of at least 0, not -1"),
    "kind of GAN": ({**GAN, "train:gan_opt:gan_type": "vanila"}, r"gan_opt: gan_type: must be one of vanilla, lsgan"),
    "discriminator's steps": ({**GAN, "train:net_d_iters": 0}, r"train: net_d_iters: must be a whole number of at least 1"),
    "discriminator's start": ({**GAN, "train:net_d_init_iters": None}, r"train: net_d_init_iters: must be a number of at l"),
    "discriminator": ({**GAN, "network_d:num_feat": "64"}, r"network_d: num_feat: '64' is text for YAML; write 64, without"),
    "skip": ({**GAN, "network_d:skip_connection": "abc"}, r"network_d: skip_connection: must be true or false, not 'abc'"),
    "no average": ({"train:ema_decay": None}, r"train: ema_decay: must be in \[0, 1\), where 0 means no average, not None"),
    "no warm-up": ({"train:warmup_iter": None}, r"train: warmup_iter: must be a number, not None"),
    "milestones": ({"train:scheduler:milestones": [5, "x"]}, r"scheduler: milestones: must be a list of numbers such as"),
    "border with a dot": ({"val:metrics:psnr:crop_border": 4.0}, r"crop_border: must be a whole number of at least 0, not 4.0"),
    "order": ({"val:metrics:psnr:input_order": "NHWC"}, r"psnr: input_order: must be one of HWC, CHW, not 'NHWC'"),
    "channel": ({"val:metrics:psnr:test_y_channel": "y"}, r"psnr: test_y_channel: must be true or false, not 'y'"),
    "curves": ({"logger:use_tb_logger": "false"}, r"logger: use_tb_logger: must be true or false, not 'false'"),
    "their size": (
        {"network_g": {"type": "SRVGGNetCompact", "num_feat": "x", "num_conv": 1, "upscale": 2}},
        r"network_g: num_feat: must be a whole number of at least 1, not 'x'",
    ),
    "their text": (
        {"network_g": {"type": "SRVGGNetCompact", "num_feat": 8, "num_conv": 1, "upscale": 2, "act_type": 5}},
        r"network_g: act_type: must be a text, not 5; put it into quotes$",
    ),
    "path": ({"path:ignore_resume_networks": 5}, r"path: ignore_resume_networks: must be the name of a network or a list"),
    "name": ({"datasets:val:name": 5}, r"datasets: val: name: must be a text, not 5; put it into quotes$"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_values_are_told(place, changes, message):
    assert re.search(message, told(place, changes), re.MULTILINE)


TAKEN = {
    "switches as numbers": {"datasets:train:use_hflip": 1, "datasets:train:use_rot": 0, "val:save_img": 0},
    "whole numbers for others": {"train:optim_g:lr": 1, "train:optim_g:betas": [0, 0], "train:pixel_opt:loss_weight": 1},
    "no numbers": {"val:suffix": None, "datasets:train:pin_memory": None, "dist_params": {"backend": "nccl", "port": None}},
    "port in quotes": {"dist_params": {"backend": "nccl", "port": "29500"}},
    "backend from elsewhere": {"dist_params": {"backend": "hccl"}},
    "no milestones": {"train:scheduler:milestones": []},
    "milestones with dots": {"train:scheduler:milestones": [5e0, 4e1]},
    "warm-up with a dot": {"train:warmup_iter": 2.0},
    "their sizes": {
        "network_g": {"type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "upscale": 2,
                      "res_scale": 0.1, "img_range": 255, "rgb_mean": [0.5, 0.5, 0.5]},
    },
    "sizes for each axis": {
        "network_g": {"type": "SwinIR", "upscale": 2, "img_size": [8, 8], "window_size": 4, "embed_dim": 12,
                      "depths": [2], "num_heads": [2], "mlp_ratio": 2, "resi_connection": "1conv", "img_range": 1,
                      "upsampler": "pixelshuffledirect", "qk_scale": None},
    },
    "what other models read, turned off": {"train:gan_opt": None, "train:ldl_opt": None},
    "means": {"datasets:train:mean": [0.5, 0.5, 0.5], "datasets:train:std": [1, 1, 1]},
}  # fmt: skip


@pytest.mark.parametrize("changes", TAKEN.values(), ids=TAKEN.keys())
def test_what_basicsr_takes_is_taken(place, changes):
    passes(place, changes)

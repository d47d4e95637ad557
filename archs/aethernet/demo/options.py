"""The option files of the demo: those of the recipes, shortened to what a CPU does in minutes."""

from pathlib import Path

import yaml

from aethernet.files import write_text
from aethernet.training import recipes

VARIANT = "tiny"
EXPERIMENT = "demo"
BATCH, LQ_SIZE = 8, 32
SEED = 0


def train_options(data: Path, scale: int, iterations: int) -> dict:
    """The training options of the variant, shortened to what a CPU does in two minutes."""
    return _shortened(
        recipes.options(VARIANT, scale, "train", **_recipe(iterations)), data, scale, iterations, EXPERIMENT
    )


def qat_options(data: Path, scale: int, iterations: int, weights: Path) -> dict:
    """The options of quantisation-aware training from calibrated weights."""
    opt = recipes.options(VARIANT, scale, "qat", **_recipe(iterations))
    opt["path"] |= {"pretrain_network_g": str(weights)}
    return _shortened(opt, data, scale, iterations, f"{EXPERIMENT}_qat")


def _recipe(iterations: int) -> dict:
    return {"total_iter": iterations, "batch": BATCH, "lq_size": LQ_SIZE, "ema_decay": 0.99}


def _shortened(opt: dict, data: Path, scale: int, iterations: int, name: str) -> dict:
    opt |= {"name": name, "num_gpu": 0, "manual_seed": SEED}
    opt["datasets"]["train"] |= {
        "dataroot_gt": str(data / "train" / "HR_sub"),
        "dataroot_lq": str(data / "train" / "LR_bicubic_sub" / f"X{scale}"),
        "num_worker_per_gpu": 1,
        "dataset_enlarge_ratio": 50,
    }
    opt["datasets"] = {"train": opt["datasets"]["train"], "val": validation_set(data, scale)}
    opt["val"] |= {"val_freq": iterations // 10, "save_img": False, "pbar": False}
    opt["logger"] |= {"print_freq": max(1, iterations // 90), "save_checkpoint_freq": iterations // 10}
    return opt


def test_options(data: Path, scale: int, weights: Path) -> dict:
    """The test options of the variant on the pictures that were kept from training."""
    opt = recipes.options(VARIANT, scale, "test")
    opt |= {"name": EXPERIMENT, "num_gpu": 0, "manual_seed": SEED}
    opt["datasets"] = {"test_1": validation_set(data, scale)}
    opt["path"] |= {"pretrain_network_g": str(weights)}
    return opt


def validation_set(data: Path, scale: int) -> dict:
    return {
        "name": "embedded",
        "type": "PairedImageDataset",
        "dataroot_gt": str(data / "embedded" / "val" / "HR"),
        "dataroot_lq": str(data / "embedded" / "val" / "LR_bicubic" / f"X{scale}"),
        "io_backend": {"type": "disk"},
    }


def write_yaml(path: Path, opt: dict) -> None:
    write_text(path, yaml.safe_dump(opt, sort_keys=False))

"""What stands in a template's places: the numbers of a recipe, the choices, and what follows from them."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import PurePath

import yaml

from aethernet.data.photo import BLUR, BLUR_SHARE, NOISE, QUALITY, QUALITY_SHARE
from aethernet.training.recipes.table import REAL, STEPS, VGG19, Choices, Recipe

CHECK_FREQ = 5000
"""Iterations between two validations, and between two checkpoints; short trainings have five of each."""
PRINT_FREQ = 100
"""Iterations between two lines of the log, for BasicSR; short trainings have five of them, too."""
GREY = "color: y  # the network is grey: the Y channel of each picture"
DEGRADED = {"full": "as Real-ESRGAN degrades them", "photo": "as photographs are: slight blur, noise, JPEG"}
QUEUE_SIZE = 180
"""Pairs in Real-ESRGAN's pool, at least; it must be a multiple of the batch."""


def choices_values(choices: Choices, scale: int, stage: str, own_name: str, fidelity_name: str) -> dict[str, object]:
    """The choices as the templates have them."""
    start = None if stage in ("train", "real", "distill") else f"experiments/{fidelity_name}/models/net_g_latest.pth"
    grey, data = choices.in_channels == 1, PurePath(choices.data)
    return {
        "name": to_yaml(choices.name or own_name),
        "weights": to_yaml(choices.weights or start),
        "data": choices.data,
        "data_gt": to_yaml((data / "HR_sub").as_posix()),
        "data_lq": to_yaml((data / f"LR_bicubic_sub/X{scale}").as_posix()),
        "data_list": to_yaml((data / "meta_info_HR_sub.txt").as_posix()),
        "data_name": to_yaml(data.name or "train"),
        **model_class(stage),
        "in_channels": choices.in_channels,
        "vgg19": to_yaml(VGG19 if choices.perceptual is True else choices.perceptual),
        "losses": "pixel, perceptual and adversarial loss" if choices.perceptual else "pixel and adversarial loss",
        "channels": "\n  in_channels: 1  # grey" if grey else "",
        "color": f"\n    {GREY}" if grey else "",
        "color_aside": f"\n  #   {GREY}" if grey else "",
    }


def model_class(stage: str) -> dict[str, str]:
    """The model class of a stage, and the one of BasicSR that it extends."""
    is_gan = STEPS.get(stage, stage) == "gan"
    if stage in REAL:
        own, stock = ("AetherRealGANModel", "RealESRGANModel") if is_gan else ("AetherRealModel", "RealESRNetModel")
    else:
        own, stock = ("AetherGANModel", "SRGANModel") if is_gan else ("AetherModel", "SRModel")
    return {"model_type": f"{own}  # BasicSR's {stock}, guarded; what it adds is marked (*)", "stock": stock}


def degradation_values(choices: Choices, recipe: Recipe, scale: int, stage: str) -> dict[str, object]:
    """What the templates of degraded inputs want beside the recipe."""
    published = choices.degradation == "full"
    if stage == "real_gan":
        losses = {"l1": published, "percep": published, "gan": False}
        lines = [f"{loss}_gt_usm: {to_yaml(sharp)}" for loss, sharp in losses.items()]
        lines[0] += "  # whether a loss compares with the sharpened original"
        made_of = "sharpened originals" if published else "the originals as they are"
        lines.append(f"gt_usm: {to_yaml(published)}  # (*) inputs are made of {made_of}")
    else:
        lines = [f"gt_usm: {to_yaml(published)}  # sharpen the originals"]
    return {
        "degraded": DEGRADED[choices.degradation],
        "usm": "\n".join(lines),
        "blur": f"{BLUR * scale:g}",
        "noise": f"{NOISE:g}",
        "least_quality": QUALITY[0],
        "most_quality": QUALITY[1],
        "blur_share": BLUR_SHARE,
        "quality_share": QUALITY_SHARE,
        "queue_size": recipe.batch * math.ceil(QUEUE_SIZE / recipe.batch),
        "use_rot": to_yaml(not published),
    }


def recipe_values(recipe: Recipe | None, scale: int, text: Callable[[object], str]) -> dict[str, object]:
    """A recipe's fields and what follows from them, as `text` writes them."""
    if recipe is None:
        return {}
    return {
        **{field.name: text(getattr(recipe, field.name)) for field in dataclasses.fields(recipe)},
        "clips": text(recipe.grad_clip is not None),
        "clip_norm": text(recipe.grad_clip or 1.0),
        "is_bf16": text(recipe.amp == "bf16"),
        "gt_size": recipe.gt_size(scale),
        "norm_freeze_iter": recipe.norm_freeze_iter,
        "warmup_iter": recipe.warmup_iter,
        "half_iter": recipe.total_iter // 2,
        "check_freq": max(1, min(CHECK_FREQ, recipe.total_iter // 5)),
        "print_freq": max(1, min(PRINT_FREQ, recipe.total_iter // 5)),
        "memory_gb": max(1, round(recipe.batch * recipe.memory_mb / 1000)),
    }


def to_yaml(value: object) -> str:
    """A scalar in YAML. Small numbers get `!!float`, since PyYAML takes `1e-4` (no dot) for text."""
    if value is None:
        return "~"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        digits, exponent = f"{value:e}".split("e")
        return f"!!float {float(digits):g}e{int(exponent)}"
    if isinstance(value, str):
        return yaml.safe_dump([value], allow_unicode=True, width=math.inf)[2:].rstrip()
    return str(value)


def to_toml(value: object) -> str:
    """A scalar in TOML, which needs no tag."""
    return to_yaml(value).removeprefix("!!float ")

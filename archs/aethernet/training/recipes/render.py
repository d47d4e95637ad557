"""Option files for BasicSR, traiNNer-redux and neosr: a recipe's numbers, filled into a commented template."""

import dataclasses
import functools
import re
from importlib import resources
from pathlib import Path, PurePath
from string import Template

import yaml

from aethernet.checkpoint import pretrained
from aethernet.checks import is_one_of
from aethernet.errors import OptionError
from aethernet.files import write_bytes
from aethernet.network.config import network_name
from aethernet.network.variants import VARIANTS
from aethernet.training.recipes.table import (
    FIXED,
    KEPT,
    LARGER,
    OTF,
    OTHER_TRAINERS,
    PERCEPTUAL_MB,
    REAL,
    RECIPES,
    SCALES,
    STAGES,
    STEPS,
    VARIANT_NAMES,
    Choices,
    Recipe,
)
from aethernet.training.recipes.values import choices_values, degradation_values, recipe_values, to_toml, to_yaml

OTF_MARGIN = 32
"""Pixels that traiNNer-redux degrades more than a patch has, along each side; the scale must divide them."""

INCLUDE = re.compile(r"^\$\{(_\w+)\}$", re.MULTILINE)
"""A line such as `${_data}` in a template stands for the text of `_data.yml` (in a .toml `_data.toml`), which several share."""


NEOSR_SCALE = 4
"""neosr's networks take their scale from one line of the file, so a variant has one file: that of this scale."""


def file_name(variant: str, scale: int, stage: str) -> str:
    """Where the file stands in a checkout, such as `options/train/aether_small_x4.yml`."""
    if is_neosr(stage):
        return f"options/{stage}/aether_{variant}.toml"
    return f"options/{stage}/{network_name(variant, scale)}.yml"


def is_neosr(stage: str) -> bool:
    """Whether a stage's files are for neosr, which reads TOML."""
    return stage.partition("/")[0] == "neosr"


def render(variant: str, scale: int, stage: str, *, path: str | None = None, **overrides) -> str:
    """The text of an option file.

    Args:
        variant, scale: one of `VARIANT_NAMES` and `SCALES`.
        stage: one of `STAGES` or, for another trainer than BasicSR, of `OTHER_TRAINERS`.
        path: the file's name in its comments, if it is not `file_name(...)`.
        overrides: fields of `Choices` and of `Recipe`. What follows from them (schedule, warm-up, norm freezing; the colour
            of the data sets) follows suit.

    Raises:
        OptionError: an unknown name, a value out of its range, or an optimiser without its learning rate.
    """
    for kind, name, allowed in (
        ("variant", variant, VARIANT_NAMES),
        ("scale", scale, SCALES),
        ("stage", stage, (*STAGES, *OTHER_TRAINERS)),
    ):
        if not is_one_of(name, allowed):
            raise OptionError(f"there is no recipe for {kind} {name!r}: use one of {', '.join(map(str, allowed))}")
    chosen = [name for name in choices_of(stage) if name in overrides]
    choices = Choices(**{name: overrides.pop(name) for name in chosen})
    recipe = recipe_for(variant, stage, overrides)
    if stage in OTF and OTF_MARGIN % scale:
        raise OptionError(
            f"{stage}: traiNNer-redux degrades {OTF_MARGIN} pixels more than a patch has, which {scale} does not divide, and then "
            "breaks off: use scale 2 or 4, or stage real in BasicSR"
        )
    own_name = f"{'train' if stage == 'neosr' else stage.rpartition('/')[2]}_{network_name(variant, scale)}"
    fidelity_name = f"{fidelity_of(stage)}_{network_name(variant, scale)}"
    recipe = recipe_without_vgg(recipe, choices, stage)
    values = {
        "path": path or file_name(variant, scale, stage),
        "command": "test" if stage == "test" else "train",
        "variant": variant,
        "scale": scale,
        "stage": stage,
        "distill_opt": "",
        "otf": "",
        "fidelity_name": fidelity_name,
        **recipe_values(recipe, scale, to_toml if is_neosr(stage) else to_yaml),
        **choices_values(choices, scale, stage, own_name, fidelity_name),
        **(degradation_values(choices, recipe, scale, stage) if recipe and stage in (*REAL, *OTF) else {}),
    }
    if STEPS.get(stage, stage) == "gan":
        values["warmup_iter"] = -1  # none
    parts = {**parts_of(variant, stage, recipe, choices), **perceptual_part(choices, stage)}
    for name, part in parts.items():
        values[name] = Template(read_template(part)).substitute(values).rstrip("\n")
    if stage == "distill":
        values["teacher"] = to_yaml(choices.teacher or teacher_of(variant, scale))
        values["distill_opt"] = "\n" + Template(read_template("_distill.yml")).substitute(values).rstrip("\n")
    template = f"{stage.replace('/', '_')}.{'toml' if is_neosr(stage) else 'yml'}"
    return Template(read_template(template)).substitute(values)


def fidelity_of(stage: str) -> str:
    """What the experiment's name begins with of the fidelity training that a stage goes on from."""
    if stage in OTHER_TRAINERS:
        return "train" if is_neosr(stage) else "otf_fidelity" if stage in OTF else "fidelity"
    return "real" if stage in REAL else "train"


def parts_of(variant: str, stage: str, recipe: Recipe | None, choices: Choices) -> dict[str, str]:
    """The templates of those parts of a file that depend on more than the stage."""
    if recipe is None:
        return {}
    plain, step = VARIANTS[variant].get("block") == "plain", STEPS.get(stage, stage)
    if is_neosr(stage):
        gated = {"train": "_neosr_gated.toml", "gan": "_neosr_gated_gan.toml"}
        starts = {"train": "_neosr_scratch.toml", "gan": "_neosr_fidelity.toml", "qat": "_neosr_calibrated.toml"}
        network = "_neosr_qat.toml" if step == "qat" else "_neosr_plain.toml" if plain else gated[step]
        return {"network": network, "start": starts[step]}
    step = "train" if step == "distill" else step
    network = "_qat.yml" if step == "qat" else "_plain.yml" if plain else f"_gated_{step}.yml"
    if stage in OTHER_TRAINERS:
        start = f"_trainner_{'calibrated' if step == 'qat' else 'scratch'}.yml"
        inputs = {"inputs": "_trainner_paired.yml"}
        if stage in OTF:
            inputs = {
                "otf": f"_trainner_otf_{choices.degradation}.yml",
                "kernels": f"_trainner_kernels_{choices.degradation}.yml",
                "inputs": "_trainner_unpaired.yml",
            }
        return {"network": network, "start": start, **inputs}
    start = "_float.yml" if step == "qat" else "_scratch.yml"
    parts = {"network": network, "optim_g": f"_{recipe.optimizer.lower()}.yml", "start": start}
    if stage not in REAL:
        return {**parts, "datasets": "_data.yml"}
    degraded = {name: f"_{name}_{choices.degradation}.yml" for name in ("degradation", "kernels")}
    return {**parts, **degraded, "datasets": "_real_data.yml"}


def has_perceptual(stage: str) -> bool:
    """Whether a stage's files have a perceptual loss, which `perceptual` switches: those of GAN training."""
    return STEPS.get(stage, stage) == "gan"


def perceptual_part(choices: Choices, stage: str) -> dict[str, str]:
    """The template of the perceptual loss, with or without it."""
    if not has_perceptual(stage):
        return {}
    trainer, ending = ("neosr_", "toml") if is_neosr(stage) else ("trainner_" if stage in OTHER_TRAINERS else "", "yml")
    if trainer and isinstance(choices.perceptual, str):
        raise OptionError(
            f"{'neosr' if is_neosr(stage) else 'traiNNer-redux'} takes VGG19 from torchvision's cache and no file: perceptual "
            f"must be true or false, not {choices.perceptual!r}"
        )
    return {"perceptual_opt": f"_{trainer}{'perceptual' if choices.perceptual else 'no_perceptual'}.{ending}"}


def recipe_without_vgg(recipe: Recipe | None, choices: Choices, stage: str) -> Recipe | None:
    """The recipe with the memory of what it trains with."""
    if recipe is None or choices.perceptual or not has_perceptual(stage):
        return recipe
    return dataclasses.replace(recipe, memory_mb=recipe.memory_mb - PERCEPTUAL_MB)


def teacher_of(variant: str, scale: int) -> str:
    """The next larger variant: packaged, or as its fidelity training leaves it; raises `OptionError` for the largest."""
    larger = LARGER.get(variant)
    if larger is None:
        raise OptionError(f"{variant} is the largest variant: name who teaches it, as teacher=FILE")
    name = network_name(larger, scale)
    return name if name in pretrained.available() else f"experiments/train_{name}/models/net_g_latest.pth"


def options(variant: str, scale: int, stage: str, **overrides) -> dict:
    """What BasicSR reads from the rendered file: a new dictionary, free to be changed."""
    return yaml.safe_load(render(variant, scale, stage, **overrides))


def scales_of(stage: str) -> tuple[int, ...]:
    """The scales that a stage has a file for."""
    if is_neosr(stage):
        return (NEOSR_SCALE,)
    return tuple(scale for scale in SCALES if stage not in OTF or OTF_MARGIN % scale == 0)


def all_files() -> list[tuple[str, int, str]]:
    """Variant, scale and stage of every file below `options/`."""
    return [
        (variant, scale, stage)
        for stage in (*STAGES, *OTHER_TRAINERS)
        for variant in KEPT.get(stage, VARIANT_NAMES)
        for scale in scales_of(stage)
    ]


def write_all(directory: str | Path) -> list[Path]:
    """Renders every file below `directory` (`train/aether_small_x4.yml`, ...); returns those that changed."""
    changed = []
    for each in all_files():
        path = Path(directory, *Path(file_name(*each)).parts[1:])
        text = render(*each)
        if not path.exists() or path.read_bytes() != text.encode():
            write_bytes(path, text.encode())
            changed.append(path)
    return changed


def recipe_for(variant: str, stage: str, overrides: dict) -> Recipe | None:
    """The table's recipe with some fields replaced; None for a stage that trains nothing."""
    recipe = RECIPES.get(STEPS.get(stage, stage), {}).get(variant)
    if recipe is not None and stage in OTHER_TRAINERS:
        recipe = recipe.without_muon()
    fixed = FIXED.get(stage, ())
    known = [] if recipe is None else [field.name for field in dataclasses.fields(recipe) if field.name not in fixed]
    for name in overrides:
        if name not in known:
            raise OptionError(
                f"a {stage} recipe has no field {name!r}: known are {', '.join([*choices_of(stage), *known]) or 'none'}"
            )
    if recipe is None:
        return None
    changed = dataclasses.replace(recipe, **overrides)
    if changed.optimizer != recipe.optimizer and "lr" not in overrides:
        raise OptionError(
            f"optimizer {changed.optimizer} needs its own lr beside it: {recipe.lr:g} is {recipe.optimizer}'s rate"
        )
    return changed


def choices_of(stage: str) -> list[str]:
    """The fields of `Choices` that a stage's files have."""
    if stage in OTHER_TRAINERS:
        offered = {"perceptual": has_perceptual(stage), "degradation": stage in OTF}
        return [name for name, is_offered in offered.items() if is_offered]
    absent = {
        "perceptual": not has_perceptual(stage),
        "teacher": stage != "distill",
        "data": stage == "test",
        "in_channels": stage in REAL,
        "degradation": stage not in REAL,
    }
    return [field.name for field in dataclasses.fields(Choices) if not absent.get(field.name)]


@functools.cache
def read_template(name: str) -> str:
    """A template's text with its includes in place."""
    text = (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")
    return INCLUDE.sub(lambda include: read_template(f"{include[1]}{PurePath(name).suffix}").rstrip("\n"), text)

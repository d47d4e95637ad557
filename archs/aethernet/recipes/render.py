"""Option files for BasicSR: a recipe's numbers, filled into a commented template."""

import dataclasses
import functools
import re
from importlib import resources
from pathlib import Path
from string import Template

import yaml

from aethernet.errors import OptionError
from aethernet.files import atomic_path
from aethernet.recipes.table import RECIPES, SCALES, STAGES, VARIANT_NAMES, Recipe
from aethernet.variants import VARIANTS

CHECK_FREQ = 5000
"""Iterations between two validations, and between two checkpoints; short trainings have five of each."""

INCLUDE = re.compile(r"^\$\{(_\w+)\}$", re.MULTILINE)
"""A line such as `${_data}` in a template stands for the text of `_data.yml`, which several stages share."""


def file_name(variant: str, scale: int, stage: str) -> str:
    """Where the file stands in a checkout, such as `options/train/aether_small_x4.yml`."""
    return f"options/{stage}/aether_{variant}_x{scale}.yml"


def render(variant: str, scale: int, stage: str, *, path: str | None = None, **overrides) -> str:
    """The text of an option file.

    Args:
        variant, scale, stage: one of `VARIANT_NAMES`, `SCALES` and `STAGES`.
        path: the file's name in its comments, if it is not `file_name(...)`.
        overrides: fields of `Recipe`. What follows from them (schedule, warm-up, norm freezing) follows suit.

    Raises:
        OptionError: an unknown name, a value out of its range, or an optimiser without its learning rate.
    """
    for kind, name, allowed in (
        ("variant", variant, VARIANT_NAMES),
        ("scale", scale, SCALES),
        ("stage", stage, STAGES),
    ):
        if name not in allowed or isinstance(name, bool):
            raise OptionError(f"there is no recipe for {kind} {name!r}: use one of {', '.join(map(str, allowed))}")
    values = {
        "path": path or file_name(variant, scale, stage),
        "name": f"{stage}_aether_{variant}_x{scale}",
        "command": "test" if stage == "test" else "train",
        "variant": variant,
        "scale": scale,
        "stage": stage,
        "fidelity_name": f"train_aether_{variant}_x{scale}",
        **recipe_values(recipe := recipe_for(variant, stage, overrides), scale),
    }
    if recipe is not None:
        plain, qat = VARIANTS[variant].get("block") == "plain", stage == "qat"
        parts = {
            "optim_g": recipe.optimizer.lower(),
            "network": "qat" if qat else "plain" if plain else f"gated_{stage}",
            "start": "float" if qat else "scratch",
        }
        for name, part in parts.items():
            values[name] = Template(read_template(f"_{part}.yml")).substitute(values).rstrip("\n")
    return Template(read_template(f"{stage}.yml")).substitute(values)


def options(variant: str, scale: int, stage: str, **overrides) -> dict:
    """What BasicSR reads from the rendered file: a new dictionary, free to be changed."""
    return yaml.safe_load(render(variant, scale, stage, **overrides))


def write_all(directory: str | Path) -> list[Path]:
    """Renders every file below `directory` (`train/aether_small_x4.yml`, ...); returns those that changed."""
    changed = []
    for stage in STAGES:
        for variant in VARIANT_NAMES:
            for scale in SCALES:
                path = Path(directory, *Path(file_name(variant, scale, stage)).parts[1:])
                text = render(variant, scale, stage)
                if not path.exists() or path.read_bytes() != text.encode():
                    with atomic_path(path) as temporary:
                        temporary.write_bytes(text.encode())
                    changed.append(path)
    return changed


def recipe_for(variant: str, stage: str, overrides: dict) -> Recipe | None:
    """The table's recipe with some fields replaced; None for a stage that trains nothing."""
    recipe = RECIPES.get(stage, {}).get(variant)
    known = [] if recipe is None else [field.name for field in dataclasses.fields(recipe)]
    if stage == "gan":
        known.remove("optimizer")  # both networks follow AdamW
    for name in overrides:
        if name not in known:
            raise OptionError(f"a {stage} recipe has no field {name!r}: known are {', '.join(known) or 'none'}")
    if recipe is None:
        return None
    changed = dataclasses.replace(recipe, **overrides)
    if changed.optimizer != recipe.optimizer and "lr" not in overrides:
        raise OptionError(
            f"optimizer {changed.optimizer} needs its own lr beside it: {recipe.lr:g} is {recipe.optimizer}'s rate"
        )
    return changed


def recipe_values(recipe: Recipe | None, scale: int) -> dict[str, object]:
    """A recipe's fields and what follows from them, as they are written in YAML."""
    if recipe is None:
        return {}
    return {
        **{field.name: to_yaml(getattr(recipe, field.name)) for field in dataclasses.fields(recipe)},
        "gt_size": recipe.gt_size(scale),
        "norm_freeze_iter": recipe.norm_freeze_iter,
        "warmup_iter": recipe.warmup_iter,
        "half_iter": recipe.total_iter // 2,
        "check_freq": max(1, min(CHECK_FREQ, recipe.total_iter // 5)),
        "memory_gb": max(1, round(recipe.batch * recipe.memory_mb / 1000)),
    }


def to_yaml(value: object) -> str:
    """A scalar in YAML. Small numbers get `!!float`, since PyYAML takes `1e-4` (no dot) for text."""
    if value is None:
        return "~"
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        digits, exponent = f"{value:e}".split("e")
        return f"!!float {float(digits):g}e{int(exponent)}"
    return str(value)


@functools.cache
def read_template(name: str) -> str:
    """A template's text with its includes in place."""
    text = (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")
    return INCLUDE.sub(lambda include: read_template(f"{include[1]}.yml").rstrip("\n"), text)

"""Training recipes: one table of numbers, and the commented option files that are rendered from it."""

from aethernet.training.recipes.render import all_files, file_name, options, render, write_all
from aethernet.training.recipes.table import (
    KEPT_OF_OTHERS,
    OTF,
    OTHER_TRAINERS,
    REAL,
    RECIPES,
    SCALES,
    STAGES,
    STEPS,
    VARIANT_NAMES,
    Recipe,
)

__all__ = [
    "KEPT_OF_OTHERS",
    "OTF",
    "OTHER_TRAINERS",
    "REAL",
    "RECIPES",
    "SCALES",
    "STAGES",
    "STEPS",
    "VARIANT_NAMES",
    "Recipe",
    "all_files",
    "file_name",
    "options",
    "render",
    "write_all",
]

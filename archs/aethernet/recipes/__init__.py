"""Training recipes: one table of numbers, and the commented option files that are rendered from it."""

from aethernet.recipes.render import file_name, options, render, write_all
from aethernet.recipes.table import RECIPES, SCALES, STAGES, VARIANT_NAMES, Recipe

__all__ = [
    "RECIPES",
    "SCALES",
    "STAGES",
    "VARIANT_NAMES",
    "Recipe",
    "file_name",
    "options",
    "render",
    "write_all",
]

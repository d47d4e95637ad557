"""Which model is meant: the best in the package, one by name, or a file."""

from pathlib import Path

from aethernet.checkpoint import pretrained
from aethernet.errors import UsageError
from aethernet.runtimes.models import Model, resolve_model

DEFAULT_SCALE = 4
BEST_FIRST = ("large", "medium", "small", "tiny")


def find_model(model: str | Path | None, scale: int | None) -> Model:
    """The model that is meant; raises `UsageError` for a scale that there is none for, or that is another than its own."""
    if model is None:
        wanted = DEFAULT_SCALE if scale is None else scale
        names = [name for variant in BEST_FIRST if (name := f"aether_{variant}_x{wanted}") in pretrained.available()]
        if not names:
            scales = sorted({int(name.split("_x")[1][0]) for name in pretrained.available()})
            raise UsageError(
                f"the package has no network for x{wanted}: it has {' or '.join(f'x{each}' for each in scales)}; give a file of "
                "yours with --model"
            )
        model = names[0]
    found = resolve_model(str(model))
    if not found.trained:
        raise UsageError(
            f"{found.label} has random weights; {pretrained.hint(found.label)}; or give a file of trained weights"
        )
    if scale not in (None, found.scale):
        raise UsageError(
            f"{found.label} enlarges by {found.scale}, but --scale {scale} was given: leave one of them out"
        )
    return found

"""Which model is meant: the best in the package, one by name, or a file."""

from collections.abc import Sequence
from pathlib import Path

from aethernet.checkpoint import pretrained
from aethernet.data.picture.header import Header
from aethernet.errors import UsageError
from aethernet.runtimes.models import Model, resolve_model

DEFAULT_SCALE = 4
FILM_SCALE = 2
BEST_FIRST = ("large", "medium", "small", "tiny")
PHOTOGRAPHS = ("JPEG",)
"""Formats of files, by Pillow's names, that are taken for photographs with noise and traces of compression."""


def by_model(model: Model, headers: Sequence[Header | None], *, chosen: bool) -> list[tuple[Model, list[int]]]:
    """Which models enlarge pictures with these headers, each with the places of its pictures.

    All by `model`; but unless it was `chosen`, photographs by the packaged network for such, where there is one for the scale.
    """
    photographs = [place for place, header in enumerate(headers) if header and header.format in PHOTOGRAPHS]
    known = _packaged(model.scale, pretrained.PHOTO)
    if chosen or not photographs or not known:
        return [(model, list(range(len(headers))))] if headers else []
    others = sorted(set(range(len(headers))) - set(photographs))
    groups = [(model, others)] if others else []
    return [*groups, (resolve_model(known[0]), photographs)]


def find_model(model: str | Path | None, scale: int | None) -> Model:
    """The model that is meant; raises `UsageError` for a scale that there is none for, or that is another than its own."""
    if model is None:
        wanted = DEFAULT_SCALE if scale is None else scale
        names = _packaged(wanted)
        if not names:
            raise UsageError(
                f"the package has no network for x{wanted}: it has {' or '.join(f'x{each}' for each in _scales())}; give a file of "
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


def find_film_model(model: str | Path | None, scale: int | None, rows: int, to_height: int | None = None) -> Model:
    """The model that a film of so many rows is enlarged by: unless another is meant, the fastest in the package, by 2, or by as
    much as `to_height` needs. Raises as `find_model`."""
    if model is not None:
        return find_model(model, scale)
    if scale is None:
        scales = _scales()
        enough = [each for each in scales if each * rows >= (to_height or 0) and each >= FILM_SCALE]
        scale = enough[0] if enough else scales[-1]
    known = _packaged(scale)
    return find_model(known[-1] if known else None, scale)


def _packaged(scale: int, ending: str = "") -> list[str]:
    """The names of the package's networks for a scale, the best first."""
    names = [f"aether_{variant}_x{scale}{ending}" for variant in BEST_FIRST]
    return [name for name in names if name in pretrained.available()]


def _scales() -> list[int]:
    """Those that the package has a network for."""
    return sorted({int(name.split("_x")[1][0]) for name in pretrained.available()})

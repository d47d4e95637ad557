"""What the programs that run ncnn files make of one: how they read its scale, which layers they have, how they cut pictures.

Read in their sources; docs/export.md says what was run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

UPSCAYL, REALESRGAN = "Upscayl", "Real-ESRGAN-ncnn-vulkan"
PREPADDING = 10
"""Input pixels around a tile that both compute and cut off."""
SMALLEST_TILE = 32
"""The side of their tiles in input pixels is 32, 64, 100 or 200, by the memory of the GPU."""
SCALES = (2, 3, 4)
"""What both offer; they enlarge the alpha channel by no other."""
DEFAULT_SCALE = 4
NAMED_SCALES = (1, 2, 3, 4, 8, 16)
"""What upscayl-ncnn looks for in a name, in this order; elsewhere than on Windows, where it takes 4 whatever the name is."""


ABOUT_WINDOWS = "On Windows upscayl-ncnn takes every model for x4 (2025-12-07): there, x4 networks only."
READ_IN = "Real-ESRGAN-ncnn-vulkan 2022-04-24, upscayl-ncnn 2025-12-07, Upscayl 2026-03-27"


@dataclass(frozen=True)
class Program:
    """A program by its name, and the layers of ours that its own build of ncnn has."""

    name: str
    layers: frozenset[str]


_BOTH = (
    "Input Split Concat Convolution Crop Eltwise PReLU ReLU BinaryOp Padding Interp PixelShuffle InnerProduct Flatten"
)
PROGRAMS = (
    Program(
        UPSCAYL,
        frozenset(
            f"{_BOTH} ConvolutionDepthWise Deconvolution MemoryData Pooling Reduction Reshape Sigmoid Slice Permute Clip "
            "Swish LayerNorm GELU Reorg".split()
        ),
    ),
    Program(REALESRGAN, frozenset(_BOTH.split())),
)


def missing_layers(program: Program, kinds: Sequence[str]) -> list[str]:
    """The kinds of layers that a program does not have."""
    return [kind for kind in kinds if kind not in program.layers]


def scale_of_name(name: str) -> int:
    """The scale that Upscayl takes a model of this name to have."""
    lower = name.lower()
    found = (scale for scale in NAMED_SCALES if f"x{scale}" in lower or f"{scale}x" in lower)
    return next(found, DEFAULT_SCALE)


def layers_sentence(kinds: Sequence[str]) -> str:
    """Which programs can load such a graph, and what the others lack."""
    lacking = {program.name: missing_layers(program, kinds) for program in PROGRAMS}
    able = [name for name, missing in lacking.items() if not missing]
    unable = [
        f"{name} has no layer {', '.join(missing)} and cannot load it" for name, missing in lacking.items() if missing
    ]
    parts = [f"{' and '.join(able)} {'have' if len(able) > 1 else 'has'} all its layers"] if able else []
    return "; ".join([*parts, *unable])


def is_enough(radius: int | None) -> bool:
    """Whether their padding is, for a network of this receptive radius; None: the whole picture."""
    return radius is not None and radius <= PREPADDING


def padding_sentence(radius: int | None) -> str:
    """Whether the padding of those programs is enough for a network of this receptive radius; None: the whole picture."""
    said = f"{UPSCAYL} and {REALESRGAN} cut pictures into tiles and compute {PREPADDING} pixels around each"
    if radius is None:
        return f"{said}; this network looks at the whole picture, so that tiles differ and their borders may show"
    if is_enough(radius):
        return f"{said}; this network sees {radius} pixels far: tiles equal the whole picture, but at its edges"
    return f"{said}; this network sees {radius} pixels far: borders of tiles differ from the whole picture"


def advice_for_programs(name: str, scale: int | None, tile_radius: str) -> list[str]:
    """What to mind with a file of this name; `tile_radius` as `NcnnGraph` has it. Empty where there is nothing."""
    advice = []
    if scale is not None and scale not in SCALES:
        listed = ", ".join(map(str, SCALES))
        advice.append(f"{UPSCAYL} and {REALESRGAN} enlarge by {listed}, not by {scale}")
    elif scale is not None and scale_of_name(name) != scale:
        advice.append(
            f"{UPSCAYL} takes a model called {name} for x{scale_of_name(name)}: rename both files, such as {name}_x{scale}"
        )
    radius = int(tile_radius) if tile_radius.isdigit() else None
    if tile_radius and not is_enough(radius):
        advice.append(
            f"{padding_sentence(radius)}: give them a tile size (-t) larger than the picture, where memory allows"
        )
    return advice

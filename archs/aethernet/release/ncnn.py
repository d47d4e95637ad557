"""How the ncnn files of a bundle are put into the programs that run such, and what to mind there."""

import shlex
from dataclasses import dataclass

from aethernet.export.half_range import HalfReport
from aethernet.export.ncnn_programs import (
    ABOUT_WINDOWS,
    PROGRAMS,
    READ_IN,
    REALESRGAN,
    SCALES,
    UPSCAYL,
    is_enough,
    missing_layers,
    padding_sentence,
    scale_of_name,
)
from aethernet.release import products
from aethernet.release.records import Report
from aethernet.wording import how_many


@dataclass(frozen=True)
class NcnnGuide:
    """Texts with `code` in backticks; `command` is empty where Real-ESRGAN-ncnn-vulkan cannot load the files."""

    introduction: str
    command: str
    points: list[str]


def ncnn_guide(report: Report) -> NcnnGuide | None:
    """None where no ncnn file is in the bundle."""
    records = [
        record for product in (products.NCNN_FP16, products.NCNN_FP32) if (record := report.find(product.suffix))
    ]
    if not records:
        return None
    pairs = " or ".join(f"`{record.file}` with `{record.weights}`" for record in records)
    name = records[0].file.removesuffix(".param")
    lacking = {program.name: missing_layers(program, report.ncnn_layers) for program in PROGRAMS}
    usable = report.in_channels == 3 and report.scale in SCALES
    unfit = [
        f"{program} cannot load them: its ncnn has no {' and no '.join(kinds)}."
        for program, kinds in lacking.items()
        if kinds
    ]
    points = []
    if usable and not lacking[UPSCAYL]:
        points.append(
            f"{UPSCAYL}: put both files of a pair into a folder that is called `models`, then Settings, Add Custom Models, and "
            f"choose that folder. {_scale_in_name(name, report.scale)}"
        )
    if usable and not lacking[REALESRGAN]:
        points.append(
            f"{REALESRGAN}: the line above; `-s` must be {report.scale}, and the path of the folder must contain `models`."
        )
    points += unfit
    if report.in_channels != 3:
        points.append(f"{UPSCAYL} and {REALESRGAN} give three channels: they cannot run a network for grey pictures.")
    elif not usable:
        points.append(
            f"{UPSCAYL} and {REALESRGAN} enlarge by {', '.join(map(str, SCALES))}: they cannot run this network."
        )
    points.append(f"{padding_sentence(report.receptive_radius)}.{_seams(report)}")
    points.append(f"Both keep what layers put out in float16, whichever file they are given{_half(report.half)}")
    points.append(
        f"Verified in ncnn on a CPU, as the figures say. What the programs do was read in their sources ({READ_IN})."
    )
    files = shlex.join(["-m", "models", "-n", name, "-s", str(report.scale)])
    command = f"realesrgan-ncnn-vulkan -i in.png -o out.png {files}" if usable and not lacking[REALESRGAN] else ""
    introduction = f"{pairs}: a graph and its weights, which belong together. Blobs `data` and `output`, any size."
    return NcnnGuide(introduction, command, points)


def _scale_in_name(name: str, scale: int) -> str:
    if scale_of_name(name) != scale:
        return (
            f"It takes the scale from the name, and this one for x{scale_of_name(name)}: rename both files, such as to "
            f"`{name}_x{scale}`. {ABOUT_WINDOWS if scale != 4 else ''}"
        ).strip()
    said = f"It takes the scale from the name: keep the `x{scale}`."
    return said if scale == 4 else f"{said} {ABOUT_WINDOWS}"


def _half(half: HalfReport) -> str:
    if not half.overflowing:
        return f". {half.sentence()}."
    layer = half.by_headroom[0]
    return f", and this network reaches {layer.activation:.3g} in {layer.name}: they do not compute it right, with no file."


def _seams(report: Report) -> str:
    """Of a network that sees farther than the padding."""
    if is_enough(report.receptive_radius):
        return ""
    measured = ""
    if (found := report.tile_error) is not None:
        measured = f" Measured on {how_many(found.pictures, 'picture')} in their smallest tiles, {how_many(found.tile, 'pixel')}: up to {found.levels:.1f} of 255 levels."
    return f"{measured} A tile size (`-t`, in Upscayl's settings) larger than the picture avoids that, where the memory allows it."

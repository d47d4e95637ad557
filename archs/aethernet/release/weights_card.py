"""The text of a model card: Markdown with the front matter that model hubs read."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from aethernet.bench.complexity import WHOLE_PICTURE, Complexity
from aethernet.network.config import AetherConfig
from aethernet.quality.scores import QualityReport
from aethernet.release.provenance import Training
from aethernet.tables import markdown_table, short_count

RESEARCH_LICENSE = "research-use"
"""What hubs are told beside `license: other`."""
LIMITS = """Trained for inputs that were reduced by bicubic interpolation, for fidelity (PSNR). Noise, blur and traces of
compression (JPEG, video) in a picture are enlarged with it, and texture that the input does not hold is not invented.
The output is not clamped to [0, 1]."""


@dataclass(frozen=True)
class File:
    """A weights file as it lies beside the card; `form` is `training form`, `fused` or `int8`."""

    name: str
    form: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a card says. `complexity` is that of each form for one picture of `counted_size`."""

    name: str
    config: AetherConfig
    training: Training
    data_note: str
    license_id: str
    datasets: Sequence[str]
    complexity: Mapping[str, Complexity]
    counted_size: tuple[int, int]
    quality: QualityReport
    files: Sequence[File]


def card_markdown(facts: Facts) -> str:
    """The whole card."""
    sections = {
        "Load it": _usage(facts),
        "Figures": _figures(facts),
        "Size": _size(facts),
        "Training": training_lines(facts.training),
        "Data and licence": facts.data_note.strip(),
        "Limits": LIMITS,
        "Files": markdown_table(
            ["file", "form", "bytes", "SHA-256"],
            [[file.name, file.form, f"{file.size:,}", f"`{file.sha256}`"] for file in facts.files],
        ),
    }
    parts = [
        front_matter(facts.license_id, facts.datasets, facts.config.scale),
        f"# {facts.name}",
        _summary(facts.config),
    ]
    return "\n\n".join([*parts, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n"


def front_matter(license_id: str, datasets: Sequence[str], scale: int) -> str:
    """What model hubs read: the licence, the library, the task, and the training data by the hubs' names."""
    entries: dict[str, object] = {"license": license_id}
    if license_id == "other":
        entries["license_name"] = RESEARCH_LICENSE
    entries |= {
        "library_name": "aethernet",
        "pipeline_tag": "image-to-image",
        "tags": ["super-resolution", "image-upscaling", f"x{scale}", "aethernet", "basicsr"],
        **({"datasets": list(datasets)} if datasets else {}),
        "metrics": ["psnr", "ssim"],
    }
    return f"---\n{yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)}---"


def _summary(config: AetherConfig) -> str:
    colours = "RGB" if config.in_channels == 3 else "grey"
    return (
        f"AetherNet `{config.variant}` for single-image super-resolution by a factor of {config.scale}: {colours} "
        f"(N, {config.in_channels}, H, W) in [0, 1] -> (N, {config.in_channels}, {config.scale}H, {config.scale}W). "
        + (
            "The network computes with 8-bit integers, which it was fine-tuned for, "
            f"and its weights are on {config.quantization.weight_bits} bits"
            + (
                ": it is right on every x86 CPU."
                if config.quantization.weight_bits == 7
                else ": x86 CPUs need VNNI for it."
            )
            if config.stage == "int8"
            else "The training form can be trained on; the fused file is the plain convolutional graph of the same function."
        )
    )


def _usage(facts: Facts) -> str:
    return _int8_usage(facts) if facts.config.stage == "int8" else _float_usage(facts)


def _int8_usage(facts: Facts) -> str:
    (file,) = (file.name for file in facts.files)
    return f"""```python
import aethernet
from aether_arch import export_onnx

network = aethernet.load_network("{file}")  # a path; the reference, in integers
for target in ("ort", "openvino", "tensorrt"):
    export_onnx(network, scale={facts.config.scale}, precision="int8", target=target)
```

Where this file lies in the package, its name does, without ending: `aethernet.load_network("{facts.name}")`. PyTorch only
proves what the network computes; the ONNX files are fast.

```
aethernet bench quality {facts.name} --sets SET5_PICTURES
```"""


def _float_usage(facts: Facts) -> str:
    training, fused = (file.name for file in facts.files)
    return f"""```python
import aethernet

network = aethernet.load_network("{fused}")  # a path; in eval mode
```

Where these files lie in the package, their names do, without ending: `aethernet.load_network("{facts.name}")`.

```
aethernet bench quality {facts.name} --sets SET5_PICTURES
aethernet fuse {training} -o OUT.safetensors
```

In an option file of `aethernet train`, `pretrain_network_g: {training}` starts from it."""


def _figures(facts: Facts) -> str:
    scores = {(score.model, score.set_name): score.mean for score in facts.quality.scores}
    bicubic, *floats, own = dict.fromkeys(score.model for score in facts.quality.scores)
    rows = []
    for set_name in dict.fromkeys(score.set_name for score in facts.quality.scores):
        means = [scores[model, set_name] for model in (bicubic, *floats, own)]
        cells = [f"{one.psnr:.2f} / {one.ssim:.4f}" for one in means]
        gain = means[-1].psnr - means[-2].psnr  # over bicubic, or over the float network
        rows.append([set_name, *cells, f"{gain:+.3f} dB" if floats else f"{gain:+.2f} dB"])
    sets = " ".join(row[0].replace(" ", "_") for row in rows)
    command = f"aethernet bench quality {' '.join((bicubic, *floats, facts.files[0].name))} --sets {sets}"
    conditions = dataclasses.replace(facts.quality.conditions, command=command)
    return (
        f"Y-PSNR in dB / SSIM, mean over whole pictures, a border of {facts.config.scale} pixels left out; inputs by "
        "MATLAB-like bicubic reduction.\n\n"
        + markdown_table(["set", bicubic, *floats, facts.name, "over float" if floats else "gain"], rows)
        + f"\n\n{conditions.sentence()}"
    )


def _size(facts: Facts) -> str:
    height, width = facts.counted_size
    header = ["form", "parameters", f"MACs, {height}x{width} input", "receptive radius"]
    rows = [
        [form, f"{each.parameters:,}", short_count(each.macs), _radius(each)] for form, each in facts.complexity.items()
    ]
    return markdown_table(header, rows)


def _radius(complexity: Complexity) -> str:
    radius = complexity.receptive_radius
    return str(radius) if radius in (None, WHOLE_PICTURE) else f"{radius} input pixels"


def training_lines(training: Training) -> str:
    """How it was trained, as a list."""
    planned = "" if training.iterations == training.planned else f" of {training.planned:,}"
    when = ", as the sources were when this card was written" if training.commit_is_todays else ""
    facts = {
        "experiment": training.name,
        "iterations": f"{training.iterations:,}{planned}",
        "seed": "unknown" if training.seed is None else str(training.seed),
        **training.recipe,
        "date": training.date or "unknown",
        "commit": f"`{training.commit}`{when}" if training.commit else "unknown",
    }
    return "\n".join(f"- {title}: {fact}" for title, fact in facts.items())

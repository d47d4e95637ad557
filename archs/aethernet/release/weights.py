"""`aethernet card`: weights alone, in the form of those in the box, with a model card of measured figures."""

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aethernet.bench.complexity import network_complexity
from aethernet.checkpoint import pretrained
from aethernet.checkpoint.checkpoint import Checkpoint, load_network, read_checkpoint
from aethernet.data.photo import PHOTO_CASES, PhotoDegradation
from aethernet.errors import DataError, StageError, UsageError
from aethernet.export.form import WHOLE_PICTURE
from aethernet.files import atomic_path, write_text
from aethernet.network.config import AetherConfig
from aethernet.progress import Titled, silent
from aethernet.quality.scores import BICUBIC, BICUBIC_RGB, QualityReport, measure_quality
from aethernet.release.card import Card
from aethernet.release.flow import make_files
from aethernet.release.folder import check_free
from aethernet.release.networks import Networks, is_fine_tuned, prove_fusion
from aethernet.release.origin import Origin, read_origin
from aethernet.release.products import FUSED, INT8, TRAINING
from aethernet.release.records import FileRecord, Mean
from aethernet.release.settings import CardSettings
from aethernet.tables import markdown_table, short_count
from aethernet.wording import how_many

COUNTED_SIZE = (128, 128)
"""Height and width of the picture that MACs are counted for."""


@dataclass(frozen=True)
class Published:
    """The files that were written and the figures on the card."""

    card: Path
    weights: list[Path]
    quality: QualityReport


def publish(
    checkpoint: Path,
    out: Path,
    sets: Sequence[str | Path],
    data_note: str,
    settings: CardSettings,
    progress: Titled = silent,
) -> Published:
    """Measures a trained network and writes it with its model card.

    A float network becomes `NAME.safetensors` and `NAME_fused.safetensors`, once fusing is proven to change nothing, one
    of stage qat becomes `NAME_int8.safetensors`.

    Args:
        checkpoint: `net_g_N.pth` of an experiment; its weight average is taken, where there is one.
        out: the folder to write.
        sets: folders of high-resolution pictures, such as Set5, Set14, B100.
        data_note: what the network was trained on, and what its licence allows.

    Raises:
        AetherError: files that exist, weights of another stage, no option file, unusable pictures: a card has no figures
            over fewer pictures than its sets hold.
    """
    source = read_checkpoint(checkpoint)
    networks = _networks(source, settings.against)
    int8 = networks.quantized is not None
    name = settings.name or f"{source.config.name}{pretrained.INT8 if int8 else ''}"
    products = [dataclasses.replace(INT8, suffix=pretrained.SUFFIX)] if int8 else [TRAINING, FUSED]
    paths, card = [out / f"{name}{product.suffix}" for product in products], out / f"{name}.md"
    check_free(out, [*paths, card], settings.force)
    origin = _origin(source.path, data_note, settings)
    prove_fusion(source, progress("proving"))
    with tempfile.TemporaryDirectory() as folder:  # what is measured is the file that is given away
        scratch = Path(folder)
        made = make_files(scratch, name, networks, products, None, header=origin.header(name), titled=progress)
        models = [*([settings.against] if settings.against else []), str(scratch / paths[0].name)]
        quality = measure_quality([BICUBIC, *models], sets, max_damaged=None, progress=progress)
        figures = _figures(name, source.config, quality, made.records[0].file)
        if origin.inputs == "photo":
            figures += _degraded_figures(name, models, source.config, sets, progress)
        for path in paths:
            with atomic_path(path) as temporary:
                shutil.copyfile(scratch / path.name, temporary)
    own = list(dict.fromkeys(score.model for score in quality.scores))[-1]
    content = Card(
        name=name,
        config=source.config,
        origin=origin,
        summary=_summary(networks),
        scores={each.set_name: Mean(each.mean.psnr, each.mean.ssim) for each in quality.scores if each.model == own},
        before={"Load it": _usage(name, source.config, made.records), "Figures": figures, "Size": _size(networks)},
        after={"Files": _files(made.records)},
    )
    write_text(card, content.markdown())
    return Published(card, paths, quality)


def _origin(path: Path, data_note: str, settings: CardSettings) -> Origin:
    origin = read_origin(
        path, data_note=data_note, license_id=settings.license_id, datasets=settings.datasets,
        experiment=settings.experiment, commit=settings.commit,
    )  # fmt: skip
    if not origin.training:
        raise DataError(
            f"how {path} was trained is told neither by an option file (.yml) of an experiment around it nor by its "
            "own header: give the folder of the experiment with --experiment"
        )
    return origin


def _networks(source: Checkpoint, against: str | None) -> Networks:
    stage = source.config.stage
    if stage not in ("train", "qat"):
        raise StageError(
            f"{source.path} is of stage {stage!r}: give the weights from before fusing, or those of stage qat"
        )
    if (stage == "qat") != (against is not None):
        raise UsageError(
            "weights of stage qat, and only those, have a float network beside them: "
            + ("name it with --against" if stage == "qat" else "leave out --against")
        )
    return Networks(source.network()) if against is None else Networks(load_network(against), source.network())


def _summary(networks: Networks) -> str:
    if networks.quantized is None:
        return (
            "The training form can be trained on; the fused file is the plain convolutional graph of the same function."
        )
    bits = networks.quantized.config.quantization.weight_bits
    return (
        "The network computes with 8-bit integers, "
        + (
            "which it was fine-tuned for"
            if is_fine_tuned(networks.quantized, networks.plain_network())
            else "without fine-tuning"
        )
        + f", and its weights are on {bits} bits: "
        + ("it is right on every x86 CPU." if bits == 7 else "x86 CPUs need VNNI for it.")
    )


def _usage(name: str, config: AetherConfig, files: Sequence[FileRecord]) -> str:
    program = f"""import aethernet

network = aethernet.load_network("{files[-1].file}")  # a path; in eval mode"""
    command, remark = f"aethernet bench quality {name} --sets SET5_PICTURES", ""
    if config.quantized:
        program = f"""from aether_arch import export_onnx
{program}
for target in ("ort", "openvino", "tensorrt"):
    export_onnx(network, scale={config.scale}, precision="int8", target=target)"""
        remark = " PyTorch only\nproves what the network computes; the ONNX files are fast."
    else:
        command += f"\naethernet fuse {files[0].file} -o OUT.safetensors"
    text = f"""```python
{program}
```

What lies in the package is found by its name, without ending: `aethernet.load_network("{name}")`.{remark}

```
{command}
```"""
    if config.quantized:
        return text
    return f"{text}\n\nIn an option file of `aethernet train`, `pretrain_network_g: {files[0].file}` starts from it."


def _figures(name: str, config: AetherConfig, quality: QualityReport, file: str) -> str:
    scores = {(score.model, score.set_name): score.mean for score in quality.scores}
    bicubic, *floats, own = dict.fromkeys(score.model for score in quality.scores)
    rows = []
    for set_name in dict.fromkeys(score.set_name for score in quality.scores):
        means = [scores[model, set_name] for model in (bicubic, *floats, own)]
        cells = [f"{one.psnr:.2f} / {one.ssim:.4f}" for one in means]
        gain = means[-1].psnr - means[-2].psnr  # over bicubic, or over the float network
        rows.append([set_name, *cells, f"{gain:+.3f} dB" if floats else f"{gain:+.2f} dB"])
    sets = " ".join(row[0].replace(" ", "_") for row in rows)
    command = f"aethernet bench quality {' '.join((bicubic, *floats, file))} --sets {sets}"
    conditions = dataclasses.replace(quality.conditions, command=command)
    return (
        f"Y-PSNR in dB / SSIM, mean over whole pictures, a border of {how_many(config.scale, 'pixel')} left out; inputs by "
        "MATLAB-like bicubic reduction.\n\n"
        + markdown_table(["set", bicubic, *floats, name, "over float" if floats else "gain"], rows)
        + f"\n\n{conditions.sentence()}"
    )


def _degraded_figures(
    name: str, models: Sequence[str], config: AetherConfig, sets: Sequence[str | Path], progress: Titled
) -> str:
    """The same pictures as photographs come, beside bicubic and the packaged network for clean inputs."""
    clean = [config.name] if config.name in pretrained.available() else []
    compared = [BICUBIC_RGB, *clean, *models]
    rows = []
    for case in PHOTO_CASES:
        quality = measure_quality(
            compared, sets, degrade=PhotoDegradation.read(case), max_damaged=None, progress=progress
        )
        scores = {(score.model, score.set_name): score for score in quality.scores}
        labels = list(dict.fromkeys(score.model for score in quality.scores))
        for set_name in dict.fromkeys(score.set_name for score in quality.scores):
            found = [scores[label, set_name] for label in labels]
            cells = [f"{each.mean.psnr:.2f} / {each.mean.ssim:.4f}" for each in found]
            rows.append([set_name, f"`{case}`", *cells, f"`{str(found[-1].inputs)[:16]}`"])
    header = [
        "set",
        "inputs",
        BICUBIC_RGB,
        *clean,
        *(Path(model).stem for model in models[:-1]),
        name,
        "SHA-256 of inputs",
    ]
    return (
        "\n\nPhotographs: inputs that were also blurred, got noise and were compressed, by `aethernet bench quality ... "
        "--degrade INPUTS`, with a seed from each picture's name.\n\n" + markdown_table(header, rows)
    )


def _size(networks: Networks) -> str:
    """Of each form that is written; an int8 network is counted on its grids."""
    forms = {"int8": networks.quantized, "training form": networks.at("train"), "fused": networks.at("fused")}
    rows = []
    for form, network in forms.items():
        if network is None or (networks.quantized is not None and form != "int8"):
            continue
        counts = network_complexity(network, *COUNTED_SIZE, network.config.in_channels)
        radius = counts.receptive_radius
        seen = str(radius) if radius in (None, WHOLE_PICTURE) else f"{radius} input pixels"
        rows.append([form, f"{counts.parameters:,}", short_count(counts.macs), seen])
    header = ["form", "parameters", "MACs, {}x{} input".format(*COUNTED_SIZE), "receptive radius"]
    return markdown_table(header, rows)


def _files(files: Sequence[FileRecord]) -> str:
    return markdown_table(
        ["file", "for", "bytes", "SHA-256"],
        [[each.file, each.purpose, f"{each.bytes:,}", f"`{each.sha256}`"] for each in files],
    )

"""From a trained checkpoint to the files that are given away."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aethernet.bench.complexity import network_complexity
from aethernet.checkpoint import pretrained
from aethernet.checkpoint.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from aethernet.data.proof import proof_inputs
from aethernet.errors import CheckpointError, OutputError, StageError, UsageError
from aethernet.files import atomic_path, sha256
from aethernet.network.network import AetherNet
from aethernet.network.parity import fusion_parity
from aethernet.progress import Progress
from aethernet.quality.scores import BICUBIC, QualityReport, measure_quality
from aethernet.release.provenance import read_training
from aethernet.release.weights_card import Facts, File, card_markdown

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
    *,
    data_note: str,
    against: str | None = None,
    run: Path | None = None,
    name: str | None = None,
    license_id: str = "other",
    datasets: Sequence[str] = (),
    commit: str = "",
    force: bool = False,
    progress: Callable[[str], Progress] | None = None,
) -> Published:
    """Measures a trained network and writes it with its model card.

    A float network becomes `NAME.safetensors` and `NAME_fused.safetensors`, once fusing is proven to change nothing, one
    of stage qat becomes `NAME_int8.safetensors`.

    Args:
        checkpoint: `net_g_N.pth` of an experiment; its weight average is taken, where there is one.
        out: the folder to write.
        sets: folders of high-resolution pictures, such as Set5, Set14, B100.
        data_note: what the network was trained on, and what its licence allows.
        against: for stage qat, the float weights that it came from, whose figures stand beside its own.
        run: the experiment's folder, if the checkpoint does not lie in it.
        name: of the files; by default that of the variant with its scale, such as `aether_tiny_x4`.
        license_id: of the weights, as model hubs name them.
        datasets: names of the training data for the card's front matter, which hubs read.
        commit: of the sources that trained it; by default that of this checkout.
        force: write over files that exist.

    Raises:
        AetherError: files that exist, weights of another stage, no option file, unusable pictures.
    """
    source = read_checkpoint(checkpoint)
    int8 = source.config.stage == "qat"
    if source.config.stage not in ("train", "qat"):
        raise StageError(
            f"{checkpoint} is of stage {source.config.stage!r}: give the weights from before fusing, or those of stage qat"
        )
    if int8 != (against is not None):
        raise UsageError(
            "weights of stage qat, and only those, have a float network beside them: "
            + ("name it with --against" if int8 else "leave out --against")
        )
    name = name or f"{source.config.name}{pretrained.INT8 if int8 else ''}"
    files = {"int8": name} if int8 else {"training form": name, "fused": f"{name}{pretrained.FUSED}"}
    forms = {form: out / f"{file}{pretrained.SUFFIX}" for form, file in files.items()}
    card = out / f"{name}.md"
    existing = [path.name for path in (*forms.values(), card) if path.exists()]
    if existing and not force:
        raise OutputError(f"{out} holds {', '.join(existing)} already: give another -o, or --force to overwrite")
    training = read_training(checkpoint, run, commit)
    networks = _int8_form(source) if int8 else _float_forms(source)
    header = {
        "name": name,
        "license": license_id,
        "data": data_note,
        "iterations": str(training.iterations),
        "seed": str(training.seed),
        **({} if training.commit_is_todays else {"commit": training.commit}),
    }
    with tempfile.TemporaryDirectory() as scratch:  # what is measured is the file that is given away
        for form, path in forms.items():
            write_checkpoint(Path(scratch, path.name), networks[form], header)
        models = [BICUBIC, *([against] if against else []), str(Path(scratch, f"{name}{pretrained.SUFFIX}"))]
        quality = measure_quality(models, sets, progress=progress)
        for path in forms.values():
            with atomic_path(path) as temporary:
                shutil.copyfile(Path(scratch, path.name), temporary)
    facts = Facts(
        name=name,
        config=next(iter(networks.values())).config,
        training=training,
        data_note=data_note,
        license_id=license_id,
        datasets=datasets,
        complexity={form: network_complexity(source.network() if int8 else network, *COUNTED_SIZE, source.config.in_channels)
                    for form, network in networks.items()},
        counted_size=COUNTED_SIZE,
        quality=quality,
        files=[File(path.name, form, path.stat().st_size, sha256(path)) for form, path in forms.items()],
    )  # fmt: skip
    with atomic_path(card) as temporary:
        temporary.write_text(card_markdown(facts), encoding="utf-8", newline="\n")
    return Published(card, list(forms.values()), quality)


def _float_forms(source: Checkpoint) -> dict[str, AetherNet]:
    """Both forms of a float network, after the proof that they are the same function."""
    networks = {"training form": source.network(), "fused": source.network("fused")}
    inputs = proof_inputs(source.config.in_channels)
    if not all(record.holds for record in fusion_parity(networks["training form"], inputs)):
        raise CheckpointError(f"{source.path}: fused and unfused differ, its weights hold extreme or non-finite values")
    return networks


def _int8_form(source: Checkpoint) -> dict[str, AetherNet]:
    return {"int8": source.network().convert_to_quantized()}

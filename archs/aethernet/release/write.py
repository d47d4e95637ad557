"""The files of a bundle, written from the float weights and from the network on int8 grids."""

import copy
import logging
from collections.abc import Mapping
from pathlib import Path

from aethernet.checkpoint.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from aethernet.data.calibration import CalibrationInputs
from aethernet.data.proof import proof_inputs
from aethernet.errors import CheckpointError, StageError
from aethernet.export.onnx import Precision, export_onnx
from aethernet.export.qdq import TargetName
from aethernet.network.calibration import calibrate
from aethernet.network.network import AetherNet
from aethernet.network.parity import FLOAT32_BOUND, FLOAT64_BOUND, fusion_parity
from aethernet.progress import Progress
from aethernet.quantization.settings import Preset
from aethernet.release import plan
from aethernet.release.plan import Product

logger = logging.getLogger(__name__)

PROOF_SIDE = 64
"""Pixels of the pictures that fusing is proven on: PyTorch is slow in float64."""


def read_float(weights: str | Path, key: str | None, progress: Progress) -> Checkpoint:
    """The float weights of a release, proven to fuse exactly.

    Raises:
        CheckpointError: unreadable, not whole, or not finite. StageError: of a quantised stage.
    """
    checkpoint = read_checkpoint(weights, key)
    if checkpoint.config.quantized:
        raise StageError(
            f"{weights} is of stage {checkpoint.config.stage}: give the float weights that it was made from, and this "
            "file with --qat (stage qat)"
        )
    checkpoint.require_sound()
    if checkpoint.config.stage == "train":
        _prove_fusion(checkpoint, progress)
    return checkpoint


def _prove_fusion(checkpoint: Checkpoint, progress: Progress) -> None:
    network, inputs = checkpoint.network(), proof_inputs(checkpoint.config.in_channels)
    for done, (name, x) in enumerate(inputs.items()):
        progress(done, len(inputs), name)
        (record,) = fusion_parity(network, {name: x[:, :, :PROOF_SIDE, :PROOF_SIDE]})
        logger.info("fused against unfused, %s: %.2e (float32), %.2e (float64)", name, record.float32, record.float64)
        if not record.holds:
            raise CheckpointError(
                f"{checkpoint.path}: fused and unfused differ by more than {FLOAT32_BOUND:g} (float32) or "
                f"{FLOAT64_BOUND:g} (float64) on {name}: the weights hold extreme values, look at the training log"
            )
    progress(len(inputs), len(inputs), "")


def read_tuned(file: str | Path, checkpoint: Checkpoint) -> AetherNet:
    """A network of stage qat or int8 that was fine-tuned from the weights of `checkpoint`.

    Raises:
        CheckpointError: of another network. StageError: of another stage.
    """
    tuned = read_checkpoint(file)
    if not tuned.config.quantized:
        raise StageError(
            f"{file} is of stage {tuned.config.stage}: --qat takes what `aethernet train -opt options/qat/...` or "
            "`aethernet calibrate` wrote (stage qat), or packaged int8 weights"
        )
    differences = checkpoint.config.differences(tuned.config)
    if differences:
        raise CheckpointError(f"{file} does not come from {checkpoint.path}: {'; '.join(differences)}")
    return tuned.network()


def calibrated(network: AetherNet, inputs: CalibrationInputs, preset: Preset, progress: Progress) -> AetherNet:
    """A copy of a float network on int8 grids, with ranges from pictures."""
    return calibrate(copy.deepcopy(network), inputs, quantization=preset, progress=progress)


def write_files(
    folder: Path,
    name: str,
    network: AetherNet,
    quantized: AetherNet,
    header: Mapping[str, str],
    progress: Progress,
) -> list[Product]:
    """Writes everything that these networks give into `folder`.

    Args:
        network: of stage train or fused; without the branches there is no training form.
        quantized: of stage qat or int8.
        header: texts for the headers of `.safetensors`.
    """
    scale = network.config.scale
    fused, is_deployed = copy.deepcopy(network).fuse_model(), quantized.config.stage == "int8"
    integers = quantized if is_deployed else quantized.convert_to_quantized()
    weights = {plan.FUSED: fused, plan.FUSED_PTH: fused, plan.INT8 if is_deployed else plan.QAT: quantized}
    if network.config.stage == "train":
        weights = {plan.TRAINING: network, **weights}
    graphs: dict[Product, tuple[AetherNet, Precision, TargetName]] = {
        plan.FP32: (fused, "fp32", "ort"),
        plan.FP16: (fused, "fp16", "ort"),
        plan.INT8_ORT: (integers, "int8", "ort"),
        plan.INT8_OPENVINO: (integers, "int8", "openvino"),
        plan.INT8_TENSORRT: (integers, "int8", "tensorrt"),
    }
    products = [product for product in plan.PRODUCTS if product in weights or product in graphs]
    for done, product in enumerate(products):
        path = folder / f"{name}{product.suffix}"
        progress(done, len(products), path.name)
        if product in weights:
            write_checkpoint(path, weights[product], header)
        else:
            model, precision, target = graphs[product]
            export_onnx(model, scale, precision, path, target=target)
        logger.info("wrote %s (%d bytes)", path.name, path.stat().st_size)
    progress(len(products), len(products), "")
    return products

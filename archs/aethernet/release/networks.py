"""One network in every stage that files are written from, each proven or calibrated as it is made."""

import copy
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aethernet.checkpoint.checkpoint import Checkpoint, read_checkpoint
from aethernet.data.calibration import CalibrationInputs
from aethernet.data.proof import proof_inputs
from aethernet.errors import CheckpointError, StageError
from aethernet.network.network import AetherNet
from aethernet.network.parity import FLOAT32_BOUND, FLOAT64_BOUND, fusion_parity
from aethernet.progress import Progress
from aethernet.quantization.fake import quantizers
from aethernet.quantization.settings import CALIBRATION_PICTURES

logger = logging.getLogger(__name__)

PROOF_SIDE = 64
"""Pixels of the pictures that fusing is proven on: PyTorch is slow in float64."""
FUSING_ERROR = 1e-6
"""What the roundings of fusing may change of a weight."""


@dataclass(frozen=True)
class Networks:
    """`plain` is of stage train or fused, `quantized` of stage qat or int8; None for what is not at hand."""

    plain: AetherNet | None
    quantized: AetherNet | None = None

    def plain_network(self) -> AetherNet:
        """The float network, where it must be there."""
        assert self.plain is not None
        return self.plain

    def at(self, stage: str) -> AetherNet | None:
        """The network at a stage; None where it cannot be had, such as the training form of one that came fused."""
        if stage in ("fused", "int8"):
            return self.fused if stage == "fused" else self.integers
        found = self.plain if stage == "train" else self.quantized
        return found if found is not None and found.config.stage == stage else None

    @functools.cached_property
    def fused(self) -> AetherNet | None:
        return self.plain and copy.deepcopy(self.plain).fuse_model()

    @functools.cached_property
    def integers(self) -> AetherNet | None:
        if self.quantized is None or self.quantized.config.stage == "int8":
            return self.quantized
        return self.quantized.convert_to_quantized()


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
    prove_fusion(checkpoint, progress)
    return checkpoint


def prove_fusion(checkpoint: Checkpoint, progress: Progress | None = None) -> None:
    """Raises `CheckpointError` where fusing would change what the weights compute; fused ones have nothing to prove."""
    checkpoint.require_sound()
    if checkpoint.config.stage != "train":
        return
    network, inputs = checkpoint.network(), proof_inputs(checkpoint.config.in_channels)
    for done, (name, x) in enumerate(inputs.items(), start=1):
        (record,) = fusion_parity(network, {name: x[:, :, :PROOF_SIDE, :PROOF_SIDE]})
        logger.debug("fused against unfused, %s: %.2e (float32), %.2e (float64)", name, record.float32, record.float64)
        if not record.holds:
            raise CheckpointError(
                f"{checkpoint.path}: fused and unfused differ by more than {FLOAT32_BOUND:g} (float32) or "
                f"{FLOAT64_BOUND:g} (float64) on {name}: the weights hold extreme values, look at the training log"
            )
        if progress is not None:
            progress(done, len(inputs), name)


def read_tuned(file: str | Path, checkpoint: Checkpoint) -> AetherNet:
    """A network of stage qat or int8 that comes from the weights of `checkpoint`.

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


def is_fine_tuned(quantized: AetherNet, plain: AetherNet) -> bool:
    """Whether training has moved the weights since they were put on int8 grids; calibration alone sets ranges."""
    prepared = copy.deepcopy(plain).prepare_qat(quantized.config.quantization)
    if quantized.config.stage == "int8":
        for _, quantizer in quantizers(prepared):
            quantizer.range.data.fill_(1.0)  # any: the integers of a weight depend on the weight alone
        prepared = prepared.convert_to_quantized()
    tuned = quantized.state_dict()
    return not all(
        torch.allclose(tuned[name].float(), value.float(), rtol=0.0, atol=FUSING_ERROR)
        for name, value in prepared.state_dict().items()
        if name.endswith(("weight", "weight_step"))
    )


def calibration_inputs(
    folders: Sequence[Path],
    network: AetherNet,
    number: int = CALIBRATION_PICTURES,
    max_damaged: int | None = None,
) -> CalibrationInputs:
    """Pictures of the folders as the network takes them."""
    return CalibrationInputs(folders, network.config.scale, network.config.in_channels, number, max_damaged)

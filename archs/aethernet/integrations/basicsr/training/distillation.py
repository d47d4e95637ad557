"""Distillation: a trained network's outputs are learnt beside the true pictures (Hinton et al., 2015).

The teacher is no part of the model: it is in eval mode, has no gradients, and is saved nowhere.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from aethernet.checkpoint.checkpoint import read_checkpoint
from aethernet.errors import AetherError, CheckpointError, ForeignWeightsError, OptionError
from aethernet.integrations.basicsr.training.options import DistillOptions
from aethernet.integrations.peers import PEER_TEXT, PREFIX, load_peer
from aethernet.wording import how_many

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run


@dataclass(frozen=True)
class Teacher:
    """A trained network in eval mode, on the CPU until `to` moves it.

    Args:
        name: as the option file has it.
        network: holds the weights.
        call: (N, C, H, W) in [0, 1] -> (N, C, scale H, scale W), by the network.
        half: what it may compute in on a GPU; None for float32 alone.
    """

    name: str
    network: nn.Module
    call: Callable[[Tensor], Tensor]
    scale: int
    channels: int
    half: torch.dtype | None

    @torch.no_grad()
    def __call__(self, lq: Tensor) -> Tensor:
        """The outputs in float32; on a GPU computed in half precision, unless that leaves its range."""
        if self.half is not None and lq.is_cuda:
            with torch.autocast("cuda", dtype=self.half):
                out = self.call(lq).float()
            if torch.isfinite(out).all():
                return out
        with torch.autocast(lq.device.type, enabled=False):
            return self.call(lq.float()).float()

    def fits(self, scale: int | None, channels: int | None) -> None:
        """Raises `OptionError` unless it enlarges as the student does and takes the same colours; None is not compared."""
        if scale is not None and self.scale != scale:
            raise OptionError(
                f"train: distill_opt: teacher: {self.name} enlarges by {self.scale}, and this training is for scale {scale}: "
                "give a teacher of the same scale"
            )
        if channels is not None and self.channels != channels:
            raise OptionError(
                f"train: distill_opt: teacher: {self.name} takes {colors(self.channels)}, and network_g {colors(channels)}: "
                "give a teacher of the same colours"
            )


class Distillation:
    """The loss between a network's outputs and its teacher's.

    Args:
        scale: of the network that is trained.
        channels: of its pictures; None if that is not known.

    Raises:
        AetherError: the subclass that fits: no such teacher, another scale or other colours.
    """

    def __init__(self, options: DistillOptions, *, scale: int, channels: int | None, device: torch.device) -> None:
        self.weight = options.weight
        self.teacher = load_teacher(options.teacher)
        self.teacher.fits(scale, channels)
        self.teacher.network.to(device)
        from basicsr.losses import build_loss

        self.criterion = build_loss(dict(options.loss)).to(device)
        half = self.teacher.half if device.type == "cuda" else None
        logger.info(
            f"The teacher is {options.teacher} (x{self.teacher.scale}), in {str(half or torch.float32).removeprefix('torch.')}; "
            f"{options.loss['type']} to its outputs has the weight {self.weight:g}."
        )

    def loss(self, lq: Tensor, output: Tensor) -> Tensor:
        """The weighted loss.

        Args:
            lq: (N, C, H, W), the batch that the network has enlarged.
            output: (N, C, scale H, scale W), what it has made of it, in float32.

        Raises:
            OptionError: the teacher takes other colours, or gives pictures of another shape.
        """
        self.teacher.fits(None, lq.shape[1])
        taught = self.teacher(lq)
        if taught.shape != output.shape:
            raise OptionError(
                f"train: distill_opt: teacher: {self.teacher.name} makes {tuple(taught.shape)} of {tuple(lq.shape)}, and the "
                f"network {tuple(output.shape)}: give a teacher of the same scale and colours"
            )
        loss = self.criterion(output, taught)
        if isinstance(loss, tuple):  # perceptual and style loss
            loss = sum(part for part in loss if part is not None)
        return self.weight * loss


def load_teacher(text: str) -> Teacher:
    """The network that `teacher` names: a file, packaged weights, or `spandrel:FILE`. Random numbers go on undisturbed.

    Raises:
        AetherError: the subclass that fits: no such file, other or damaged weights, spandrel is not installed.
    """
    with torch.random.fork_rng(devices=[]):
        if text.startswith(PREFIX):
            return _peer(text)
        return _own(text)


def _own(text: str) -> Teacher:
    try:
        checkpoint = read_checkpoint(Path(text).expanduser())
    except ForeignWeightsError as error:
        raise CheckpointError(f"{error}. A network of others is given as {PREFIX}{text}") from error
    config = checkpoint.config
    network = checkpoint.network("fused" if config.stage == "train" else None).eval().requires_grad_(False)
    # Grids of 8 bits with steps of their own do not survive a rounding of the steps.
    half = None if config.quantized else torch.float16
    return Teacher(text, network, network, config.scale, config.in_channels, half)


def _peer(text: str) -> Teacher:
    name = text.removeprefix(PREFIX)
    path = Path(name).expanduser()
    if PEER_TEXT.fullmatch(text) and not path.is_file():
        raise CheckpointError(f"{text} is a network with random weights, which teaches nothing: give {PREFIX}FILE")
    if not path.is_file():
        raise CheckpointError(
            f"{name} is not a file: give {PREFIX}FILE with the weights of a network that spandrel knows"
        )
    descriptor = load_peer(path)
    if descriptor is None:
        raise CheckpointError(
            f"spandrel does not know whose weights {name} holds; a file of this package is given without {PREFIX}"
        )
    if descriptor.input_channels != descriptor.output_channels:
        raise OptionError(
            f"{text} takes {how_many(descriptor.input_channels, 'channel')} and gives {descriptor.output_channels}: it is no upscaler"
        )
    descriptor.model.requires_grad_(False)
    half = torch.float16 if descriptor.supports_half else torch.bfloat16 if descriptor.supports_bfloat16 else None

    def call(x: Tensor) -> Tensor:
        return descriptor(x).clone()  # outside of its inference mode: a tensor that a loss may keep

    return Teacher(text, descriptor.model, call, descriptor.scale, descriptor.input_channels, half)


def colors(channels: int) -> str:
    return {1: "grey (1 channel)", 3: "RGB (3 channels)"}.get(channels, f"{how_many(channels, 'channel')}")


def teacher_problem(text: str, scale: int | None, channels: int | None) -> str:
    """What keeps a teacher from teaching a network of this scale and these channels; nothing for one that can."""
    try:
        load_teacher(text).fits(scale, channels)
    except AetherError as error:
        place = "train: distill_opt: teacher: "
        return place + str(error).removeprefix(place)
    return ""

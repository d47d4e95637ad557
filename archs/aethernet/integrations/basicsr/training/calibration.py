"""Ranges of activations for a run of stage qat that starts from float weights: calibrated on its own training set."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from basicsr.data import build_dataset
from torch import Tensor, distributed, nn

from aethernet.errors import OptionError
from aethernet.integrations.basicsr.data.damage import SharedDamage, most_damaged
from aethernet.integrations.basicsr.data.samples import SeededSamples, seeded
from aethernet.network.network import AetherNet
from aethernet.quantization.fake import quantizers
from aethernet.quantization.ranges import set_ranges
from aethernet.quantization.settings import PERCENTILE

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run

PATCHES = 256
"""Training patches that are looked at; whole pictures would be fewer and larger."""


def ensure_calibrated(
    net_g: nn.Module, net_g_ema: nn.Module | None, opt: Mapping, input_of: Callable[[dict], Tensor]
) -> None:
    """Calibrates a network of stage qat whose ranges are unknown, and gives its average the same ranges.

    All ranks end up with those of rank 0. The training's random numbers go on as if nothing had been drawn.

    Args:
        input_of: (1, C, H, W), what the network gets of a sample.
    """
    if not isinstance(net_g, AetherNet) or net_g.config.stage != "qat":
        return
    if all(quantizer.known for _, quantizer in quantizers(net_g)):
        return
    count = set_ranges(net_g, training_inputs(opt, input_of), percentile=PERCENTILE)
    ranges = {name: quantizer.range for name, quantizer in quantizers(net_g)}
    if opt["dist"]:
        for value in ranges.values():
            distributed.broadcast(value.data, 0)
    if net_g_ema is not None:
        for name, quantizer in quantizers(net_g_ema):
            quantizer.range.data.copy_(ranges[name].data)
    logger.info("The weights have no ranges of activations: calibrated on %d training patches.", count)


def training_inputs(opt: Mapping, input_of: Callable[[dict], Tensor]) -> Iterator[Tensor]:
    """(1, C, H, W) inputs of the training set, spread evenly over it; the same in every run."""
    section = copy.deepcopy(opt["datasets"]["train"])
    whole = build_dataset(section)
    dataset = SeededSamples(whole, 0, SharedDamage(len(whole), most_damaged(section)))
    chosen = np.linspace(0, len(dataset) - 1, min(PATCHES, len(dataset))).round().astype(int)
    for place, index in enumerate(chosen):
        with seeded(opt["manual_seed"] or 0, place):
            x = input_of(dataset.sound(int(index)))
        dataset.damaged.require_few(whole)
        yield x


def given_input(sample: Mapping, opt: Mapping) -> Tensor:
    """The input that a data set has in a sample.

    Raises:
        OptionError: it has none, as it is made of the sample during training.
    """
    if "lq" not in sample:
        raise OptionError(
            f"datasets: train: {opt['datasets']['train']['type']} gives no low-resolution pictures, which {opt['model_type']} "
            "needs for the ranges of stage qat: set model_type: AetherRealModel, or start from a file that `aethernet "
            "calibrate WEIGHTS --data DIR -o FILE` wrote"
        )
    return sample["lq"][None]

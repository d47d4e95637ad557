"""From an `optim_*` section of an option file to an optimiser over the parameters that are to be trained."""

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from torch import nn, optim
from torch.optim import Optimizer

from aethernet.errors import OptionError
from aethernet.integrations.basicsr.training.options import as_number
from aethernet.training.muon import Muon
from aethernet.wording import how_many

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
    "Muon": Muon,
    "NAdam": optim.NAdam,
    "RAdam": optim.RAdam,
    "SGD": optim.SGD,
}
"""What `optim_g: {type: ...}` may name. BasicSR 1.4.2 itself knows Adam only."""

NUMBERS = ("lr", "adamw_lr", "weight_decay", "eps", "momentum")
"""Arguments that YAML may have read as text (`2e-4`)."""


def build_optimizer(network: nn.Module, section: str, options: Mapping[str, Any]) -> Optimizer:
    """Builds the optimiser that `train: section:` describes; what is not given has torch's default.

    Args:
        network: its parameters without gradient (statistics of a norm) are left out.
        section: `optim_g` or `optim_d`, for messages.
        options: `type`, `lr` and further arguments of the class in `torch.optim`, or of `Muon`.

    Raises:
        OptionError: unknown type or argument, or no learning rate.
    """
    arguments = dict(options)
    name = arguments.pop("type", None)
    if name not in OPTIMIZERS:
        raise OptionError(f"train: {section}: type must be one of {', '.join(OPTIMIZERS)}, not {name!r}")
    optimizer = OPTIMIZERS[name]
    allowed = list(inspect.signature(optimizer).parameters)[1:]
    unknown = [argument for argument in arguments if argument not in allowed]
    if unknown:
        raise OptionError(
            f"train: {section}: {name} has no argument {', '.join(unknown)}; it has: {', '.join(allowed)}"
        )
    if "lr" not in arguments:
        raise OptionError(f"train: {section}: the learning rate is missing: add lr: 0.0002, for example")
    for argument in NUMBERS:
        if argument in arguments:
            arguments[argument] = as_number(f"{section}: {argument}", arguments[argument])
    default_decay = inspect.signature(optimizer).parameters["weight_decay"].default
    weight_decay = arguments.pop("weight_decay", default_decay)
    return optimizer(parameter_groups(network, weight_decay), **arguments)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """All trainable parameters: one group, or without decay those of one dimension if there is weight decay.

    Weights of norms, biases and scales have one dimension. Shrinking them pulls the function to another place
    rather than to a simpler one.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    fixed = sum(1 for _ in network.parameters()) - len(trained)
    if fixed:
        logger.info(f"Not given to the optimiser: {how_many(fixed, 'parameter')} without gradient (statistics).")
    if weight_decay == 0:
        return [{"params": trained, "weight_decay": 0.0}]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]

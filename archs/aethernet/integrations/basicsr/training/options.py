"""What an option file may say below `train:` beyond BasicSR's own keys, checked once when the model is built."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aethernet.checks import is_number
from aethernet.errors import OptionError

COMPARE_NOTHING = ("GANLoss", "MultiScaleGANLoss", "WeightedTVLoss")
"""Losses of BasicSR that do not compare two pictures, so that none can follow a teacher."""


@dataclass(frozen=True)
class DistillOptions:
    """The section `train: distill_opt:`.

    Args:
        teacher: a file of weights, the name of packaged ones, or `spandrel:FILE` for a network of others.
        weight: of the loss between the network's output and the teacher's, beside the losses to the true pictures.
        loss: that loss as a section of its own, `{type: L1Loss, ...}`.
    """

    teacher: str
    weight: float
    loss: Mapping[str, object]

    @classmethod
    def read(cls, section: object) -> "DistillOptions | None":
        """Reads the section; `~` is None. A wrong value raises `OptionError`."""
        place = "distill_opt"
        if section is None or section is False:
            return None
        if not isinstance(section, Mapping):
            raise OptionError(
                f"train: {place} must be a section such as {{teacher: aether_small_x4, weight: 1.0, loss: L1Loss}}, or ~ for "
                f"none, not {section!r}"
            )
        if unknown := [key for key in section if key not in ("teacher", "weight", "loss")]:
            raise OptionError(f"train: {place}: {unknown[0]}: there is no such entry; it has: teacher, weight, loss")
        teacher = section.get("teacher")
        if not isinstance(teacher, str) or not teacher.strip():
            raise OptionError(
                f"train: {place}: teacher must be a file of weights, the name of packaged ones such as aether_small_x4, or "
                f"spandrel:FILE, not {teacher!r}"
            )
        weight = as_number(f"{place}: weight", section.get("weight", 1.0))
        if not 0 <= weight < math.inf:
            raise OptionError(f"train: {place}: weight must be a number of at least 0, not {section['weight']!r}")
        return cls(teacher, weight, _loss(f"{place}: loss", section.get("loss", "L1Loss")))


@dataclass(frozen=True)
class TrainOptions:
    """The keys below `train:` that the Aether model classes add to BasicSR's. Each may be left out.

    Args:
        amp: `bf16` runs the networks under `torch.autocast`; losses, weights and validation stay in float32.
        grad_clip: largest norm of all gradients of a network together, such as 1.0; None does not clip.
        max_nonfinite: training stops after this many steps in a row with a loss or gradient that is not finite.
        norm_freeze_iter: replaces the network's own `norm_freeze_iter`, which stands below `network_g:` and works
            with the stock model classes too. It counts training iterations over the network's whole life, those
            of a pretrained file included.
        ema_warmup: let the weight average begin with a short memory that grows up to `ema_decay`.
        distill_opt: a teacher whose outputs are learnt beside the true pictures; None has none.
    """

    amp: str | None = None
    grad_clip: float | None = None
    max_nonfinite: int = 10
    norm_freeze_iter: int | None = None
    ema_warmup: bool = True
    distill_opt: DistillOptions | None = None

    @classmethod
    def read(cls, train: Mapping[str, object]) -> "TrainOptions":
        """Picks the keys out of the `train` section; a wrong value raises `OptionError`."""
        return cls(
            amp=_amp(train.get("amp")),
            grad_clip=_grad_clip(train.get("grad_clip")),
            max_nonfinite=_count("max_nonfinite", train.get("max_nonfinite", cls.max_nonfinite), least=1),
            norm_freeze_iter=None
            if train.get("norm_freeze_iter") is None
            else _count("norm_freeze_iter", train["norm_freeze_iter"], least=0),
            ema_warmup=_switch("ema_warmup", train.get("ema_warmup", cls.ema_warmup)),
            distill_opt=DistillOptions.read(train.get("distill_opt")),
        )


def as_number(name: str, value: object) -> float:
    """A number from an option file. YAML reads `2e-4` (no dot) as text, so text that is a number is taken as one."""
    if is_number(value) or isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass  # told below, with the types that are no number at all
    raise OptionError(f"train: {name} must be a number such as 0.0002, not {value!r}")


def _amp(value: object) -> str | None:
    if value is None or value is False:
        return None
    if value == "bf16":
        return "bf16"
    if value in ("fp16", "float16", "half"):
        raise OptionError(
            "train: amp: fp16 is not offered: its small range needs loss scaling, and products in the network leave "
            "it. Use amp: bf16, which has the range of float32, or ~ for float32"
        )
    raise OptionError(f"train: amp must be bf16 (mixed precision) or ~ (float32), not {value!r}")


def _grad_clip(value: object) -> float | None:
    if value is None or value is False:
        return None
    limit = as_number("grad_clip", value)
    if not limit > 0:
        raise OptionError(f"train: grad_clip must be a positive norm such as 1.0, or ~ for none, not {value!r}")
    return limit


def _count(name: str, value: object, *, least: int) -> int:
    number = as_number(name, value)
    if not number.is_integer() or number < least:
        raise OptionError(f"train: {name} must be a whole number of at least {least}, not {value!r}")
    return int(number)


def _loss(name: str, value: object) -> Mapping[str, object]:
    """The section of a loss, of which the type alone may be given."""
    section = {"type": value} if isinstance(value, str) else value
    if not isinstance(section, Mapping) or not isinstance(section.get("type"), str):
        raise OptionError(
            f"train: {name} must be the type of a loss, such as L1Loss, or a section such as {{type: L1Loss}}, not {value!r}"
        )
    if section["type"] in COMPARE_NOTHING:
        raise OptionError(
            f"train: {name}: {section['type']} does not compare two pictures: use L1Loss, MSELoss, CharbonnierLoss, "
            "AetherFrequencyLoss or AetherPerceptualLoss"
        )
    return dict(section)


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"train: {name} must be true or false, not {value!r}")
    return value

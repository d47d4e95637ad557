"""How a network of an arena is trained: `recipe:` of the file, and of a network for what differs there."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from aethernet.arena import values
from aethernet.errors import OptionError

Count = Annotated[int, Meta(ge=1)]
WholeNumber = Annotated[int, Meta(ge=0)]
LARGEST = 1e9  # a finite number, which infinity is not
Positive = Annotated[float, Meta(gt=0, lt=LARGEST)]
NotNegative = Annotated[float, Meta(ge=0, lt=LARGEST)]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Hyperparameters of one training.

    Attributes:
        iterations: steps; with `seconds` None.
        seconds: wall time instead: each network gets as many iterations as it does in this time, measured first.
        batch: patches in a step.
        lq_size: side of a patch in low-resolution pixels.
        lr: learning rate after the warm-up, from where one cosine goes down to `eta_min`.
        optimizer: `type` and further arguments of BasicSR's `optim_g`; the type alone will do.
        betas: for optimisers that have them.
        grad_clip: largest gradient norm; None does not clip.
        ema_decay: of the weight average, which is what is validated and measured; 0 for none.
        warmup_iter: steps in which the rate rises from 0.
        loss: BasicSR's `pixel_opt`; the type alone will do.
        freeze_share: part of the training after which the norm statistics of our networks are fixed.
        workers: processes that make patches.
        val_points: validations during the training, which make the curve.
        options: anything of BasicSR's option file, laid over what follows from the above.
    """

    iterations: Count | None = 2000
    seconds: Positive | None = None
    batch: Count = 8
    lq_size: Count = 32
    lr: Positive = 2e-3
    optimizer: Mapping = field(default_factory=lambda: {"type": "AdamW"})
    betas: tuple[NotNegative, ...] = (0.9, 0.99)
    weight_decay: NotNegative = 0.0
    grad_clip: Positive | None = 1.0
    ema_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.99
    eta_min: NotNegative = 1e-7
    warmup_iter: WholeNumber = 0
    loss: Mapping = field(default_factory=lambda: {"type": "L1Loss"})
    freeze_share: NotNegative = 0.3
    workers: WholeNumber = 1
    val_points: Count = 10
    options: Mapping = field(default_factory=dict)

    def changed(self, section: object, place: str) -> "Training":
        """A copy with the entries of a section; `options` are laid over those that are there.

        Raises:
            OptionError: an unknown entry, a value out of its range, or not one of iterations and seconds.
        """
        given = dict(values.section(section, place, [each.name for each in dataclasses.fields(self)]))
        for name in given.keys() & {"optimizer", "loss"}:
            given[name] = values.typed(given[name], f"{place}: {name}")
        if given.get("iterations") and given.get("seconds"):
            raise OptionError(f"{place}: give iterations or seconds, not both")
        if given.get("seconds"):
            given["iterations"] = None
        elif given.get("iterations"):
            given["seconds"] = None
        if "options" in given:
            given["options"] = values.merged(self.options, values.section(given["options"], f"{place}: options"))
        training = values.record(Training, {**vars(self), **given}, place)
        if training.iterations is None and training.seconds is None:
            raise OptionError(f"{place}: neither iterations nor seconds are left: give one of them")
        return training

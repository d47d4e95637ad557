"""The optimiser's step behind a guard: gradients are clipped, and a step that is not finite is not taken."""

import logging
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, distributed
from torch.optim import Optimizer

from aethernet.errors import NonFiniteLossError
from aethernet.wording import how_many

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run


class StepGuard:
    """Takes the optimiser's steps for one network, after the backward pass.

    Args:
        name: the network's name in messages.
        optimizer: takes the steps.
        grad_clip: largest norm of all gradients together; None does not clip.
        max_nonfinite: how many refused steps in a row stop the training.
        suffix: of the names in the log, `""` or `"_d"`.
    """

    def __init__(
        self, name: str, optimizer: Optimizer, *, grad_clip: float | None, max_nonfinite: int, suffix: str = ""
    ) -> None:
        self.name = name
        self.optimizer = optimizer
        self.grad_clip = grad_clip
        self.max_nonfinite = max_nonfinite
        self.suffix = suffix
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.grad_norm: float | None = None

    def step(self, loss: Tensor, iteration: int) -> bool:
        """Takes the step if the loss and the norm of the gradients are finite on every rank, else drops the gradients.

        Every rank calls this after its own backward pass, which runs in any case: a rank that left it out would
        leave the others waiting for its gradients.

        Returns:
            Whether the step was taken.

        Raises:
            NonFiniteLossError: this is the `max_nonfinite`-th refused step in a row.
        """
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        limit = math.inf if self.grad_clip is None else self.grad_clip
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        self.grad_norm = norm.item()
        if finite_everywhere(torch.stack([loss.detach().float(), norm.float()])):
            self.optimizer.step()
            self.skipped_in_a_row = 0
            return True
        self.optimizer.zero_grad(set_to_none=True)
        self.skipped += 1
        self.skipped_in_a_row += 1
        self._report(loss.item(), iteration)
        return False

    def log(self) -> dict[str, float]:
        """The norm of the last gradients before clipping, and how many steps were refused, once there are any."""
        entries = {} if self.grad_norm is None else {f"grad_norm{self.suffix}": self.grad_norm}
        if self.skipped:
            entries[f"skipped{self.suffix}"] = self.skipped
        return entries

    def _report(self, loss: float, iteration: int) -> None:
        found = f"iteration {iteration}: loss {loss:.4g} and gradient norm {self.grad_norm:.4g} of {self.name}"
        if self.skipped_in_a_row >= self.max_nonfinite:
            raise NonFiniteLossError(
                f"{found} are not finite, for {how_many(self.skipped_in_a_row, 'step')} in a row. The weights are those from "
                "before. Lower the learning rate, set train: grad_clip: 1.0, switch amp off, or look for damaged "
                "pictures in the training set"
            )
        logger.warning(
            f"{found} are not finite: step skipped ({self.skipped_in_a_row} in a row, training stops at "
            f"{self.max_nonfinite})."
        )


def finite_everywhere(values: Tensor) -> bool:
    """Whether all values are finite on all ranks, so that every rank decides alike."""
    finite = torch.isfinite(values).all()
    if distributed.is_available() and distributed.is_initialized():
        flag = finite.float()
        distributed.all_reduce(flag, op=distributed.ReduceOp.MIN)
        return flag.item() == 1.0
    return bool(finite)


def watched_log(model_type: str, current: Callable[[], Mapping], *, stops: bool) -> Callable[[], Mapping]:
    """A model's `get_current_log` that looks at its losses: other classes than ours take steps with NaN, which makes all weights
    NaN, in every checkpoint that follows.

    Args:
        model_type: of the option file, for messages.
        current: the model's own function.
        stops: a loss that is NaN raises `NonFiniteLossError`; else it is a warning, since the class may skip such steps.
    """

    def log() -> Mapping:
        losses = current()
        lost = [name for name, value in losses.items() if name.startswith("l_") and math.isnan(value)]
        if lost and stops:
            raise NonFiniteLossError(
                f"the loss {lost[0]} is NaN, and so are the weights from here on: {model_type} takes such steps. Those of the "
                "last checkpoint may be sound. Lower the learning rate, look for damaged pictures, or set an Aether model, which "
                "skips such steps (model_type: AetherModel, AetherGANModel, ...)"
            )
        if lost:
            logger.warning(f"The loss {lost[0]} is NaN.")
        return losses

    return log

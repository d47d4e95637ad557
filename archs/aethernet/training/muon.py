"""Muon: an optimiser that makes every step of a weight matrix equally large in all directions.

The momentum of a convolution's weight, read as a matrix (O, I k k), is replaced by the nearest matrix with equal
singular values. Directions that rarely show in the gradient then learn as fast as common ones, which is what small
super-resolution networks lack in their first hours: docs/architecture.md has the figures. Everything that is no such
matrix (biases, norms, scales, depthwise kernels) follows AdamW.

Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024). PyTorch's own `torch.optim.Muon`
takes parameters of two dimensions only.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration: they bring singular values in (0, 1] near 1 as fast as possible."""


class Muon(Optimizer):
    """Muon for matrices and dense convolutions, AdamW for the rest; one optimiser, one state to resume from.

    Args:
        params: parameters or groups of them. A group may set any argument below.
        lr: learning rate of the matrices: about the largest singular value of a step (times sqrt(rows / columns) for
            those with more rows than columns), whatever the gradient.
        adamw_lr: learning rate of everything else.
        weight_decay: decoupled, for matrices only.
        momentum: of the matrices' gradients, with Nesterov's look-ahead.
        betas, eps: of AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        adamw_lr: float = 2e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        for name, value in (("lr", lr), ("adamw_lr", adamw_lr), ("weight_decay", weight_decay), ("eps", eps)):
            if not value >= 0:
                raise ValueError(f"{name} must not be negative, but is {value!r}")
        for name, value in (("momentum", momentum), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1), but is {value!r}")
        defaults = {
            "lr": lr, "adamw_lr": adamw_lr, "weight_decay": weight_decay, "momentum": momentum,
            "betas": tuple(betas), "eps": eps,
        }  # fmt: skip
        super().__init__(_split(params, defaults), defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step from the gradients at hand; parameters without one stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            if group["matrices"]:
                self._step_matrices(parameters, group)
            else:
                self._step_adamw(parameters, group)
        return loss

    def _step_matrices(self, parameters: list[Tensor], group: dict) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        by_shape = defaultdict(list)  # matrices of one shape are orthogonalised together, which spares small kernels
        for parameter, direction in zip(parameters, ahead, strict=True):
            by_shape[parameter.shape].append((parameter, direction.reshape(len(parameter), -1)))
        for (rows, *_), members in by_shape.items():
            directions = orthogonalized(torch.stack([direction for _, direction in members]))
            columns = directions.shape[-1]
            for (parameter, _), direction in zip(members, directions, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction.reshape(parameter.shape), alpha=-group["lr"] * max(1, rows / columns) ** 0.5)

    def _step_adamw(self, parameters: list[Tensor], group: dict) -> None:
        """AdamW for all parameters at once: one by one, a GPU would wait for ten small kernels of each."""
        beta1, beta2 = group["betas"]
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state |= {"step": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
            state["step"] += 1
        by_step = defaultdict(list)  # parameters that had no gradient for a while have fewer steps behind them
        for parameter, state in zip(parameters, states, strict=True):
            by_step[state["step"]].append((parameter, parameter.grad, state["mean"], state["square"]))
        for step, members in by_step.items():
            values, gradients, means, squares = (list(column) for column in zip(*members, strict=True))
            torch._foreach_lerp_(means, gradients, 1 - beta1)
            torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - beta2)
            spreads = torch._foreach_div(squares, 1 - beta2**step)
            torch._foreach_sqrt_(spreads)
            torch._foreach_add_(spreads, group["eps"])
            torch._foreach_addcdiv_(values, means, spreads, value=-group["lr"] / (1 - beta1**step))


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon treats a parameter as a matrix: at least two rows and columns, and no depthwise kernel (C, 1, k, k)."""
    return parameter.ndim >= 2 and min(parameter.shape[:2]) > 1


@torch.no_grad()
def orthogonalized(matrices: Tensor, steps: int = 5) -> Tensor:
    """(N, R, C) matrices with their singular values brought to about 1 (0.7 to 1.2), singular vectors kept."""
    a, b, c = NEWTON_SCHULZ
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    if is_tall := x.shape[1] > x.shape[2]:
        x = x.mT
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if is_tall else x


def _split(params: Iterable[Any], defaults: dict) -> list[dict]:
    """Two groups for each given one: matrices at `lr`, the rest at `adamw_lr` (schedulers scale both alike)."""
    given = list(params)
    groups = []
    for group in given if given and isinstance(given[0], dict) else [{"params": given}]:
        members = list(group["params"])
        rest = {**group, "lr": group.get("adamw_lr", defaults["adamw_lr"]), "weight_decay": 0.0}
        groups += [
            {**group, "params": [parameter for parameter in members if is_matrix(parameter)], "matrices": True},
            {**rest, "params": [parameter for parameter in members if not is_matrix(parameter)], "matrices": False},
        ]
    return [group for group in groups if group["params"]]
